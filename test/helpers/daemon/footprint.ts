import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { serverFiles } from '../../../soda-host/virtual-server/server-files.ts'
import { StateDirectory } from '../../../soda-host/daemon/state-directory.ts'
import { portNamespace, switchNamespace } from '../../../soda-host/switch/addresses.ts'
import { inside } from '../../../soda-host/switch/commands.ts'
import { allPids, readOrEmpty } from '../guest-processes.ts'

const BLOCK_BYTES = 512

/** Where a living server of a daemon's stands on its host. */
export interface Places {
  directory: string
  cgroups: readonly string[]
  portNamespace: string
}

export async function placesOf(stateDir: string, id: string, slot: number): Promise<Places> {
  const { top, guest } = (await StateDirectory.open(stateDir)).server(id)
  return {
    directory: top,
    cgroups: JSON.parse(readFileSync(serverFiles(guest).cgroups, 'utf8')) as string[],
    portNamespace: portNamespace(switchNamespace(stateDir), slot)
  }
}

/** Everything that runs in its groups. */
export function processesOf({ cgroups: [group = ''] }: Places): number[] {
  return readFileSync(join(group, 'cgroup.procs'), 'latin1').split('\n').filter(Boolean).map(Number)
}

/** What it takes of the host, by the host's own count. */
export interface Footprint {
  /** The most it ever had, everything that the kernel counts for it included. */
  memoryPeakBytes: number
  processes: number
  /** Blocks of all files in its directory. */
  diskBytes: number
}

export function footprintOf({ directory, cgroups }: Places): Footprint {
  return {
    memoryPeakBytes: counter(cgroups, 'memory.max_usage_in_bytes', 'memory.peak'),
    processes: counter(cgroups, 'pids.current'),
    diskBytes: bytesBelow(directory)
  }
}

/** @throws Error where no group has it: a test that needs it says so by `requires` */
function counter(cgroups: readonly string[], ...names: string[]): number {
  for (const name of names)
    for (const path of cgroups)
      if (existsSync(join(path, name))) return Number(readFileSync(join(path, name)))
  throw new Error(`no ${names.join(' or ')} in ${cgroups.join(' ')}`)
}

function bytesBelow(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).blocks * BLOCK_BYTES, 0)
}

/** Sets of the switch that say who may do what; the others count and remember, for a while. */
const GRANTING = new Set(['sources', 'places', 'pairs', 'addresses', 'links', 'linked', 'egress', 'ingress'])

interface NftListing {
  nftables: { set?: { name: string; elem?: unknown[] } }[]
}

/** How many elements the sets of a daemon's switch have: each of those that grant, and all others together. */
export async function elementsOf(stateDir: string): Promise<{ granting: string[]; remembered: number }> {
  const text = await inside(switchNamespace(stateDir), 'nft', ['-j', 'list', 'ruleset'])
  const sets = (JSON.parse(text) as NftListing).nftables.flatMap(({ set }) => set ?? [])
  const counts = sets.map(({ name, elem = [] }) => ({ name, count: elem.length }))
  const others = counts.filter(({ name }) => !GRANTING.has(name))
  return {
    granting: counts.filter(({ name }) => GRANTING.has(name)).map(({ name, count }) => `${name}: ${count}`),
    remembered: others.reduce((sum, { count }) => sum + count, 0)
  }
}

/** Everything of a server that was destroyed and is still there. A group that is gone held no process. */
export function remainsOf({ directory, cgroups, portNamespace: namespace }: Places): string[] {
  const commands = allPids().map((pid) => readOrEmpty(`/proc/${pid}/cmdline`))
  const processes = commands.filter((command) => command.includes(directory))
  const paths = [directory, ...cgroups, `/run/netns/${namespace}`].filter((path) => existsSync(path))
  return [...processes, ...paths]
}
