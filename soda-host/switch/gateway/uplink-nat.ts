/**
 * NAT: a veth between the gateway and the owner's machine, which forwards and masquerades.
 *
 * Theory of operation. On the owner's machine appear one interface and one nft table, both of our name, and nothing
 * else is touched: what the machine's own firewall says, holds, and whether it forwards at all is the owner's to
 * decide. Our table says that nothing from the interface reaches the machine itself, nor anything forbidden, a second
 * time after the gateway: the machine is the one who knows best what is local to it.
 */
import { HostError } from '../../../src/errors.ts'
import { formatIpv4, formatRange, isWithin, parseRange } from './ipv4.ts'
import { replaced } from './nft-text.ts'
import type { Uplink, UplinkContext, UplinkRecord, UplinkState } from './uplink.ts'
import { UPLINK } from './ruleset.ts'

export type NatRecord = UplinkRecord & { kind: 'nat' }

/** For benchmarks between networks (RFC 2544): nobody's home, and not routed anywhere. */
const TRANSFER_NETWORK = parseRange('198.18.0.0/15')

/** Two neighbours that the owner's machine has no route to already. */
export async function chooseTransfer({ name, host }: UplinkContext): Promise<NatRecord> {
  const taken = await host.ownerRanges()
  const pairs = (TRANSFER_NETWORK.last + 1 - TRANSFER_NETWORK.first) / 4
  const start = parseInt(name.slice(-8), 16)
  for (let i = 0; i < 64; i++) {
    const first = TRANSFER_NETWORK.first + ((start + i) % pairs) * 4
    if (isWithin(first + 1, taken) || isWithin(first + 2, taken)) continue
    return { kind: 'nat', hostAddress: formatIpv4(first + 1), gatewayAddress: formatIpv4(first + 2) }
  }
  throw new HostError('ERR_UPLINK', 'this machine has routes to all of 198.18.0.0/15; use another uplink')
}

const HOST_SIDE = `
ip link show "$1" > /dev/null 2>&1 || ip link add "$1" type veth peer name ${UPLINK} netns "$2"
cd "/proc/sys/net"
if [ -d ipv6 ]; then echo 1 > "ipv6/conf/$1/disable_ipv6"; fi
echo 1 > "ipv4/conf/$1/forwarding"
echo 1 > "ipv4/conf/$1/rp_filter"
echo 0 > "ipv4/conf/$1/send_redirects"
ip addr replace "$3/30" dev "$1"
ip link set "$1" up
`
const GATEWAY_SIDE = `
ip addr replace "$1/30" dev ${UPLINK}
ip link set ${UPLINK} up
ip route replace default via "$2"
`

/** @throws ERR_UPLINK when the machine does not forward */
export async function openNat(context: UplinkContext, record: NatRecord): Promise<Uplink> {
  const { name, gateway, host } = context
  await assertForwards(context)
  await host.script(HOST_SIDE, name, gateway.netns, record.hostAddress)
  await gateway.script(GATEWAY_SIDE, record.gatewayAddress, record.hostAddress)
  return {
    record,
    arriving: () => record.gatewayAddress,
    update: (state) => host.nft(hostRules(name, record, state))
  }
}

export async function closeNat({ name, host }: UplinkContext): Promise<void> {
  await host.script('if ip link show "$1" > /dev/null 2>&1; then ip link delete "$1"; fi', name)
  await host.nft([`table ${tableOf(name)}`, `delete table ${tableOf(name)}`])
}

async function assertForwards({ host }: UplinkContext): Promise<void> {
  const outward = (await host.routes()).find(({ dst, dev }) => dst === 'default' && dev !== undefined)?.dev
  if (outward === undefined)
    throw new HostError('ERR_UPLINK', 'the machine has no default route: there is no outside to reach')
  const forwards = await host.script('cat "/proc/sys/net/ipv4/conf/$1/forwarding"', outward)
  if (forwards.trim() === '1') return
  throw new HostError(
    'ERR_UPLINK',
    `this machine does not forward IPv4 on ${outward}, and that is yours to change: type ` +
      '`sysctl net.ipv4.ip_forward=1`, or choose the uplink pasta, which needs nothing'
  )
}

function tableOf(name: string): string {
  return `inet ${name.replaceAll('-', '_')}`
}

/** The table on the owner's machine, whole: replaced in one transaction. Pure. */
export function hostRules(name: string, record: NatRecord, state: UplinkState): string[] {
  const ours = `iifname "${name}"`
  const published = state.grants.flatMap(({ inbound }) =>
    inbound.map(
      ({ publishedAddress, publishedPort }) =>
        `${publishedAddress} . ${publishedPort} : ${record.gatewayAddress} . ${publishedPort}`
    )
  )
  const upstreams =
    state.upstreams.length === 0
      ? []
      : [`${ours} ip daddr { ${state.upstreams.join(', ')} } meta l4proto { tcp, udp } th dport 53 accept`]
  return replaced(tableOf(name), {
    'input { type filter hook input priority filter; policy accept; }': [...upstreams, `${ours} drop`],
    'forward { type filter hook forward priority filter; policy accept; }': [
      `${ours} ip saddr != ${record.gatewayAddress} drop`,
      `${ours} meta nfproto ipv6 drop`,
      `${ours} ct state established,related ct direction reply accept`,
      ...upstreams,
      `${ours} ip daddr { ${state.forbidden.map(formatRange).join(', ')} } drop`,
      `${ours} fib daddr type != unicast drop`,
      `${ours} accept`,
      `oifname "${name}" ct state established,related accept`,
      `oifname "${name}" ct status & dnat == dnat ip daddr ${record.gatewayAddress} accept`,
      `oifname "${name}" drop`
    ],
    'publish { type nat hook prerouting priority dstnat; }':
      published.length === 0
        ? []
        : [
            `iifname != "${name}" meta l4proto tcp dnat ip to ip daddr . tcp dport map { ${published.join(', ')} }`
          ],
    'hide { type nat hook postrouting priority srcnat; }': [
      `ip saddr ${record.gatewayAddress} oifname != "${name}" masquerade`
    ]
  })
}
