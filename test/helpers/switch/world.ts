/**
 * A small world of network namespaces, in which nothing is real but the kernel:
 *
 *   guest 10.83.1.1 ─┐
 *   guest 10.83.1.2 ─┴ bridge ── [gateway under test] ── host ── others
 *
 * `host` is the owner's machine: 93.184.216.2, its LAN 192.168.7.1/24, forwarding as some machines do. `others` is
 * everybody else at once: the Internet, the owner's LAN, a metadata service, a router; it counts what arrives for
 * those that no guest may reach.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { addressesOf, GATEWAY_ADDRESS, macOf } from '../../../soda-host/switch/addresses.ts'
import { command, inside, nft, script } from '../../../soda-host/switch/commands.ts'
import { RUN_PREFIX } from '../temporary.ts'

export interface Target {
  protocol: 'tcp' | 'udp'
  address: string
  port: number
  sourcePort?: number
}

export const HOST_ADDRESS = '93.184.216.2'
export const HOST_LAN_ADDRESS = '192.168.7.1'
/** On the Internet. */
export const PUBLIC = ['151.101.1.1', '1.1.1.1']
/** There, and nobody's business. */
export const PRIVATE = [
  '192.168.7.9',
  '10.0.0.9',
  '172.16.0.9',
  '100.64.0.9',
  '169.254.169.254',
  '168.63.129.16',
  '198.51.100.9',
  '198.18.77.9',
  '93.184.216.1'
]
const WORLD_PORTS = [22, 53, 80, 443]

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../fixtures/switch/${name}`, import.meta.url))
let worlds = 0

/** A connection as its user sees it. */
export interface Talk {
  /** Whether what was said came back. */
  say(text: string): Promise<boolean>
}

export interface World extends AsyncDisposable {
  host: string
  others: string
  guests: readonly string[]
  /** For the gateway: a cable to the guests' bridge. */
  attach(port: { namespace: string; interface: string }): Promise<void>
  /** Which of the targets answer to a process in that namespace. */
  probe(namespace: string, targets: readonly Target[]): Promise<boolean[]>
  /** Packets that came to `others`, by `address protocol port` (0 where there are no ports). */
  arrivals(): Promise<Map<string, number>>
  /** Those of them for addresses that no guest may reach. */
  trespasses(): Promise<string[]>
  /** One TCP connection that stays. */
  talk(namespace: string, target: Target): Talk
  /** A program that lives until it is ended, at the latest with the world; resolves when it has said a line. */
  start(namespace: string, file: string, args: readonly string[]): Promise<AsyncDisposable>
  /** Our own Node, as a program that answers on these ports. */
  serve(namespace: string, ...ports: number[]): Promise<AsyncDisposable>
}

const OTHERS = `
ip link set lo up
ip link set eth0 up
ip addr add 93.184.216.1/24 dev eth0
ip addr add 192.168.7.9/24 dev eth0
for address in $1; do ip addr replace $address/32 dev lo; done
ip route add default via 93.184.216.2
`
const HOST = `
ip link set lo up
ip addr add ${HOST_ADDRESS}/24 dev eth0
ip addr add ${HOST_LAN_ADDRESS}/24 dev eth0
ip link set eth0 up
ip route add default via 93.184.216.1
echo 1 > /proc/sys/net/ipv4/ip_forward
`
const GUEST = `
ip link set lo up
ip addr add "$1"/16 dev eth0
ip link set eth0 up
ip route add default via 10.83.0.1
`
/** As the switch does it: guests remember the gateway's MAC. An old one's cable may still be going. */
const ATTACH = `
ip link delete gw0 2> /dev/null || true
ip link add gw0 type veth peer name "$1" address "$3" netns "$2"
ip link set gw0 master br0 up
`
const WATCH = `
table inet watch {
  set arrivals { type ipv4_addr . inet_proto . inet_service; size 65536; flags dynamic; counter; }
  chain prerouting {
    type filter hook prerouting priority -310
    # What these servers still send to a gateway that is gone, and the host sends back to its router.
    ip daddr 198.18.0.0/15 fib saddr type local accept
    iifname "eth0" meta l4proto { tcp, udp } update @arrivals { ip daddr . meta l4proto . th dport counter }
    iifname "eth0" meta l4proto != { tcp, udp } update @arrivals { ip daddr . meta l4proto . 0 counter }
  }
}`

/** @param morePublic - addresses on the Internet that somebody else's program answers at */
export async function openWorld(guestCount = 2, morePublic: readonly string[] = []): Promise<World> {
  const prefix = `${RUN_PREFIX}${worlds++}`
  const made: string[] = []
  const children: ChildProcess[] = []
  const make = async (name: string): Promise<string> => {
    const namespace = `${prefix}-${name}`
    await command('ip', ['netns', 'add', namespace])
    made.push(namespace)
    await script(namespace, 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 || true')
    return namespace
  }
  const close = async (): Promise<void> => {
    for (const child of children) await end(child)
    for (const namespace of made) await command('ip', ['netns', 'delete', namespace])
  }
  const start: World['start'] = async (namespace, file, args) => {
    const child = spawn('nsenter', [`--net=/run/netns/${namespace}`, '--', file, ...args], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    children.push(child)
    await once(child.stdout, 'data')
    return { [Symbol.asyncDispose]: () => end(child) }
  }
  const serve: World['serve'] = (namespace, ...ports) =>
    start(namespace, process.execPath, [fixture('world-server.ts'), ...ports.map(String)])
  try {
    const [others, host, bridge] = [await make('others'), await make('host'), await make('bridge')]
    await inside(host, 'ip', ['link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', others])
    await script(others, OTHERS, [...PUBLIC, ...morePublic, ...PRIVATE.slice(1, -1)].join(' '))
    await script(host, HOST)
    await nft(others, [WATCH])
    await script(bridge, 'ip link add br0 type bridge; ip link set br0 up')
    const guests: string[] = []
    for (let slot = 0; slot < guestCount; slot++) {
      const guest = await make(`guest${slot}`)
      await inside(bridge, 'ip', [
        'link',
        'add',
        `p${slot}`,
        'type',
        'veth',
        'peer',
        'name',
        'eth0',
        'netns',
        guest
      ])
      // No guest reaches another one, as on a switch without links.
      await script(
        bridge,
        'ip link set "$1" master br0 up; ip link set "$1" type bridge_slave isolated on',
        `p${slot}`
      )
      await script(guest, GUEST, addressesOf(slot).ipv4)
      guests.push(guest)
    }
    const arrivals = async (): Promise<Map<string, number>> => {
      const text = await inside(others, 'nft', ['-j', '-n', 'list', 'set', 'inet', 'watch', 'arrivals'])
      return arrivalsIn(JSON.parse(text) as SetListing)
    }
    await serve(others, ...WORLD_PORTS.filter((port) => port !== 53 || morePublic.length === 0))
    return {
      host,
      others,
      guests,
      start,
      serve,
      attach: ({ namespace, interface: name }) =>
        script(bridge, ATTACH, name, namespace, macOf(GATEWAY_ADDRESS)).then(() => undefined),
      probe: async (namespace, targets) =>
        JSON.parse(
          await inside(namespace, process.execPath, [fixture('probe.ts'), JSON.stringify(targets)])
        ) as boolean[],
      arrivals,
      trespasses: async () =>
        [...(await arrivals()).keys()].filter(
          (key) => ![...PUBLIC, ...morePublic].includes(key.split(' ')[0] ?? '')
        ),
      talk: (namespace, { address, port }) => {
        const args = [`--net=/run/netns/${namespace}`, '--', process.execPath, fixture('talk.ts'), address]
        const child = spawn('nsenter', [...args, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] })
        children.push(child)
        return { say: (text) => say(child, text) }
      },
      [Symbol.asyncDispose]: close
    }
  } catch (error) {
    await close()
    throw error
  }
}

interface SetListing {
  nftables: {
    set?: { elem?: { elem: { val: { concat: (string | number)[] }; counter: { packets: number } } }[] }
  }[]
}

function arrivalsIn({ nftables }: SetListing): Map<string, number> {
  const names = new Map([
    ['6', 'tcp'],
    ['17', 'udp'],
    ['1', 'icmp']
  ])
  const elements = nftables.flatMap(({ set }) => set?.elem ?? [])
  return new Map(
    elements.map(({ elem: { val, counter } }) => {
      const [address, protocol, port] = val.concat.map(String)
      return [`${address!} ${names.get(protocol!) ?? protocol!} ${port!}`, counter.packets]
    })
  )
}

const ANSWER_MS = 1000

async function say(child: ChildProcess, text: string): Promise<boolean> {
  let heard = ''
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const listen = (data: Buffer): void => {
    heard += data.toString()
    if (heard.includes(text)) resolve(true)
  }
  child.stdout?.on('data', listen)
  child.stdin?.write(text)
  const timer = setTimeout(resolve, ANSWER_MS, false)
  const answered = await promise
  clearTimeout(timer)
  child.stdout?.off('data', listen)
  return answered
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
