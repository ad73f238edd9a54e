/**
 * How many idle servers one machine carries: 200 are started by the daemon, one after the other, each with a port on
 * the switch. Memory is the share of its processes in all they map (PSS) and its memory file system, where the two do
 * not overlap; and, so that nothing is forgotten that the kernel holds, what the machine has less of.
 */
import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { hostClient, type HostClient } from '../soda-host/client/index.ts'
import { startDaemon } from '../soda-host/daemon/index.ts'
import { diskShareBytes } from '../soda-host/daemon/limits.ts'
import { GIB, KIB, MIB } from '../src/constants.ts'
import { placesOf, processesOf } from '../test/helpers/daemon/footprint.ts'
import { quietLog } from '../test/helpers/daemon/quiet-log.ts'
import { serverSpec } from '../test/helpers/daemon/server-spec.ts'
import { readOrEmpty } from '../test/helpers/guest-processes.ts'
import { temporaryDirectory } from '../test/helpers/temporary.ts'
import { median, row, SAMPLES_MIN, type BenchContext, type Row } from './report.ts'

const SERVERS = 200
/** With fewer samples than a figure may stand on: fewer servers. */
const SERVERS_PER_SAMPLE = 5
const MEMORY_BYTES = 16 * GIB
/** The least CPU that a server may be promised; that so many are more than this machine has is not the question here. */
const LIMITS = {
  cpu: 0.05,
  memoryBytes: 64 * MIB,
  diskBytes: 16 * MIB,
  processesMax: 32,
  outputBytesMax: MIB
}
/** Of the first and of the last servers, to see whether a full house is slower to let. */
const ENDS = 10

async function startTime(host: HostClient): Promise<{ id: string; ms: number }> {
  const began = performance.now()
  const { id } = await host.create(serverSpec('echo up; cat', { limits: LIMITS }))
  await host.start(id)
  for await (const chunk of host.output(id, { offset: 0, follow: true })) if (chunk.length > 0) break
  return { id, ms: performance.now() - began }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** A field in KiB of a file of such fields, in bytes. */
function field(path: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readOrEmpty(path))?.[1] ?? 0) * KIB
}

async function memoryOf(stateDir: string, id: string, slot: number): Promise<number> {
  const pids = processesOf(await placesOf(stateDir, id, slot))
  const rollups = pids.map((pid) => `/proc/${pid}/smaps_rollup`)
  const [all, shared] = ['Pss', 'Pss_Shmem'].map((name) => sum(rollups.map((path) => field(path, name))))
  const kernel = pids.find((pid) => readOrEmpty(`/proc/${pid}/cmdline`).startsWith('/linux\0'))
  const { blocks, bfree, bsize } = await statfs(`/proc/${kernel ?? 0}/root/dev/shm`)
  return (all ?? 0) - (shared ?? 0) + Math.max(shared ?? 0, (blocks - bfree) * bsize)
}

const available = (): number => field('/proc/meminfo', 'MemAvailable')

/** Why there is no row with a figure for QEMU. */
function microvm(): Row {
  const flags = /^flags\s*:(.*)$/m.exec(readOrEmpty('/proc/cpuinfo'))?.[1]?.split(' ') ?? []
  // There is a KVM for machines that are guests themselves; it boots kernels that were changed for it.
  const isWhole = existsSync('/dev/kvm') && (flags.includes('vmx') || flags.includes('svm'))
  const missing = isWhole ? 'not compared with' : 'no KVM here that boots an ordinary kernel'
  return { name: `QEMU microvm: ${missing}`, unit: '', value: Number.NaN, samples: 0 }
}

async function fill(
  undo: AsyncDisposableStack,
  artifactsPath: string,
  count: number,
  stop: AbortSignal
): Promise<Row[]> {
  const directory = undo.use(await temporaryDirectory()).path
  const [stateDir, socketPath] = [join(directory, 'state'), join(directory, 'run', 'host.sock')]
  const slice = {
    cpu: count * LIMITS.cpu,
    memoryBytes: count * LIMITS.memoryBytes,
    diskBytes: count * diskShareBytes(LIMITS.diskBytes),
    servers: count
  }
  undo.use(await startDaemon({ stateDir, socketPath, slice, artifactsPath }, { log: quietLog }))
  const host = undo.use(hostClient({ socketPath }))
  undo.defer(async () => {
    for (const { id } of await host.list()) await host.destroy(id)
  })
  const before = available()
  const started: { id: string; ms: number }[] = []
  for (let number = 0; number < count; number++) {
    stop.throwIfAborted()
    started.push(await startTime(host))
  }
  const taken = (before - available()) / count
  const memory: number[] = []
  for (const { id, slot } of await host.ports()) memory.push(await memoryOf(stateDir, id, slot))
  const states = (await host.list()).filter(({ state }) => state === 'running').length
  const times = started.map(({ ms }) => ms)
  return [
    row('idle servers that run at once', 'servers', [states]),
    row(
      '... start of the last ten, from the request to the first output; of the first ten',
      'ms',
      times.slice(-ENDS),
      times.slice(0, ENDS)
    ),
    row('... starts in a second', '1/s', [count / (sum(times) / 1000)]),
    row(
      '... memory of one: processes (PSS) and memory file system',
      'MiB',
      memory.map((bytes) => bytes / MIB)
    ),
    row('... memory that the machine has less of, for each', 'MiB', [taken / MIB]),
    row('... so many would fit into 16 GiB', 'servers', [MEMORY_BYTES / Math.max(taken, median(memory))])
  ]
}

export async function bench({ artifacts, samples }: BenchContext): Promise<Row[]> {
  const stop = new AbortController()
  const interrupted = (): void => stop.abort(new Error('interrupted; everything that was started is gone'))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupted)
  const count = samples < SAMPLES_MIN ? samples * SERVERS_PER_SAMPLE : SERVERS
  try {
    await using undo = new AsyncDisposableStack()
    return [...(await fill(undo, artifacts, count, stop.signal)), microvm()]
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted)
  }
}
