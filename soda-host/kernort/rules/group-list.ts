/** What addresses and ports have in common: `!`, `[a, b, [c]]`, `$NAME`. */
import { GROUP_DEPTH_MAX, GROUP_ITEMS_MAX } from './limits.ts'
import { refuse, trimmed, type Piece } from './refusal.ts'

export interface GroupItems {
  readonly negated: boolean
  /** Without the `!`. */
  readonly inner: Piece
  /** Undefined: not a list. */
  readonly items: readonly Piece[] | undefined
}

/** Looks variables up. */
export interface GroupContext<Spec> {
  lookUp(name: string, place: Piece, depth: number): Spec
}

export function listItems(piece: Piece, depth: number): GroupItems {
  if (depth > GROUP_DEPTH_MAX) refuse('limit', `lists are nested more than ${GROUP_DEPTH_MAX} deep`, piece)
  const negated = piece.text.startsWith('!')
  const inner = negated ? trimmed({ text: piece.text.slice(1), offset: piece.offset + 1 }) : piece
  if (inner.text === '' || inner.text.startsWith('!')) refuse('header', `'${piece.text}' is no group`, piece)
  if (!inner.text.startsWith('[')) {
    if (/[,\][]/.test(inner.text)) refuse('header', `'${piece.text}' has no '[' or no ']'`, piece)
    return { negated, inner, items: undefined }
  }
  return { negated, inner, items: splitList(inner) }
}

function splitList(list: Piece): Piece[] {
  if (!list.text.endsWith(']')) refuse('header', "a list does not end in ']'", list)
  const items: Piece[] = []
  let depth = 0
  let start = 1
  for (let at = 1; at < list.text.length; at++) {
    const letter = list.text[at]
    const isLast = at === list.text.length - 1
    if (letter === '[') depth += 1
    else if (letter === ']' && !isLast) {
      depth -= 1
      if (depth < 0) refuse('header', "a ']' without its '['", { text: ']', offset: list.offset + at })
    } else if (isLast || (letter === ',' && depth === 0)) {
      const item = trimmed({ text: list.text.slice(start, at), offset: list.offset + start })
      if (item.text === '') refuse('header', 'an empty place in a list', item)
      items.push(item)
      start = at + 1
    }
  }
  if (depth !== 0) refuse('header', "a '[' without its ']'", list)
  if (items.length > GROUP_ITEMS_MAX) refuse('limit', `a list has more than ${GROUP_ITEMS_MAX} items`, list)
  return items
}
