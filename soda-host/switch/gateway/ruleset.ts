/**
 * The reverse firewall: the rules of the gateway's namespace, and what they mean. Pure.
 *
 * Attacker: root in a guest, who was granted something or nothing and wants more: the owner's network, the host, a
 * cloud's metadata, another server, or to be a nuisance to the world. The switch before us vouches for one thing
 * only, that a packet's source address is the sender's own. What comes from the uplink is nobody's friend either.
 *
 * Theory of operation. The rules never change; grants are elements of sets, changed in single transactions.
 * 1. `early`, before a connection is looked up: IPv4 only, from an address of the switch, within the packet rate.
 * 2. connection tracking, which puts fragments together, so that what follows sees whole headers.
 * 3. `outbound`: an answer on an inbound connection that is granted; else nothing to `forbidden`, whatever was
 *    granted; else a packet of a connection whose grant is in force; else a new connection that a grant allows,
 *    within the rate and number of connections.
 * 4. `inbound`: a packet of a connection in `flows`, or a new one to a published port.
 *
 * A connection carries the mark of the grant that let it begin. `flows` holds (server, mark) of the grants in force:
 * a grant taken away or changed cuts what it carried in the instant of the change, and nothing need be searched.
 * `resolved` is what names meant when they were asked for; its elements end by themselves, connections that began
 * before go on.
 *
 * Invariants: policy drop for all that is forwarded, received or sent; empty sets allow nothing; what is forbidden is
 * judged before every rule that looks at an egress grant, also for packets of established connections.
 */
import { GATEWAY_ADDRESS, NETWORK } from '../addresses.ts'
import { formatRange, type Ipv4Range } from './ipv4.ts'
import type { ResolvedEntry } from './resolved-book.ts'
import { egressMark, GRANT_SETS, grantElements, type ServerGrants, type SetElement } from './grants.ts'
import * as limits from './limits.ts'

export const TABLE = 'inet soda_gateway'
/** Names of our interfaces, in our own namespace. */
export const GUESTS = 'guests'
export const UPLINK = 'uplink'

/** Why a packet was dropped: the mark that it got for that. */
export const DENIAL_REASONS = {
  forbidden: 1,
  'not-granted': 2,
  rate: 3,
  connections: 4,
  'no-connection': 5
} as const
export type DenialReason = keyof typeof DENIAL_REASONS

const denyAs = (reason: DenialReason): string => `meta mark set ${DENIAL_REASONS[reason]} goto denied`
const dynamic = `size ${limits.SERVERS_MAX}; flags dynamic`
const rate = (set: string, key: string, perSecond: number, burst: number): string =>
  `update @${set} { ${key} limit rate over ${perSecond}/second burst ${burst} packets }`

const SETS = [
  'set forbidden { type ipv4_addr; flags interval; }',
  'set upstreams { type ipv4_addr; }',
  'set internet { type ipv4_addr; }',
  'set allowed { type ipv4_addr . ipv4_addr . inet_proto . inet_service; }',
  'set resolved { type mark . ipv4_addr . inet_proto . inet_service; size 65536; flags timeout; }',
  'map egress_marks { type ipv4_addr : mark; }',
  'map inbound_marks { type ipv4_addr . inet_service : mark; }',
  'set flows { type ipv4_addr . mark; }',
  'set dns_clients { type ipv4_addr; }',
  'set name_clients { type ipv4_addr; }',
  'map published { type ipv4_addr . inet_service : ipv4_addr . inet_service; }',
  `set packet_rates { type ipv4_addr; ${dynamic},timeout; timeout 1m; }`,
  `set new_rates { type ipv4_addr; ${dynamic},timeout; timeout 1m; }`,
  `set inbound_rates { type ipv4_addr; ${dynamic},timeout; timeout 1m; }`,
  `set dns_rates { type ipv4_addr; ${dynamic},timeout; timeout 1m; }`,
  `set denied_rates { type ipv4_addr; ${dynamic},timeout; timeout 1m; }`,
  `set connections { type ipv4_addr; ${dynamic}; }`,
  `set inbound_connections { type ipv4_addr; ${dynamic}; }`,
  `set denied_servers { type ipv4_addr . mark; ${dynamic},timeout; timeout 1d; counter; }`,
  `set denied_flows { type ipv4_addr . ipv4_addr . inet_proto . inet_service . mark; size ${limits.DENIED_FLOWS_MAX}; flags dynamic,timeout; timeout 10m; counter; }`
]

/** Questions for names, and answers to them. */
const DNS = 'meta l4proto { tcp, udp }'
const FLOW = 'ip saddr . ip daddr . meta l4proto . th dport'

const CHAINS: readonly [head: string, ...rules: string[]][] = [
  [
    'early { type filter hook prerouting priority raw; policy accept; }',
    'meta nfproto ipv6 drop',
    `iifname "${GUESTS}" ip saddr != ${NETWORK} drop`,
    `iifname "${UPLINK}" ip saddr ${NETWORK} drop`,
    `iifname "${GUESTS}" ${rate('packet_rates', 'ip saddr', limits.PACKETS_PER_SECOND, limits.PACKETS_BURST)} ${denyAs('rate')}`
  ],
  [
    'forward { type filter hook forward priority filter; policy drop; }',
    `iifname "${GUESTS}" oifname "${UPLINK}" goto outbound`,
    `iifname "${UPLINK}" oifname "${GUESTS}" goto inbound`,
    `iifname "${GUESTS}" ${denyAs('forbidden')}`
  ],
  [
    'outbound',
    'ct direction reply ct state established,related ct reply ip saddr . ct mark @flows accept',
    `ip daddr @forbidden ${denyAs('forbidden')}`,
    'ct state established,related ct original ip saddr . ct mark @flows accept',
    `ct state != new ${denyAs('no-connection')}`,
    `meta l4proto tcp tcp flags & (fin | syn | rst | ack) != syn ${denyAs('no-connection')}`,
    `${rate('new_rates', 'ip saddr', limits.NEW_PER_SECOND, limits.NEW_BURST)} ${denyAs('rate')}`,
    'ip saddr @internet meta l4proto { tcp, udp } goto admitted',
    'ip saddr @internet icmp type echo-request goto admitted',
    `meta l4proto != { tcp, udp } ${denyAs('not-granted')}`,
    `${FLOW} @allowed goto admitted`,
    'meta mark set ip saddr map @egress_marks',
    'meta mark . ip daddr . meta l4proto . th dport @resolved goto admitted',
    denyAs('not-granted')
  ],
  [
    'admitted',
    `add @connections { ip saddr ct count over ${limits.CONNECTIONS_MAX} } ${denyAs('connections')}`,
    'ct mark set ip saddr map @egress_marks accept'
  ],
  [
    'inbound',
    'ct state established,related ct original ip saddr . ct mark @flows accept',
    'ct state established,related ct reply ip saddr . ct mark @flows accept',
    'ct state != new drop',
    'ct status & dnat != dnat drop',
    `${rate('inbound_rates', 'ip daddr', limits.INBOUND_NEW_PER_SECOND, limits.INBOUND_NEW_BURST)} drop`,
    `add @inbound_connections { ip daddr ct count over ${limits.CONNECTIONS_MAX} } drop`,
    'ct mark set ip daddr . tcp dport map @inbound_marks accept'
  ],
  [
    'denied',
    'update @denied_servers { ip saddr . meta mark counter }',
    `${rate('denied_rates', 'ip saddr', limits.DENIED_FLOWS_PER_SECOND, limits.DENIED_FLOWS_PER_SECOND)} drop`,
    `meta l4proto { tcp, udp } update @denied_flows { ${FLOW} . meta mark counter } drop`,
    'update @denied_flows { ip saddr . ip daddr . meta l4proto . 0 . meta mark counter } drop',
    'drop'
  ],
  [
    'input { type filter hook input priority filter; policy drop; }',
    `iifname "${UPLINK}" ct state established accept`,
    `iifname "${GUESTS}" ip saddr @dns_clients ip daddr ${GATEWAY_ADDRESS} ${DNS} th dport 53 goto question`,
    `iifname "${GUESTS}" ip saddr @name_clients ip daddr ${GATEWAY_ADDRESS} ${DNS} th dport 53 goto question`,
    // Nothing is known to it: its programs hear so at once.
    `iifname "${GUESTS}" ip daddr ${GATEWAY_ADDRESS} ${DNS} th dport 53 meta mark set ${DENIAL_REASONS['not-granted']} goto unanswered`,
    `iifname "${GUESTS}" ${denyAs('forbidden')}`
  ],
  [
    'question',
    // Questions on a connection are paced by the resolver.
    'meta l4proto tcp ct state established accept',
    `${rate('dns_rates', 'ip saddr', limits.DNS_PER_SECOND, limits.DNS_BURST)} ${denyAs('rate')}`,
    'accept'
  ],
  [
    'unanswered',
    'update @denied_servers { ip saddr . meta mark counter }',
    'meta l4proto tcp reject with tcp reset',
    'reject with icmp port-unreachable'
  ],
  [
    'output { type filter hook output priority filter; policy drop; }',
    `oifname "${GUESTS}" ct state established ${DNS} th sport 53 accept`,
    `oifname "${GUESTS}" meta l4proto icmp ct state related accept`,
    `oifname "${GUESTS}" icmp type destination-unreachable accept`,
    `oifname "${GUESTS}" tcp sport 53 tcp flags & rst == rst accept`,
    `oifname "${UPLINK}" ip daddr @upstreams ${DNS} th dport 53 accept`
  ],
  [
    'publish { type nat hook prerouting priority dstnat; }',
    `iifname "${UPLINK}" meta l4proto tcp dnat ip to ip daddr . tcp dport map @published`
  ],
  [
    'hide_servers { type nat hook postrouting priority srcnat; }',
    `oifname "${UPLINK}" ip saddr ${NETWORK} masquerade`
  ]
]

/**
 * Table, sets, chains and rules. Loading it again replaces the rules in one transaction and keeps what the sets hold,
 * so that a newer version takes over a gateway in use.
 */
export function baseRules(): string {
  const name = (head: string): string => head.split(' ')[0] ?? head
  const chains = CHAINS.map(([head]) => `add chain ${TABLE} ${head}`)
  const rules = CHAINS.flatMap(([head, ...lines]) => [
    `flush chain ${TABLE} ${name(head)}`,
    ...lines.map((line) => `add rule ${TABLE} ${name(head)} ${line}`)
  ])
  return [`table ${TABLE} {`, ...SETS, '}', ...chains, ...rules, ''].join('\n')
}

const MAPS: ReadonlySet<string> = new Set(['egress_marks', 'inbound_marks', 'published'])

function change(verb: 'add' | 'delete' | 'flush', set: string, elements?: readonly string[]): string[] {
  if (verb === 'flush') return [`flush ${MAPS.has(set) ? 'map' : 'set'} ${TABLE} ${set}`]
  if (elements === undefined || elements.length === 0) return []
  return [`${verb} element ${TABLE} ${set} { ${elements.join(', ')} }`]
}

/** All grants at once: what a daemon does that finds a gateway, or makes one. */
export function replaceGrants(all: readonly ServerGrants[], forbidden: readonly Ipv4Range[]): string[] {
  const elements = all.flatMap((grants) => grantElements(grants, forbidden))
  return GRANT_SETS.flatMap((set) => [...change('flush', set), ...change('add', set, ofSet(elements, set))])
}

/** The commands that turn one server's grants into others; undefined where there are none. */
export function changeGrants(
  before: ServerGrants | undefined,
  after: ServerGrants | undefined,
  forbidden: readonly Ipv4Range[]
): string[] {
  const [old, wanted] = [before, after].map((grants) =>
    grants === undefined ? [] : grantElements(grants, forbidden)
  ) as [SetElement[], SetElement[]]
  const key = ([set, element]: SetElement): string => `${set} ${element}`
  const [oldKeys, wantedKeys] = [new Set(old.map(key)), new Set(wanted.map(key))]
  const gone = old.filter((element) => !wantedKeys.has(key(element)))
  const come = wanted.filter((element) => !oldKeys.has(key(element)))
  return [
    ...GRANT_SETS.flatMap((set) => change('delete', set, ofSet(gone, set))),
    ...GRANT_SETS.flatMap((set) => change('add', set, ofSet(come, set)))
  ]
}

function ofSet(elements: readonly SetElement[], set: string): string[] {
  return [...new Set(elements.filter(([name]) => name === set).map(([, element]) => element))]
}

export function replaceForbidden(forbidden: readonly Ipv4Range[]): string[] {
  return [...change('flush', 'forbidden'), ...change('add', 'forbidden', forbidden.map(formatRange))]
}

/** Servers that know names of linked ones: their addresses. */
export function replaceNameClients(clients: readonly string[]): string[] {
  return [...change('flush', 'name_clients'), ...change('add', 'name_clients', clients)]
}

export function changeNameClient(client: string, isClient: boolean): string[] {
  // Added first: what is not there cannot be deleted.
  const added = change('add', 'name_clients', [client])
  return isClient ? added : [...added, ...change('delete', 'name_clients', [client])]
}

/** Servers that our own resolver may ask; no guest gets there by that. */
export function replaceUpstreams(upstreams: readonly string[]): string[] {
  return [...change('flush', 'upstreams'), ...change('add', 'upstreams', upstreams)]
}

/** @param arriving - address that published connections have when they come in by the uplink */
export function replacePublished(
  all: readonly ServerGrants[],
  arriving: (publishedAddress: string) => string
): string[] {
  const elements = all.flatMap(({ address, inbound }) =>
    inbound.map(
      ({ port, publishedAddress, publishedPort }) =>
        `${arriving(publishedAddress)} . ${publishedPort} : ${address} . ${port}`
    )
  )
  return [...change('flush', 'published'), ...change('add', 'published', elements)]
}

/** What a name meant: reachable for `seconds`, which begin anew if it was there already. */
export function admitResolved(grants: ServerGrants, entries: readonly ResolvedEntry[]): string[] {
  const mark = egressMark(grants)
  if (mark === undefined) return []
  return entries.flatMap(({ address, protocol, port, seconds }) => {
    const key = `0x${mark.toString(16)} . ${address} . ${protocol} . ${port}`
    const timed = `${key} timeout ${seconds}s`
    return [
      ...change('add', 'resolved', [timed]),
      ...change('delete', 'resolved', [key]),
      ...change('add', 'resolved', [timed])
    ]
  })
}
