/** Ports of a rule's header: text to tree, tree and variables to sorted, disjoint ranges. */
import type { PortSpec } from './ast.ts'
import { listItems, resolveGroup, type GroupAlgebra, type GroupContext } from './group-list.ts'
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
function parseRange(piece: Piece): Range<number> {
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

const PORTS: GroupAlgebra<Range<number>, NonNullable<PortGroup>> = {
  fromRange: ({ low, high }) => [{ low, high }],
  join: (groups) => merge(groups.flat()),
  intersect,
  complement: (group) => complement(group, 0, PORT_MAX, 1)
}

/**
 * The ports that `spec` means.
 *
 * @throws RuleRefused when a variable is unknown or nothing is left
 */
export function resolvePorts(spec: PortSpec, context: GroupContext<PortSpec>, place: Piece): PortGroup {
  const group = resolveGroup(spec, { algebra: PORTS, context, place })
  if (group?.length === 0) refuse('header', 'no port is left to match', place)
  return group
}
