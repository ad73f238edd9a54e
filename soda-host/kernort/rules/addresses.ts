/** Addresses of a rule's header: text to tree, tree and variables to sorted, disjoint ranges. */
import type { AddressRange, AddressSpec } from './ast.ts'
import { listItems, resolveGroup, type GroupAlgebra, type GroupContext } from './group-list.ts'
import { refuse, type Piece } from './refusal.ts'
import { complement, intersect, merge, type Range } from './ranges.ts'

export const IPV4_MAX = (1n << 32n) - 1n
export const IPV6_MAX = (1n << 128n) - 1n

/** Undefined: any. */
export type AddressGroup =
  { readonly v4: readonly Range<bigint>[]; readonly v6: readonly Range<bigint>[] } | undefined

export function parseAddresses(piece: Piece, depth = 0): AddressSpec {
  const { negated, inner, items } = listItems(piece, depth)
  if (items !== undefined) {
    return { kind: 'list', negated, items: items.map((item) => parseAddresses(item, depth + 1)) }
  }
  if (inner.text === 'any') {
    return negated ? refuse('header', "'!any' matches nothing", piece) : { kind: 'any' }
  }
  if (inner.text.startsWith('$')) return { kind: 'variable', name: inner.text.slice(1), negated }
  return { kind: 'range', negated, ...parseRange(inner) }
}

function parseRange(piece: Piece): AddressRange {
  const version = piece.text.includes(':') ? 6 : 4
  const dash = piece.text.indexOf('-')
  if (dash !== -1) {
    const low = parseAddress(piece.text.slice(0, dash).trim(), version, piece)
    const high = parseAddress(piece.text.slice(dash + 1).trim(), version, piece)
    if (low > high) refuse('header', `the range ${piece.text} runs backwards`, piece)
    return { low, high, version }
  }
  const [address = '', mask, ...rest] = piece.text.split('/')
  if (rest.length > 0) refuse('header', `'${piece.text}' is no address`, piece)
  const value = parseAddress(address, version, piece)
  if (mask === undefined) return { low: value, high: value, version }
  const bits = version === 4 ? 32 : 128
  const host = hostBits(mask, bits, version, piece)
  return { low: (value >> host) << host, high: value | ((1n << host) - 1n), version }
}

function hostBits(mask: string, bits: number, version: 4 | 6, piece: Piece): bigint {
  if (version === 4 && mask.includes('.')) {
    const inverted = IPV4_MAX ^ parseAddress(mask, 4, piece)
    if ((inverted & (inverted + 1n)) !== 0n) refuse('header', `'${mask}' is no netmask`, piece)
    return BigInt(inverted.toString(2).replace(/^0$/, '').length)
  }
  const length = /^\d{1,3}$/.test(mask) ? Number(mask) : -1
  if (length < 0 || length > bits)
    refuse('header', `'/${mask}' is not a prefix length of 0 to ${bits}`, piece)
  return BigInt(bits - length)
}

function parseAddress(text: string, version: 4 | 6, piece: Piece): bigint {
  const value = version === 4 ? parseIpv4(text) : parseIpv6(text)
  return value ?? refuse('header', `'${text}' is no IPv${version} address`, piece)
}

function parseIpv4(text: string): bigint | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255))
    return undefined
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n)
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined
  const groups = [...head, ...Array.from({ length: missing }, () => '0'), ...tail]
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n)
}

const ADDRESSES: GroupAlgebra<AddressRange, NonNullable<AddressGroup>> = {
  fromRange: ({ low, high, version }) =>
    version === 4 ? { v4: [{ low, high }], v6: [] } : { v4: [], v6: [{ low, high }] },
  join: (groups) => ({
    v4: merge(groups.flatMap(({ v4 }) => v4)),
    v6: merge(groups.flatMap(({ v6 }) => v6))
  }),
  intersect: (left, right) => ({ v4: intersect(left.v4, right.v4), v6: intersect(left.v6, right.v6) }),
  complement: ({ v4, v6 }) => ({
    v4: complement(v4, 0n, IPV4_MAX, 1n),
    v6: complement(v6, 0n, IPV6_MAX, 1n)
  })
}

/**
 * The addresses that `spec` means.
 *
 * @throws RuleRefused when a variable is unknown or nothing is left
 */
export function resolveAddresses(
  spec: AddressSpec,
  context: GroupContext<AddressSpec>,
  place: Piece
): AddressGroup {
  const group = resolveGroup(spec, { algebra: ADDRESSES, context, place })
  if (group?.v4.length === 0 && group.v6.length === 0) refuse('header', 'no address is left to match', place)
  return group
}
