/** What this machine can do for the network of virtual servers: rows of `ishare doctor`. Pure. */
import type { MachineFact } from './machine-fact.ts'

export interface NetworkBasis {
  isRoot: boolean
  /** Programs that were looked for and are not there. */
  missing: readonly string[]
  /** Interfaces with a default route, the one that is used first. */
  outward: readonly string[]
  /** Whether the first of them forwards IPv4. */
  isForwarding: boolean
}

/** Programs of the switch and its gateway, and the Debian package of each. */
export const NETWORK_PROGRAMS: ReadonlyMap<string, string> = new Map([
  ['ip', 'iproute2'],
  ['tc', 'iproute2'],
  ['bridge', 'iproute2'],
  ['nft', 'nftables'],
  ['nsenter', 'util-linux'],
  ['perl', 'perl-base']
])
export const PASTA = 'pasta'

/** The switch, and each uplink that an owner can choose; nothing here keeps servers from running without a network. */
export function networkFacts(basis: NetworkBasis): MachineFact[] {
  return [theSwitch(basis), nat(basis), dedicated(basis), pasta(basis)]
}

type Row = Omit<MachineFact, 'name'>
const ok = (found: string): Row => ({ status: 'ok', found, advice: '' })
const warn = (found: string, advice: string): Row => ({ status: 'warn', found, advice })

function theSwitch({ isRoot, missing }: NetworkBasis): MachineFact {
  const name = 'network-switch'
  const lacking = missing.filter((program) => NETWORK_PROGRAMS.has(program))
  if (lacking.length > 0) {
    const packages = new Set(lacking.map((program) => NETWORK_PROGRAMS.get(program)))
    return {
      name,
      ...warn(
        `servers get no network: no ${lacking.join(', ')}`,
        `apt-get install ${[...packages].join(' ')}`
      )
    }
  }
  if (!isRoot) return { name, ...warn('servers get no network: not root', 'run as root') }
  return { name, ...ok('servers can be linked to each other') }
}

function nat({ isRoot, outward, isForwarding }: NetworkBasis): MachineFact {
  const name = 'uplink-nat'
  const [first] = outward
  if (!isRoot) return { name, ...warn('needs root', 'run as root') }
  if (first === undefined) return { name, ...warn('no default route', 'connect this machine') }
  if (isForwarding) return { name, ...ok(`by ${first}, which forwards IPv4`) }
  return { name, ...warn(`${first} does not forward IPv4`, 'sysctl net.ipv4.ip_forward=1, or use pasta') }
}

/** The first interface is the one that this machine is reached by. */
function dedicated({ isRoot, outward }: NetworkBasis): MachineFact {
  const name = 'uplink-dedicated'
  const [, ...spare] = outward
  if (!isRoot) return { name, ...warn('needs root', 'run as root') }
  if (spare.length > 0) return { name, ...ok(`${spare.join(' or ')} can be given to servers alone`) }
  return {
    name,
    ...warn(
      'no second interface with a default route',
      'add one if this machine shall be invisible to servers; else use nat or pasta'
    )
  }
}

function pasta({ isRoot, missing, outward }: NetworkBasis): MachineFact {
  const name = 'uplink-pasta'
  if (missing.includes(PASTA)) return { name, ...warn('pasta is not installed', 'apt-get install passt') }
  // It enters a namespace that only root can make.
  if (!isRoot) return { name, ...warn('needs the switch, and so root', 'run as root') }
  if (outward.length === 0) return { name, ...warn('no default route', 'connect this machine') }
  return { name, ...ok('pasta is there; it needs no forwarding, and publishes no ports') }
}

/**
 * Interfaces with an IPv4 default route, by metric.
 * @param table - /proc/net/route, see proc_net(5)
 */
export function defaultRoutes(table: string): string[] {
  const routes = table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([name, destination, , , , , , mask]) =>
        name !== '' && destination === '00000000' && mask === '00000000'
    )
    .toSorted((a, b) => Number(a[6]) - Number(b[6]))
  return [...new Set(routes.map(([name = '']) => name))]
}
