/**
 * The firewall of the switch: rules that never change, and what they mean. Pure.
 *
 * Attacker: root in a guest, or a guest kernel that was taken over, which can put any frame on its end of the cable
 * at any moment, from before the guest's first instruction on.
 *
 * Theory of operation. A frame passes, in this order:
 * 1. `bridge soda prerouting`: it is IPv4 or ARP, untagged, and port, MAC, IPv4 (in ARP both sender fields) are an
 *    element of `sources`. Whatever else there is in the world (IPv6 with its router advertisements, VLAN and QinQ
 *    tags, spanning tree, other people's addresses, DHCP from 0.0.0.0) is dropped: policy drop, no list of evils.
 * 2. connection tracking, through br_netfilter: the `bridge` family's own is missing in many kernels. It reassembles
 *    fragments, so that rules see ports or drop.
 * 3. `inet soda forward`: a packet of a connection that its sender may open (`links`), or a reply to one: then the
 *    reversed packet must be in `links` now. So nothing is "established" that is not linked, and a link that is
 *    taken away cuts what runs over it at once, without anybody touching the connection table.
 * 4. `bridge soda forward`: it leaves only by the port that owns its destination address (`places`), whatever MAC it
 *    names and however widely the bridge would flood it; ARP only between servers that are linked (`pairs`).
 *
 * Invariants: both tables have policy drop in every chain; an empty set allows nothing; every change is one nft
 * transaction. Broken rules do not load, and an absent table can only be that of a namespace without ports.
 *
 * The gateway's port is the one that may carry addresses from outside: servers in `egress` reach through it, and what
 * `ingress` names can be reached from it. Which addresses outside are allowed is decided behind it. The gateway itself
 * may be asked for names by every server, and for nothing else; whom it answers is decided there too.
 *
 * Denials are counted per pair of servers (`denied_arp`, since whoever is not linked is not even told a MAC, and
 * `denied_pairs`), and per flow (`denied_flows`) for a while and up to a rate, so that a scan can neither fill the
 * sets nor push others out quickly.
 */
import { GATEWAY_ADDRESS, GATEWAY_INTERFACE, macOf, NETWORK } from './addresses.ts'

/** Connections that one server may have open through the switch; the table is shared by all. */
const CONNECTIONS_PER_SERVER = 4096
/** New connections that one server may try. */
const NEW_PER_SECOND = 1000
const ARP_PER_SECOND = 50
const DENIED_PAIRS_MAX = 65_536
const DENIED_FLOWS_MAX = 16_384
/** Flows per second and source of which the port is kept. */
const DENIED_FLOWS_PER_SECOND = 20
const FLOW = 'ipv4_addr . ipv4_addr . inet_proto . inet_service'

const SETS_TEXT = `
table bridge soda {
  set sources { type ifname . ether_addr . ipv4_addr; }
  set places { type ifname . ipv4_addr; }
  set pairs { type ipv4_addr . ipv4_addr; }
  set arp_rates { type ifname; size 65536; flags dynamic,timeout; timeout 1m; }
  set denied_arp { type ipv4_addr . ipv4_addr; size ${DENIED_PAIRS_MAX}; flags dynamic,timeout; timeout 1d; }
  counter refused { }
}
table inet soda {
  set addresses { type ipv4_addr; }
  set links { type ${FLOW}; }
  set linked { type ipv4_addr . ipv4_addr; }
  set egress { type ipv4_addr; }
  set ingress { type ipv4_addr . inet_proto . inet_service; }
  set connections { type ipv4_addr; size 65536; flags dynamic; }
  set new_rates { type ipv4_addr; size 65536; flags dynamic,timeout; timeout 1m; }
  set denied_pairs { type ipv4_addr . ipv4_addr; size ${DENIED_PAIRS_MAX}; flags dynamic,timeout; timeout 1d; }
  set denied_flows { type ${FLOW}; size ${DENIED_FLOWS_MAX}; flags dynamic,timeout; timeout 10m; }
  set denied_rates { type ipv4_addr; size 65536; flags dynamic,timeout; timeout 1m; }
}`

const GATEWAY_MAC = macOf(GATEWAY_ADDRESS)
const OUTSIDE = `!= ${NETWORK}`
const QUESTIONS = 'meta l4proto { tcp, udp }'

const RULES: readonly [chain: string, ...rules: string[]][] = [
  [
    'bridge soda prerouting',
    'ether type { 0x8100, 0x88a8, 0x9100 } counter name refused drop',
    'meta protocol ip iifname . ether saddr . ip saddr @sources accept',
    'meta protocol arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 goto arp_source',
    `meta protocol ip iifname "${GATEWAY_INTERFACE}" ether saddr ${GATEWAY_MAC} goto gateway_source`,
    'counter name refused'
  ],
  [
    'bridge soda arp_source',
    `update @arp_rates { iifname limit rate over ${ARP_PER_SECOND}/second burst 20 packets } counter name refused drop`,
    'iifname . ether saddr . arp saddr ip @sources iifname . arp saddr ether . arp saddr ip @sources accept',
    `iifname "${GATEWAY_INTERFACE}" ether saddr ${GATEWAY_MAC} arp saddr ether ${GATEWAY_MAC} arp saddr ip ${GATEWAY_ADDRESS} accept`,
    'counter name refused drop'
  ],
  [
    'bridge soda gateway_source',
    `ip saddr ${GATEWAY_ADDRESS} accept`,
    `ip saddr ${OUTSIDE} accept`,
    'counter name refused drop'
  ],
  [
    'bridge soda forward',
    'meta protocol arp arp saddr ip . arp daddr ip @pairs oifname . arp daddr ip @places accept',
    `meta protocol arp arp daddr ip ${GATEWAY_ADDRESS} oifname "${GATEWAY_INTERFACE}" accept`,
    `meta protocol arp arp saddr ip ${GATEWAY_ADDRESS} oifname . arp daddr ip @places accept`,
    // Seen once: the question is flooded to every port, but only one has the address.
    'meta protocol arp oifname . arp daddr ip @places update @denied_arp { arp saddr ip . arp daddr ip counter } drop',
    'meta protocol ip oifname . ip daddr @places accept',
    `meta protocol ip oifname "${GATEWAY_INTERFACE}" ip daddr ${GATEWAY_ADDRESS} accept`,
    `meta protocol ip oifname "${GATEWAY_INTERFACE}" ip daddr ${OUTSIDE} accept`
  ],
  ['bridge soda input'],
  [
    'inet soda forward',
    'ct state new,established ct direction original meta l4proto { tcp, udp } ip saddr . ip daddr . meta l4proto . th dport @links goto connection',
    'ct state established ct direction reply meta l4proto { tcp, udp } ip daddr . ip saddr . meta l4proto . th sport @links accept',
    'ct state related meta l4proto icmp ct original ip saddr . ct original ip daddr @linked accept',
    `ct state new,established ct direction original ip saddr @egress ip daddr ${OUTSIDE} goto connection`,
    `ct state established ct direction reply ip daddr @egress ip saddr ${OUTSIDE} accept`,
    `ct state related meta l4proto icmp ct original ip saddr @egress ip saddr ${OUTSIDE} accept`,
    `ct state new,established ct direction original ip saddr @addresses ip daddr ${GATEWAY_ADDRESS} ${QUESTIONS} th dport 53 goto connection`,
    `ct state established ct direction reply ip daddr @addresses ip saddr ${GATEWAY_ADDRESS} ${QUESTIONS} th sport 53 accept`,
    `ct state related meta l4proto icmp ct original ip saddr @addresses ip saddr ${GATEWAY_ADDRESS} accept`,
    `ct state new,established ct direction original ip saddr ${OUTSIDE} meta l4proto { tcp, udp } ip daddr . meta l4proto . th dport @ingress accept`,
    `ct state established ct direction reply ip daddr ${OUTSIDE} meta l4proto { tcp, udp } ip saddr . meta l4proto . th sport @ingress accept`,
    'goto denied'
  ],
  [
    'inet soda connection',
    'ct state established accept',
    `update @new_rates { ip saddr limit rate over ${NEW_PER_SECOND}/second burst ${NEW_PER_SECOND} packets } goto denied`,
    `add @connections { ip saddr ct count over ${CONNECTIONS_PER_SERVER} } goto denied`,
    'accept'
  ],
  [
    'inet soda denied',
    'ip daddr @addresses update @denied_pairs { ip saddr . ip daddr counter }',
    `update @denied_rates { ip saddr limit rate over ${DENIED_FLOWS_PER_SECOND}/second burst ${DENIED_FLOWS_PER_SECOND} packets } drop`,
    'meta l4proto { tcp, udp } update @denied_flows { ip saddr . ip daddr . meta l4proto . th dport counter } drop',
    'update @denied_flows { ip saddr . ip daddr . meta l4proto . 0 counter } drop'
  ],
  ['inet soda input'],
  ['inet soda output']
]

const HOOKS: Record<string, string> = {
  'bridge soda prerouting': 'type filter hook prerouting priority -300; policy drop;',
  'bridge soda input': 'type filter hook input priority 0; policy drop;',
  'bridge soda forward': 'type filter hook forward priority 0; policy drop;',
  'inet soda forward': 'type filter hook forward priority 0; policy drop;',
  'inet soda input': 'type filter hook input priority 0; policy drop;',
  'inet soda output': 'type filter hook output priority 0; policy drop;'
}

/**
 * Tables, sets, chains and rules. Loading it again keeps what the sets hold and count, and replaces the rules in the
 * same transaction: a newer version takes over a running switch.
 */
export function baseRules(): string {
  const chains = RULES.map(([chain]) => `add chain ${chain} ${hookOf(chain)}`)
  const rules = RULES.flatMap(([chain, ...lines]) => [
    `flush chain ${chain}`,
    ...lines.map((line) => `add rule ${chain} ${line}`)
  ])
  return [SETS_TEXT, 'add table netdev soda', ...chains, ...rules].join('\n')
}

function hookOf(chain: string): string {
  const hook = HOOKS[chain]
  return hook === undefined ? '' : `{ ${hook} }`
}
