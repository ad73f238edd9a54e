/** Ports of a rule's header: text to tree, tree and variables to sorted, disjoint ranges. */
import type { PortSpec } from './ast.ts'
import { listItems, type GroupContext } from './group-list.ts'
import { complement, intersect, merge, type Range } from './ranges.ts'
import { refuse, type Piece } from './refusal.ts'

export const PORT_MAX = 65_535

/** Undefined: any. */
export type PortGroup = readonly Range<number>[] | undefined

export function parsePorts(piece: Piece, depth = 0): PortSpec {
  const { negated, inner, items } = listItems(piece, depth)
  if (items !== undefined) {
    return { kind: 'list', negated, items: items.map((item) => parsePorts(item, depth + 1)) }
  }
  if (inner.text === 'any')
    return negated ? refuse('header', "'!any' matches nothing", piece) : { kind: 'any' }
  if (inner.text.startsWith('$')) return { kind: 'variable', name: inner.text.slice(1), negated }
  return { kind: 'range', negated, ...parseRange(inner) }
}

/** `80`, `1:1024`, `:1024`, `1024:`. */
function parseRange(piece: Piece): { low: number; high: number } {
  const found = /^(\d{0,5})(\s*:\s*)?(\d{0,5})$/.exec(piece.text)
  const [, first = '', colon, last = ''] = found ?? []
  if (found === null || (first === '' && last === ''))
    return refuse('header', `'${piece.text}' is no port`, piece)
  const low = first === '' ? 0 : Number(first)
  const high = colon === undefined ? Number(first + last) : last === '' ? PORT_MAX : Number(last)
  const bottom = colon === undefined ? high : low
  if (high > PORT_MAX || bottom > PORT_MAX) refuse('header', `ports end at ${PORT_MAX}`, piece)
  if (bottom > high) refuse('header', `the range ${piece.text} runs backwards`, piece)
  return { low: bottom, high }
}

/**
 * The ports that `spec` means.
 *
 * @throws RuleRefused when a variable is unknown or nothing is left
 */
export function resolvePorts(spec: PortSpec, context: GroupContext<PortSpec>, place: Piece): PortGroup {
  const group = resolve(spec, context, place, 0)
  if (group?.length === 0) refuse('header', 'no port is left to match', place)
  return group
}

function resolve(spec: PortSpec, context: GroupContext<PortSpec>, place: Piece, depth: number): PortGroup {
  switch (spec.kind) {
    case 'any':
      return undefined
    case 'variable': {
      const inner = resolve(context.lookUp(spec.name, place, depth), context, place, depth + 1)
      return spec.negated ? negate(inner, place) : inner
    }
    case 'range': {
      const group = [{ low: spec.low, high: spec.high }]
      return spec.negated ? negate(group, place) : group
    }
    case 'list': {
      const group = resolveList(spec.items, context, place, depth)
      return spec.negated ? negate(group, place) : group
    }
  }
}

function resolveList(
  items: readonly PortSpec[],
  context: GroupContext<PortSpec>,
  place: Piece,
  depth: number
): PortGroup {
  const isNegated = (item: PortSpec): boolean => item.kind !== 'any' && item.negated
  const positive = items
    .filter((item) => !isNegated(item))
    .map((item) => resolve(item, context, place, depth + 1))
  const allowed =
    positive.length === 0 || positive.includes(undefined)
      ? undefined
      : merge(positive.flatMap((group) => group ?? []))
  return items
    .filter(isNegated)
    .map((item) => resolve(item, context, place, depth + 1))
    .reduce<PortGroup>(both, allowed)
}

function both(left: PortGroup, right: PortGroup): PortGroup {
  if (left === undefined || right === undefined) return left ?? right
  return intersect(left, right)
}

function negate(group: PortGroup, place: Piece): PortGroup {
  if (group === undefined) return refuse('header', "the negation of 'any' matches nothing", place)
  return complement(group, 0, PORT_MAX, 1)
}
