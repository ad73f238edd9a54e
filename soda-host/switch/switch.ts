/**
 * The switch of one host.
 *
 * Theory of operation. A network namespace holds a bridge without any address, and the firewall. A port is a veth:
 * one end on the bridge, the other alone in a namespace of its own. All of it is the kernel's and outlives the
 * daemon; what this object knows (which server has which slot, which links there are) is given to it when it is
 * opened and replaces, in one nft transaction, what the sets hold, so that a daemon killed between writing a link
 * down and applying it leaves nothing half done. Counters stay.
 *
 * A port stands before its guest starts: the elements that let it send anything as itself are in the sets first, and
 * the interface comes up last. It goes in the opposite order. One change at a time.
 */
import { readdir } from 'node:fs/promises'
import {
  addressesOf,
  BRIDGE,
  GATEWAY_ADDRESS,
  GATEWAY_INTERFACE,
  GUEST_END,
  macOf,
  portNamespace,
  PREFIX_LENGTH,
  SHAPER,
  switchNamespace
} from './addresses.ts'
import {
  effectiveRates,
  shaperChain,
  shaperClass,
  shaperRoot,
  withoutShaperClass,
  type EffectiveRates
} from './bandwidth.ts'
import { command, inside, namespacePath, nft, script } from './commands.ts'
import { readDenials } from './denials.ts'
import { type Element, ElementCounts, elementsOfLink, elementsOfOutside, elementsOfPort } from './elements.ts'
import { portSocketCommand } from './port-socket.ts'
import { baseRules } from './ruleset.ts'
import { readTraffic } from './traffic.ts'
import type {
  Denial,
  GuestNetwork,
  Link,
  OutboundRates,
  PortAttachment,
  PortSpec,
  PortState
} from './types.ts'

export interface SwitchInit {
  /** The host's; it names the switch. */
  stateDir: string
  /** Servers whose guests may live. Ports of others are removed. */
  ports: readonly PortSpec[]
  links: readonly Link[]
  /** What all servers may send to the outside together, in bits per second. @default nobody says */
  outboundBitsPerSecond?: number
}

const SETTINGS = `
cd /proc/sys/net
if [ -d ipv6 ]; then echo 1 > ipv6/conf/default/disable_ipv6; echo 1 > ipv6/conf/all/disable_ipv6; fi
`
const GROUND = `
ip link show ${BRIDGE} > /dev/null 2>&1 || ip link add ${BRIDGE} type bridge stp_state 0 mcast_snooping 0 ageing_time 0
[ -e bridge/bridge-nf-call-iptables ] || modprobe br_netfilter || true
echo 1 > bridge/bridge-nf-call-iptables
ip link set ${BRIDGE} arp off up
ip link show ${SHAPER} > /dev/null 2>&1 || ip link add ${SHAPER} type ifb
ip link set ${SHAPER} up
tc qdisc show dev ${SHAPER} root | grep -q htb || tc qdisc replace dev ${SHAPER} root handle 1: htb default 1
printf '%s\\n' "$1" | tc -batch -
`
const PORT_END = `
ip link add ${GUEST_END} mtu 1500 type veth peer name "$1" mtu 1500 netns "$2"
ip link set ${GUEST_END} arp off up
`
/** $1 interface, $2 MAC, $3 words for tc, $4 for nft. */
const PORT = `
ip link set "$1" master ${BRIDGE}
ip link set "$1" type bridge_slave learning off flood off mcast_flood off guard on
bridge fdb replace "$2" dev "$1" master static
printf '%s\\n' "$3" | tc -batch -
printf '%s\\n' "$4" | nft -f -
ip link set "$1" up
`
/** $1 interface and $2 namespace of the gateway's end, $3 its MAC. One that an ended gateway left may still be going. */
const GATEWAY_PORT = `
if ip link show ${GATEWAY_INTERFACE} > /dev/null 2>&1; then ip link delete ${GATEWAY_INTERFACE}; fi
ip link add ${GATEWAY_INTERFACE} mtu 1500 type veth peer name "$1" address "$3" mtu 1500 netns "$2"
ip link set ${GATEWAY_INTERFACE} master ${BRIDGE}
ip link set ${GATEWAY_INTERFACE} type bridge_slave learning off flood off mcast_flood off guard on
bridge fdb replace "$3" dev ${GATEWAY_INTERFACE} master static
ip link set ${GATEWAY_INTERFACE} up
`
const NO_PORT = `
if ip link show "$1" > /dev/null 2>&1; then ip link delete "$1"; fi
printf '%s\\n' "$2" | tc -batch - > /dev/null 2>&1 || true
`

export class Switch implements GuestNetwork {
  readonly namespace: string
  readonly #ports = new Map<string, PortSpec>()
  readonly #links = new Map<string, Link>()
  readonly #elements = new ElementCounts()
  readonly #outboundBitsPerSecond: number | undefined
  #turn: Promise<unknown> = Promise.resolve()

  private constructor({ stateDir, outboundBitsPerSecond }: SwitchInit) {
    this.namespace = switchNamespace(stateDir)
    this.#outboundBitsPerSecond = outboundBitsPerSecond
  }

  /** Make it, or take it up where an earlier daemon left it. @throws ERR_SWITCH */
  static async open(init: SwitchInit): Promise<Switch> {
    const { ports, links } = init
    const made = new Switch(init)
    for (const port of ports) made.#ports.set(port.id, port)
    for (const link of links) made.#links.set(keyOf(link), link)
    await made.#open()
    return made
  }

  addPort(spec: PortSpec): Promise<PortAttachment> {
    return this.#inTurn(() => this.#addPort(spec))
  }

  removePort(slot: number): Promise<void> {
    return this.#inTurn(() => this.#removePort(slot))
  }

  /** The one port whose owner speaks for the outside: its end appears in that namespace, under that name. */
  attachGateway(end: { namespace: string; interface: string }): Promise<void> {
    return this.#inTurn(async () => {
      await script(this.namespace, GATEWAY_PORT, end.interface, end.namespace, macOf(GATEWAY_ADDRESS))
    })
  }

  /** In force when it resolves, if both servers have a port; else as soon as they have. */
  addLink(link: Link): Promise<void> {
    return this.#inTurn(async () => {
      const before = this.#links.get(keyOf(link))
      if (before === undefined) await this.#change(this.#elementsOf(link), [])
      this.#links.set(keyOf(link), link)
    })
  }

  /** What runs over it is cut when this resolves. */
  removeLink(link: Link): Promise<void> {
    return this.#inTurn(async () => {
      const before = this.#links.get(keyOf(link))
      if (before === undefined) return
      await this.#change([], this.#elementsOf(before))
      this.#links.delete(keyOf(link))
    })
  }

  setOutbound(id: string, { outboundBitsPerSecond, outboundMaxBitsPerSecond }: OutboundRates): Promise<void> {
    return this.#inTurn(async () => {
      const before = this.#ports.get(id)
      if (before === undefined) return
      const port = { ...before, outboundBitsPerSecond, outboundMaxBitsPerSecond }
      await this.#shape([port])
      this.#ports.set(id, port)
    })
  }

  async ports(): Promise<PortState[]> {
    const traffic = await readTraffic(this.namespace)
    return [...this.#ports.values()].flatMap((port) => {
      const { id, slot } = port
      const { ipv4, mac, interface: name } = addressesOf(slot)
      const counts = traffic.get(name)
      if (counts === undefined) return []
      const { rate, ceiling } = this.#ratesOf(port)
      const outbound = { outboundBitsPerSecond: rate, outboundMaxBitsPerSecond: ceiling }
      return [{ id, slot, ipv4, mac, ...outbound, ...counts }]
    })
  }

  denials(): Promise<Denial[]> {
    const names = new Map([...this.#ports.values()].map(({ id, slot }) => [addressesOf(slot).ipv4, id]))
    return readDenials(this.namespace, (ipv4) => names.get(ipv4) ?? ipv4)
  }

  /** Let go. A switch that no guest uses is removed; else everything stays as it is. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      if ((await readTraffic(this.namespace)).size > 0) return
      for (const name of await this.#portNamespaces()) await command('ip', ['netns', 'delete', name])
      await command('ip', ['netns', 'delete', this.namespace])
    })
  }

  async #open(): Promise<void> {
    await makeNamespace(this.namespace)
    const root = shaperRoot(this.#outboundBitsPerSecond)
    await script(this.namespace, SETTINGS + GROUND, root.join('\n'))
    for (const port of this.#ports.values()) this.#elements.commit(elementsWithOutside(port), [])
    for (const link of this.#links.values()) this.#elements.commit(this.#elementsOf(link), [])
    await nft(this.namespace, [baseRules(), ...this.#elements.replacement()])
    const slots = new Set([...this.#ports.values()].map(({ slot }) => slot))
    for (const name of await this.#portNamespaces()) {
      const slot = Number(name.slice(this.namespace.length + 1))
      if (!slots.has(slot)) await this.#unplug(slot)
    }
    const plugged = await readTraffic(this.namespace)
    await this.#shape(
      [...this.#ports.values()].filter(({ slot }) => plugged.has(addressesOf(slot).interface))
    )
  }

  /** Rates of ports that are there. */
  async #shape(ports: readonly PortSpec[]): Promise<void> {
    if (ports.length === 0) return
    const classes = ports.flatMap((port) => shaperClass(port.slot, this.#ratesOf(port)))
    await inside(this.namespace, 'tc', ['-batch', '-'], classes.join('\n'))
    await nft(
      this.namespace,
      ports.flatMap((port) => shaperChain(port.slot, this.#ratesOf(port)))
    )
  }

  #ratesOf(rates: OutboundRates): EffectiveRates {
    return effectiveRates(rates, this.#outboundBitsPerSecond)
  }

  async #addPort(spec: PortSpec): Promise<PortAttachment> {
    const { slot } = spec
    if ([...this.#ports.values()].some((port) => port.slot === slot)) await this.#removePort(slot)
    const { ipv4, mac, interface: name } = addressesOf(slot)
    const own = portNamespace(this.namespace, slot)
    await makeNamespace(own)
    await script(own, SETTINGS + PORT_END, name, this.namespace)
    const ports = new Map([...this.#ports, [spec.id, spec]])
    const elements = [...elementsWithOutside(spec), ...this.#elementsAround(spec.id, ports)]
    const rates = this.#ratesOf(spec)
    const rules = [...shaperChain(slot, rates), ...this.#elements.commands(elements, [])]
    const shaping = shaperClass(slot, rates)
    await script(this.namespace, PORT, name, mac, shaping.join('\n'), rules.join('\n'))
    this.#elements.commit(elements, [])
    this.#ports.set(spec.id, spec)
    const socket = { switchNamespace: this.namespace, portNamespace: own, interface: name }
    return { ipv4, mac, prefixLength: PREFIX_LENGTH, openSocket: (fd) => portSocketCommand(socket, fd) }
  }

  async #removePort(slot: number): Promise<void> {
    const port = [...this.#ports.values()].find((candidate) => candidate.slot === slot)
    if (port !== undefined) {
      await this.#change([], [...elementsWithOutside(port), ...this.#elementsAround(port.id, this.#ports)])
      this.#ports.delete(port.id)
    }
    await this.#unplug(slot)
  }

  /** The devices of a port. Its guest, if there is one, is cut off. */
  async #unplug(slot: number): Promise<void> {
    const { interface: name } = addressesOf(slot)
    await script(this.namespace, NO_PORT, name, withoutShaperClass(slot).join('\n'))
    await nft(this.namespace, [`add chain netdev soda ${name}`, `delete chain netdev soda ${name}`])
    const own = portNamespace(this.namespace, slot)
    if ((await this.#portNamespaces()).includes(own)) await command('ip', ['netns', 'delete', own])
  }

  async #portNamespaces(): Promise<string[]> {
    const pattern = new RegExp(`^${this.namespace}-\\d+$`)
    return (await readdir(namespacePath(''))).filter((name) => pattern.test(name))
  }

  async #change(add: readonly Element[], remove: readonly Element[]): Promise<void> {
    await nft(this.namespace, this.#elements.commands(add, remove))
    this.#elements.commit(add, remove)
  }

  /** None while one of the two has no port. */
  #elementsOf(link: Link, ports: ReadonlyMap<string, PortSpec> = this.#ports): Element[] {
    const [from, to] = [ports.get(link.from), ports.get(link.to)]
    return from === undefined || to === undefined ? [] : elementsOfLink(link, from.slot, to.slot)
  }

  #elementsAround(id: string, ports: ReadonlyMap<string, PortSpec>): Element[] {
    return [...this.#links.values()]
      .filter(({ from, to }) => from === id || to === id)
      .flatMap((link) => this.#elementsOf(link, ports))
  }

  #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(body)
    this.#turn = turn.catch(() => undefined)
    return turn
  }
}

function elementsWithOutside({ slot, outside }: PortSpec): Element[] {
  return [...elementsOfPort(slot), ...(outside === undefined ? [] : elementsOfOutside(outside, slot))]
}

/** Neither `untilMs` nor `name` is a part of what a link is. */
export function keyOf({ from, to, protocol, port }: Link): string {
  return `${from} ${to} ${protocol} ${port}`
}

/** One that a crash left half made is made anew. */
export async function makeNamespace(name: string): Promise<void> {
  const names = await readdir(namespacePath('')).catch((): string[] => [])
  if (names.includes(name)) {
    if (
      await inside(name, 'true', []).then(
        () => true,
        () => false
      )
    )
      return
    await command('ip', ['netns', 'delete', name])
  }
  await command('ip', ['netns', 'add', name])
}
