/** What addresses and ports have in common: `!`, `[a, b, [c]]`, `$NAME`; and what these come to. */
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

type NamedSpec<Bounds> =
  | { readonly kind: 'variable'; readonly name: string; readonly negated: boolean }
  | ({ readonly kind: 'range'; readonly negated: boolean } & Bounds)
  | { readonly kind: 'list'; readonly items: readonly GroupSpec<Bounds>[]; readonly negated: boolean }

export type GroupSpec<Bounds> = { readonly kind: 'any' } | NamedSpec<Bounds>

/** How groups of one sort are put together. */
export interface GroupAlgebra<Bounds, Group> {
  fromRange(bounds: Bounds): Group
  join(groups: readonly Group[]): Group
  intersect(left: Group, right: Group): Group
  complement(group: Group): Group
}

/** A variable or a list in a rule, and where. */
interface Resolution<Bounds, Group> {
  readonly algebra: GroupAlgebra<Bounds, Group>
  readonly context: GroupContext<GroupSpec<Bounds>>
  readonly place: Piece
}

/**
 * What `spec` means; undefined: any.
 *
 * @throws RuleRefused when a variable is unknown, or a negation leaves nothing
 */
export function resolveGroup<Bounds, Group>(
  spec: GroupSpec<Bounds>,
  within: Resolution<Bounds, Group>,
  depth = 0
): Group | undefined {
  if (spec.kind === 'any') return undefined
  const group = resolvePlain(spec, within, depth)
  if (!spec.negated) return group
  if (group === undefined) return refuse('header', "the negation of 'any' matches nothing", within.place)
  return within.algebra.complement(group)
}

/** As if it were not negated. */
function resolvePlain<Bounds, Group>(
  spec: NamedSpec<Bounds>,
  within: Resolution<Bounds, Group>,
  depth: number
): Group | undefined {
  switch (spec.kind) {
    case 'variable':
      return resolveGroup(within.context.lookUp(spec.name, within.place, depth), within, depth + 1)
    case 'range':
      return within.algebra.fromRange(spec)
    case 'list':
      return resolveList(spec.items, within, depth)
  }
}

/** Positive items are joined, negated ones taken away; only negated ones: from everything. */
function resolveList<Bounds, Group>(
  items: readonly GroupSpec<Bounds>[],
  within: Resolution<Bounds, Group>,
  depth: number
): Group | undefined {
  const { algebra } = within
  const isNegated = (item: GroupSpec<Bounds>): boolean => item.kind !== 'any' && item.negated
  const resolved = (some: readonly GroupSpec<Bounds>[]): (Group | undefined)[] =>
    some.map((item) => resolveGroup(item, within, depth + 1))
  const positive = resolved(items.filter((item) => !isNegated(item)))
  const known = positive.filter((group) => group !== undefined)
  const allowed = known.length === 0 || known.length < positive.length ? undefined : algebra.join(known)
  return resolved(items.filter(isNegated)).reduce(
    (left, right) =>
      left === undefined || right === undefined ? (left ?? right) : algebra.intersect(left, right),
    allowed
  )
}
