import { execa } from 'execa'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { chmod, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { createReadStream } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { dirname, join, normalize, relative, sep } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { HostError } from '../../src/errors.ts'
import {
  isAlive,
  isRunning,
  killProcess,
  processGone,
  startTimeOf,
  type ProcessIdentity
} from '../../soda-host/virtual-server/process-identity.ts'
import type {
  Adopted,
  GuestFile,
  GuestImage,
  GuestSession,
  MemoryOutcome,
  LaunchSpec,
  ProcessRecord,
  ProgramSpec,
  RunningServer,
  ServerEnd,
  ServerLauncher,
  ServerListener,
  ServerUsage,
  SweepSpec,
  TerminalSize
} from '../../soda-host/virtual-server/types.ts'
import { FAKE_IMAGE } from './fake-image.ts'
import { fakeSession } from './fake-session.ts'
import { FAKE_WINDOW_BYTES, type FakeCommand, type FakeEvent } from './fake-protocol.ts'

/**
 * A launcher without guests: the program runs as a host process below the server's directory (working directory
 * `guest/work`, outputs in `guest/out`), behind a process of its own that outlives the daemon. Nothing is
 * contained: only for the project's own test programs. It passes the launcher's compliance suite.
 */
export function fakeLauncher(): ServerLauncher {
  return { launch, adopt, sweep }
}

async function launch(spec: LaunchSpec, listener: ServerListener): Promise<RunningServer> {
  for (const path of [spec.kernelPath, spec.initrdPath, spec.imagePath])
    if (!existsSync(path)) throw new HostError('ERR_BOOT_FAILED', `no such file: ${path}`)
  if (!(spec.boot ?? 0) || spec.layerPath !== undefined)
    await rm(join(spec.directory, 'guest'), { recursive: true, force: true })
  else if (!existsSync(join(spec.directory, 'guest')))
    throw new HostError('ERR_BOOT_FAILED', 'the layer of the earlier guest is gone')
  if (spec.layerPath !== undefined) await execa('tar', ['-C', spec.directory, '-xf', spec.layerPath])
  await mkdir(join(spec.directory, 'guest', 'work'), { recursive: true })
  await mkdir(join(spec.directory, 'guest', 'out'), { recursive: true })
  const script = join(import.meta.dirname, '..', 'fixtures', 'fake-guest.ts')
  const child = spawn(process.execPath, [script, spec.directory], { detached: true, stdio: 'ignore' })
  child.unref()
  const startTime = child.pid === undefined ? undefined : startTimeOf(child.pid)
  if (child.pid === undefined || startTime === undefined)
    throw new HostError('ERR_BOOT_FAILED', 'the fake guest did not start')
  const record = { pid: child.pid, startTime, cgroups: [] }
  return new FakeServer(spec.directory, record, listener)
}

async function adopt(spec: LaunchSpec, record: ProcessRecord, listener: ServerListener): Promise<Adopted> {
  if (isAlive(record)) return { isAlive: true, server: new FakeServer(spec.directory, record, listener) }
  const end = endIn(spec.directory)
  await sweep({ ...spec, keepsLayer: true })
  return { isAlive: false, end, usage: { cpuSeconds: 0, memoryPeakBytes: 0 } }
}

function endIn(directory: string): ServerEnd {
  if (existsSync(join(directory, 'halted'))) return { kind: 'halted', detail: '' }
  return { kind: 'killed', detail: 'killed from outside' }
}

async function sweep({
  directory,
  keepsLayer = false
}: Pick<SweepSpec, 'directory' | 'keepsLayer'>): Promise<void> {
  // By its command line: a daemon may be killed right after the guest was started, before it wrote anything down.
  for (const record of guestsOf(directory)) {
    killProcess(record)
    await processGone(record)
  }
  // A guest's programs die with it; one may fork while we look.
  for (let left = programsOf(directory); left.length > 0; left = programsOf(directory))
    for (const record of left) {
      killProcess(record)
      await processGone(record)
    }
  for (const name of ['fake.sock', 'halted', ...(keepsLayer ? [] : ['guest'])])
    await rm(join(directory, name), { recursive: true, force: true })
}

function guestsOf(directory: string): ProcessIdentity[] {
  return processesThat((pid) => isGuestOf(directory, pid))
}

function programsOf(directory: string): ProcessIdentity[] {
  const within = join(directory, 'guest') + sep
  return processesThat((pid) => isRunning(pid) && workingDirectoryOf(pid).startsWith(within))
}

function processesThat(isOne: (pid: number) => boolean): ProcessIdentity[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name)
    const startTime = Number.isInteger(pid) ? startTimeOf(pid) : undefined
    return startTime !== undefined && isOne(pid) ? [{ pid, startTime }] : []
  })
}

function workingDirectoryOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return ''
  }
}

function isGuestOf(directory: string, pid: number): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return words.some((word) => word.endsWith('/fake-guest.ts')) && words.includes(directory)
  } catch {
    return false
  }
}

class FakeServer implements RunningServer {
  readonly record: ProcessRecord
  readonly ended: Promise<ServerEnd>
  readonly #directory: string
  readonly #listener: ServerListener
  readonly #hello = Promise.withResolvers<undefined>()
  readonly #stopping = new AbortController()
  #socket: Socket | undefined
  #closed: Promise<void> = Promise.resolve()
  #isGone = false
  #usage: ServerUsage = { cpuSeconds: 0, memoryPeakBytes: 0 }
  #killed = false
  #events: Promise<void> = Promise.resolve()
  #stdinSent = 0
  #stdinTaken = 0
  #stdinMoved = Promise.withResolvers<undefined>()

  constructor(directory: string, record: ProcessRecord, listener: ServerListener) {
    this.#directory = directory
    this.record = record
    this.#listener = listener
    this.#hello.promise.catch(() => undefined)
    this.ended = this.#end()
    void this.#connect()
  }

  async ready(signal?: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<never>()
    const abort = (): void => aborted.reject(signal?.reason as Error)
    signal?.addEventListener('abort', abort)
    try {
      signal?.throwIfAborted()
      await Promise.race([this.#hello.promise, aborted.promise])
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  async putFile(file: GuestFile, signal?: AbortSignal): Promise<void> {
    this.#assertHere()
    const path = normalize(file.path)
    if (path.startsWith('..') || path.startsWith('/'))
      throw new HostError('ERR_FILES_FORMAT', `path leaves the directory: ${file.path}`)
    const target = join(this.#directory, 'guest', 'work', path)
    await mkdir(file.kind === 'directory' ? target : dirname(target), { recursive: true })
    if (file.kind === 'file') await writeFile(target, file.content, signal && { signal })
    await chmod(target, file.mode)
  }

  async run(program: ProgramSpec): Promise<void> {
    await this.#send({ type: 'run', program })
  }

  async stdin(offset: number, data: Uint8Array): Promise<void> {
    this.#assertHere()
    await this.#hello.promise
    while (this.#stdinSent - this.#stdinTaken >= FAKE_WINDOW_BYTES) {
      await this.#stdinMoved.promise
      this.#assertHere()
    }
    this.#stdinSent = Math.max(this.#stdinSent, offset + data.length)
    await this.#send({ type: 'stdin', offset, data: Buffer.from(data).toString('base64') })
  }

  async stdinEnd(): Promise<void> {
    await this.#send({ type: 'stdinEnd' })
  }

  async signal(signal: number): Promise<void> {
    await this.#send({ type: 'signal', signal })
  }

  async resize(size: TerminalSize): Promise<void> {
    await this.#send({ type: 'resize', size })
  }

  async exec(program: ProgramSpec): Promise<GuestSession> {
    this.#assertHere()
    return fakeSession(program, {
      directory: join(this.#directory, 'guest'),
      ended: this.ended,
      isAlive: () => isAlive(this.record)
    })
  }

  async *getFiles(signal?: AbortSignal): AsyncGenerator<GuestFile> {
    this.#assertHere()
    const top = join(this.#directory, 'guest', 'out')
    for (const entry of await readdir(top, { recursive: true, withFileTypes: true })) {
      signal?.throwIfAborted()
      this.#assertHere()
      const path = join(entry.parentPath, entry.name)
      const kind = entry.isFile() ? 'file' : entry.isDirectory() ? 'directory' : undefined
      if (kind === undefined) continue
      const { mode, size } = await stat(path)
      const sizeBytes = kind === 'file' ? size : 0
      const content = sizeBytes === 0 ? nothing() : createReadStream(path, { end: sizeBytes - 1 })
      yield { path: relative(top, path), mode: mode & 0o777, sizeBytes, kind, content }
    }
  }

  async powerOff(): Promise<void> {
    await this.#send({ type: 'powerOff' })
  }

  async kill(): Promise<void> {
    this.#killed = true
    killProcess(this.record)
    await this.ended
  }

  async usage(): Promise<ServerUsage> {
    if (isAlive(this.record)) this.#usage = usageOf(this.record.pid)
    return this.#usage
  }

  async setLimits(): Promise<void> {
    this.#assertHere()
  }

  async setMemory(): Promise<MemoryOutcome> {
    this.#assertHere()
    return 'given'
  }

  async moveTo(): Promise<void> {
    this.#assertHere()
  }

  async freeze(): Promise<void> {
    this.#assertHere()
    // Twice: one may have forked before it stood still.
    for (let round = 0; round < 2; round++) signalFamily(this.record.pid, 'SIGSTOP')
  }

  async thaw(): Promise<void> {
    this.#assertHere()
    signalFamily(this.record.pid, 'SIGCONT')
  }

  async layerBytes(): Promise<number> {
    return Number((await execa('du', ['-sB1', join(this.#directory, 'guest')])).stdout.split('\t')[0])
  }

  async copyLayer(path: string): Promise<void> {
    await execa('tar', ['-C', this.#directory, '-cf', path, 'guest'])
  }

  async image(): Promise<GuestImage> {
    this.#assertHere()
    return { ...FAKE_IMAGE, [Symbol.asyncDispose]: async () => undefined }
  }

  async release(): Promise<void> {
    this.#stopping.abort()
    this.#socket?.destroy()
    await this.#events
  }

  async #end(): Promise<ServerEnd> {
    try {
      await processGone(this.record, this.#stopping.signal)
    } catch {
      // Released: nobody watches this server any more, and its end is another's to see.
      return new Promise(() => undefined)
    }
    this.#isGone = true
    const end = endIn(this.#directory)
    // What the guest had sent before it died is still in the socket.
    await this.#closed
    await this.#events
    this.#stopping.abort()
    this.#socket?.destroy()
    this.#hello.reject(new HostError('ERR_BOOT_FAILED', 'the guest is gone'))
    this.#stdinMoved.resolve(undefined)
    await sweep({ directory: this.#directory, keepsLayer: true })
    return this.#killed ? { kind: 'killed', detail: 'killed by the host' } : end
  }

  async #connect(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const socket = createConnection(join(this.#directory, 'fake.sock'))
      this.#socket = socket
      this.#closed = new Promise<void>((resolve) => {
        socket.on('error', () => socket.destroy())
        socket.on('close', () => resolve())
      })
      let isRefused = false
      const lines = createInterface({ input: socket }).on('error', () => socket.destroy())
      lines.on('line', (line) => {
        const event = JSON.parse(line) as FakeEvent & { sequence: number }
        // After a refusal nothing more is taken from this connection, or order would be lost.
        this.#events = this.#events
          .then(() => (isRefused ? undefined : this.#take(event)))
          .catch(() => {
            isRefused = true
            socket.destroy()
          })
      })
      await this.#closed
      await delay(10, undefined, { ref: false })
    }
  }

  async #take(event: FakeEvent & { sequence: number }): Promise<void> {
    // Once let go, what arrives is not acknowledged, so it comes again to the next daemon.
    if (this.#stopping.signal.aborted) return
    if (event.type === 'output')
      await this.#listener.output(event.stream, Buffer.from(event.data, 'base64'), event.offset)
    else if (event.type === 'exit') await this.#listener.programExited(event.exit)
    else if (event.type === 'stdinTaken') this.#stdinReached(event.offset)
    else {
      this.#stdinSent = event.stdinReceived
      this.#stdinReached(event.stdinTaken)
      this.#hello.resolve(undefined)
      return
    }
    this.#socket?.write(
      `${JSON.stringify({ type: 'ack', sequence: event.sequence } satisfies FakeCommand)}\n`
    )
  }

  #stdinReached(offset: number): void {
    this.#stdinTaken = offset
    this.#stdinMoved.resolve(undefined)
    this.#stdinMoved = Promise.withResolvers()
    this.#listener.stdinTaken(offset)
  }

  async #send(command: FakeCommand): Promise<void> {
    this.#assertHere()
    await this.#hello.promise
    this.#assertHere()
    this.#socket?.write(`${JSON.stringify(command)}\n`)
  }

  #assertHere(): void {
    if (this.#isGone || !isAlive(this.record)) throw new HostError('ERR_CHANNEL_CLOSED', 'the guest is gone')
  }
}

/** A process and all that descend from it. */
function signalFamily(pid: number, signal: NodeJS.Signals): void {
  for (const each of familyOf(pid))
    try {
      process.kill(each, signal)
    } catch {
      // It ended meanwhile.
    }
}

function familyOf(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return [pid, ...children.split(' ').filter(Boolean).map(Number).flatMap(familyOf)]
  } catch {
    return []
  }
}

function usageOf(pid: number): ServerUsage {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')
  const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return {
    cpuSeconds: (Number(fields[13]) + Number(fields[14])) / 100,
    memoryPeakBytes: Number(peak ?? 0) * 1024
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  // A directory or an empty file has no content.
}
