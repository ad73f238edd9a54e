/**
 * Guests on a switch that do everything at once, until told to stop: TCP with each other in both directions over
 * links, fork, exec and files. Each checks all that comes back. For soaks, short and long.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import { diskShareBytes } from '../../../soda-host/daemon/limits.ts'
import { switchNamespace } from '../../../soda-host/switch/addresses.ts'
import { inside } from '../../../soda-host/switch/commands.ts'
import { MIB } from '../../../src/constants.ts'
import { descriptorsOf, readOrEmpty, statusField } from '../guest-processes.ts'
import { temporaryDirectory } from '../temporary.ts'
import { startDaemonProcess, type DaemonProcess } from './daemon-process.ts'
import { elementsOf, placesOf, processesOf, type Places } from './footprint.ts'
import { Puppet } from './puppet.ts'

const WORKER = join(import.meta.dirname, '..', '..', 'fixtures', 'guest', 'worker.py')
const PORT = 8000
const LIMITS = { cpu: 0.25, memoryBytes: 128 * MIB, diskBytes: 64 * MIB, processesMax: 64 }

/** What one guest tells. */
export interface Work {
  /** Rounds that were right, by what they were; those with others by the address. */
  counts: Record<string, number>
  memory: { usedBytes: number; slabBytes: number }
}

/** Of the holdings, the one that follows the work. */
export const TRACKED = 'connections that the switch tracks'

/** By name, what may not grow without end. */
export type Holdings = Record<string, number>

export interface Mill extends AsyncDisposable {
  /**
   * Wait until everything that every guest counts is at `rounds` or above.
   * @throws Error with what a guest found wrong, or how it ended
   */
  reach(rounds: number): Promise<Work[]>
  /** What the host holds for all of it together. */
  holdings(): Promise<Holdings>
}

export async function openMill(artifactsPath: string, guests = 4): Promise<Mill> {
  await using undo = new AsyncDisposableStack()
  const directory = undo.use(await temporaryDirectory()).path
  const stateDir = join(directory, 'state')
  const socketPath = join(directory, 'run', 'host.sock')
  const slice = {
    cpu: 1,
    memoryBytes: guests * 128 * MIB,
    diskBytes: guests * diskShareBytes(64 * MIB),
    servers: guests
  }
  const daemon = await startDaemonProcess(
    { stateDir, socketPath, slice, artifactsPath },
    // Ctrl+C at a terminal is for us alone: the daemon is needed to end the guests.
    { guests: 'network', run: (args) => ['setsid', process.execPath, ...args] }
  )
  undo.defer(async () => {
    await daemon.terminate()
  })
  const host = undo.use(hostClient({ socketPath }))
  undo.defer(async () => {
    for (const { id } of await host.list()) await host.destroy(id)
  })
  const files = { 'worker.py': await readFile(WORKER) }
  const program = { argv: ['python3', '-u', 'worker.py'], env: {} }
  const workers = await Promise.all(
    Array.from({ length: guests }, () =>
      Puppet.start(host, program, { image: 'debian', limits: LIMITS, files })
    )
  )
  await begin(host, workers)
  const places = await Promise.all(workers.map(({ id, slot }) => placesOf(stateDir, id, slot)))
  const resources = undo.move()
  return {
    reach: async (rounds) => await Promise.all(workers.map((worker) => reached(host, worker, rounds))),
    holdings: () => holdingsOf(daemon, stateDir, places),
    [Symbol.asyncDispose]: () => resources.disposeAsync()
  }
}

/** Everybody serves; then everybody is linked with everybody, and asks. */
async function begin(host: HostClient, workers: readonly Puppet[]): Promise<void> {
  await Promise.all(workers.map((worker) => worker.tell(`serve ${PORT}`, 'serving')))
  for (const worker of workers) await worker.located()
  for (const from of workers)
    for (const to of workers)
      if (from !== to) await host.putLink({ from: from.id, to: to.id, protocol: 'tcp', port: PORT })
  for (const worker of workers) {
    const others = workers.filter((other) => other !== worker).map(({ ipv4 }) => ipv4)
    await worker.tell(`mill ${PORT} ${others.join(' ')}`, 'milling')
  }
}

async function reached(host: HostClient, worker: Puppet, rounds: number): Promise<Work> {
  try {
    const said = await worker.tell(`reach ${rounds}`, 'reached', 'wrong')
    if (said.startsWith('wrong')) throw new Error(`${worker.id} (${worker.ipv4}): ${said}`)
    return JSON.parse(said.slice('reached '.length)) as Work
  } catch (cause) {
    const { state, reason } = await host.inspect(worker.id)
    throw new Error(`${worker.id} is ${state}: ${reason?.message ?? ''}`, { cause })
  }
}

async function holdingsOf(
  daemon: DaemonProcess,
  stateDir: string,
  places: readonly Places[]
): Promise<Holdings> {
  const network = switchNamespace(stateDir)
  const processes = places.flatMap((place) => processesOf(place))
  const kernels = processes.filter((pid) => readOrEmpty(`/proc/${pid}/cmdline`).startsWith('/linux\0'))
  const daemonPid = daemon.child.pid ?? 0
  const { granting, remembered } = await elementsOf(stateDir)
  const sockets = await Promise.all(
    places.map(({ portNamespace }) => inside(portNamespace, 'cat', ['/proc/net/packet']))
  )
  return {
    'guest processes on the host': processes.length,
    'anonymous memory of them, KiB': sum(processes.map((pid) => kilobytes(pid, 'RssAnon'))),
    'page tables of the guest kernels, KiB': sum(kernels.map((pid) => kilobytes(pid, 'VmPTE'))),
    'mappings of the guest kernels': sum(kernels.map(mappings)),
    'descriptors of the guest kernels': sum(kernels.map((pid) => descriptorsOf(pid).size)),
    'packet sockets of the ports': sum(sockets.map((text) => text.trim().split('\n').length - 1)),
    [TRACKED]: Number(await inside(network, 'cat', ['/proc/sys/net/netfilter/nf_conntrack_count'])),
    'elements of its sets that grant': sum(granting.map((text) => Number(text.split(': ')[1]))),
    'elements that it remembers': remembered,
    'descriptors of the daemon': readdirSync(`/proc/${daemonPid}/fd`).length,
    'memory of the daemon, KiB': kilobytes(daemonPid, 'VmRSS')
  }
}

function kilobytes(pid: number, field: string): number {
  return Number.parseInt(statusField(pid, field) || '0')
}

function mappings(pid: number): number {
  return readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n').length
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
