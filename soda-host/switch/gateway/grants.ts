/** What servers are granted, as elements of the gateway's sets. Pure. */
import { createHash } from 'node:crypto'
import type { AccessRules } from '../../../src/rules/index.ts'
import { isForbidden } from './forbidden.ts'
import { parseIpv4, type Ipv4Range } from './ipv4.ts'

export type Egress = AccessRules['egress']

/** A port of a server that can be reached from outside. */
export interface InboundPort {
  /** TCP port of the server. */
  port: number
  /** Where the world finds it: an address of the owner's machine, and the port there. */
  publishedAddress: string
  publishedPort: number
}

export interface ServerGrants {
  /** Server id. */
  id: string
  /** On the switch. */
  address: string
  egress: Egress
  inbound: readonly InboundPort[]
}

/** A set of the gateway and an element of it, as nft writes them; see ruleset.ts for what each set holds. */
export type SetElement = readonly [set: GrantSet, element: string]

export const GRANT_SETS = [
  'internet',
  'allowed',
  'egress_marks',
  'inbound_marks',
  'flows',
  'dns_clients'
] as const
export type GrantSet = (typeof GRANT_SETS)[number]

/** Marks of inbound connections have this bit, those of outbound ones have not. */
const INBOUND_BIT = 0x8000_0000

/**
 * Connections carry the mark of the grant that let them begin, and live as long as it is in force. The mark is made
 * of what was granted and to whom: after a restart of the daemon it is the same one, and another server that gets
 * the same address has another one.
 */
function markOf(kind: 'egress' | 'inbound', { id, address }: ServerGrants, granted: unknown): number {
  const digest = createHash('sha256')
    .update(JSON.stringify([kind, id, address, granted]))
    .digest()
  // Never 0: that is the mark of a connection that nobody marked.
  const low = (digest.readUInt32BE(0) & 0x7fff_ffff) | 1
  return kind === 'inbound' ? (low | INBOUND_BIT) >>> 0 : low
}

/** Mark of what this server opens outward, or undefined where it may open nothing. */
export function egressMark(grants: ServerGrants): number | undefined {
  return grants.egress.kind === 'none' ? undefined : markOf('egress', grants, grants.egress)
}

/** @param forbidden - what never becomes an element; the rules look there first all the same */
export function grantElements(grants: ServerGrants, forbidden: readonly Ipv4Range[]): SetElement[] {
  return [...egressElements(grants, forbidden), ...inboundElements(grants)]
}

function egressElements(grants: ServerGrants, forbidden: readonly Ipv4Range[]): SetElement[] {
  const { address, egress } = grants
  const mark = egressMark(grants)
  if (egress.kind === 'none' || mark === undefined) return []
  const always: SetElement[] = [
    ['egress_marks', `${address} : ${hex(mark)}`],
    ['flows', `${address} . ${hex(mark)}`]
  ]
  if (egress.kind === 'internet') return [...always, ['internet', address], ['dns_clients', address]]
  const literal = egress.to.filter(({ host }) => parseIpv4(host) !== undefined)
  const named = literal.length < egress.to.length
  const allowed = literal
    .filter(({ host }) => !isForbidden(host, forbidden))
    .map(({ host, protocol, port }): SetElement => [
      'allowed',
      `${address} . ${host} . ${protocol} . ${port}`
    ])
  return [...always, ...allowed, ...(named ? [['dns_clients', address] as const] : [])]
}

function inboundElements(grants: ServerGrants): SetElement[] {
  const { address, inbound } = grants
  if (inbound.length === 0) return []
  const mark = hex(markOf('inbound', grants, inbound))
  return [
    ['flows', `${address} . ${mark}`],
    ...inbound.map(({ port }): SetElement => ['inbound_marks', `${address} . ${port} : ${mark}`])
  ]
}

function hex(mark: number): string {
  return `0x${mark.toString(16).padStart(8, '0')}`
}

/** What a server may reach by name: the ports of each name that it was granted, in lower case. */
export function grantedNames(egress: Egress): Map<string, { protocol: 'tcp' | 'udp'; port: number }[]> {
  const names = new Map<string, { protocol: 'tcp' | 'udp'; port: number }[]>()
  if (egress.kind !== 'allow') return names
  for (const { host, protocol, port } of egress.to) {
    if (parseIpv4(host) !== undefined) continue
    const name = host.toLowerCase().replace(/\.$/, '')
    names.set(name, [...(names.get(name) ?? []), { protocol, port }])
  }
  return names
}
