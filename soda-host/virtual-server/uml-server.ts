import type { OutboundRates } from '../switch/types.ts'
import { setTimeout as delay } from 'node:timers/promises'
import { HostError } from '../../src/errors.ts'
import { hostKnobs, type HostKnobs } from '../resources/limits.ts'
import type { ServerCgroup } from '../resources/cgroup-types.ts'
import type { GuestChannel } from './channel-types.ts'
import { limitDisk } from './disk-rate.ts'
import { bury } from './guest-end.ts'
import { openFilePart } from './guest-image.ts'
import { allocatedBytes, copySparse } from './layer-copy.ts'
import { orderMemory } from './memory-balloon.ts'
import { heldMemoryBytes, openMemoryImage } from './memory-image.ts'
import { isAlive, killProcess, processGone } from './process-identity.ts'
import { namespaceUsage } from './process-usage.ts'
import type { ServerFiles } from './server-files.ts'
import { continueTasks, moveTasks, stopTasks } from './server-tasks.ts'
import type {
  GuestFile,
  GuestImage,
  GuestSession,
  MemoryOutcome,
  ProcessRecord,
  ProgramSpec,
  RunningServer,
  ServerEnd,
  ServerLimits,
  ServerUsage,
  TerminalSize
} from './types.ts'

export interface UmlServerInit {
  record: ProcessRecord
  /** As they are now. */
  limits: ServerLimits
  files: ServerFiles
  group: ServerCgroup
  channel: GuestChannel
  bootTimeoutMs: number
  /** Sets the rates of its port on the switch. */
  setOutbound: (rates: OutboundRates) => Promise<void>
}

/** A guest without its channel may take this long to end by itself. */
const LAST_WORDS_MS = 2000
/** How often usage is looked up where no cgroup counts it. */
const SAMPLE_MS = 500
const NOT_COUNTED = { cpuSeconds: undefined, memoryPeakBytes: undefined }
/** The listener may write to a slow disk. */
const DELIVERY_PATIENCE_MS = 30_000

/**
 * A living guest: its processes and its control channel.
 *
 * States: alive → ended (its first process is gone, by whatever cause; then everything else of it is removed), or
 * alive → released (we stopped looking; it lives on). Both are final.
 */
export class UmlServer implements RunningServer {
  readonly record: ProcessRecord
  readonly ended: Promise<ServerEnd>
  #limits: ServerLimits
  readonly #files: ServerFiles
  readonly #group: ServerCgroup
  readonly #channel: GuestChannel
  readonly #bootTimeoutMs: number
  readonly #setOutbound: UmlServerInit['setOutbound']
  readonly #released = new AbortController()
  /** Why we killed it, if we did. */
  #killReason: string | undefined
  #usage: ServerUsage = { cpuSeconds: 0, memoryPeakBytes: 0 }
  #isEnded = false

  constructor({ record, limits, files, group, channel, bootTimeoutMs, setOutbound }: UmlServerInit) {
    this.record = record
    this.#limits = limits
    this.#files = files
    this.#group = group
    this.#channel = channel
    this.#bootTimeoutMs = bootTimeoutMs
    this.#setOutbound = setOutbound
    this.ended = this.#watch()
    void this.#watchChannel()
  }

  /** What it is granted, in CPUs. */
  get cpu(): number {
    return this.#limits.cpu
  }

  async ready(signal?: AbortSignal): Promise<void> {
    const timeout = AbortSignal.timeout(this.#bootTimeoutMs)
    const gone = this.ended.then(({ kind, detail }) => {
      throw new HostError('ERR_BOOT_FAILED', `the guest ended before it answered: ${kind} ${detail}`)
    })
    try {
      await Promise.race([gone, this.#channel.ready(AbortSignal.any(signal ? [signal, timeout] : [timeout]))])
    } catch (cause) {
      signal?.throwIfAborted()
      if (timeout.aborted)
        throw new HostError('ERR_BOOT_TIMEOUT', `the guest did not answer within ${this.#bootTimeoutMs} ms`, {
          cause
        })
      // A channel that closes because the guest died: how it died says more.
      if (cause instanceof HostError && cause.code === 'ERR_CHANNEL_CLOSED' && !this.#released.signal.aborted)
        await gone
      throw cause
    }
  }

  async putFile(file: GuestFile, signal?: AbortSignal): Promise<void> {
    await this.#channel.putFile(file, signal)
  }

  async run(program: ProgramSpec): Promise<void> {
    await this.#channel.run(program)
  }

  async stdin(offset: number, data: Uint8Array): Promise<void> {
    await this.#channel.stdin(offset, data)
  }

  async stdinEnd(offset: number): Promise<void> {
    await this.#channel.stdinEnd(offset)
  }

  async signal(signal: number): Promise<void> {
    await this.#channel.signal(signal)
  }

  async resize(size: TerminalSize): Promise<void> {
    await this.#channel.resize(size)
  }

  async exec(program: ProgramSpec): Promise<GuestSession> {
    return this.#channel.exec(program)
  }

  getFiles(signal?: AbortSignal): AsyncIterable<GuestFile> {
    return this.#channel.getFiles(signal)
  }

  async powerOff(): Promise<void> {
    await this.#channel.powerOff()
  }

  async kill(): Promise<void> {
    this.#kill('killed by the host')
    await this.ended
  }

  async setLimits(limits: ServerLimits): Promise<void> {
    this.#assertHere()
    this.#limits = { ...limits, memoryBytes: this.#limits.memoryBytes }
    const knobs = hostKnobs(this.#limits)
    await this.#group.limit(knobs)
    await limitDisk(this.#group, this.#files, this.#limits)
    await this.#setOutbound(knobs.outbound)
  }

  /** More: the host's limit first. Less: the guest first, since its host ends what is beyond the limit. */
  async setMemory(memoryBytes: number): Promise<MemoryOutcome> {
    this.#assertHere()
    const isMore = memoryBytes > this.#limits.memoryBytes
    const limits = { ...this.#limits, memoryBytes }
    const knobs = hostKnobs(limits)
    if (isMore) await this.#group.limitMemory(knobs.memoryMaxBytes)
    const outcome = await orderMemory(this.#files.balloonSocket, knobs.guestMemoryBytes)
    this.#assertHere()
    this.#limits = limits
    if (!isMore) await this.#boundMemory(knobs)
    return outcome
  }

  async moveTo(hostCpu: number): Promise<void> {
    this.#assertHere()
    if (!(await this.#group.placeOn(hostCpu))) await moveTasks(this.record.pid, hostCpu)
  }

  async freeze(): Promise<void> {
    this.#assertHere()
    if (!(await this.#group.freeze())) await stopTasks(this.record.pid)
  }

  async thaw(): Promise<void> {
    this.#assertHere()
    if (!(await this.#group.thaw())) continueTasks(this.record.pid)
  }

  async layerBytes(): Promise<number> {
    this.#assertHere()
    return allocatedBytes(this.#files.disk)
  }

  async copyLayer(path: string, signal: AbortSignal): Promise<void> {
    this.#assertHere()
    await copySparse(this.#files.disk, path, signal)
  }

  async image(): Promise<GuestImage> {
    this.#assertHere()
    await using undo = new AsyncDisposableStack()
    const memory = undo.use(await openMemoryImage(this.record.pid))
    const disk = undo.use(await openFilePart(this.#files.disk))
    const resources = undo.move()
    return { memory, disk, [Symbol.asyncDispose]: () => resources.disposeAsync() }
  }

  /** Answers after the end too, with the last figures. */
  async usage(): Promise<ServerUsage> {
    if (!this.#isEnded) this.#count(await this.#group.usage())
    return { ...this.#usage }
  }

  async release(): Promise<void> {
    this.#released.abort()
    await this.#channel.close()
  }

  async #watch(): Promise<ServerEnd> {
    // Nobody else keeps the figures of processes that are gone.
    const sampling =
      this.#group.paths.length === 0 ? setInterval(() => this.#count(NOT_COUNTED), SAMPLE_MS) : undefined
    sampling?.unref()
    try {
      await processGone(this.record, this.#released.signal)
    } catch {
      // Released: what becomes of the guest is for its next keeper to see.
      return await new Promise(() => undefined)
    } finally {
      clearInterval(sampling)
    }
    const { end, usage } = await bury(this.#files, this.#group, this.#killReason)
    this.#isEnded = true
    this.#count(usage)
    // What the guest had sent before it died is delivered first.
    await Promise.race([this.#channel.closed, delay(DELIVERY_PATIENCE_MS, undefined, { ref: false })])
    await this.#channel.close()
    return end
  }

  /** A guest that breaks the protocol or has rebooted has lost its program: it is of no more use. */
  async #watchChannel(): Promise<void> {
    const error = await this.#channel.closed
    // A guest that halts or panics closes its channel first, and then has a moment to end by itself.
    if (error.code === 'ERR_CHANNEL_CLOSED')
      await Promise.race([this.ended, delay(LAST_WORDS_MS, undefined, { ref: false })])
    if (!this.#released.signal.aborted) this.#kill(`killed by the host: ${error.message}`)
  }

  #kill(reason: string): void {
    if (this.#isEnded || !killProcess(this.record)) return
    this.#killReason ??= reason
    // Where a frozen process does not die, it does as soon as it may run.
    this.#group.thaw().catch(() => undefined)
  }

  /** Whatever the guest has done: with so much it goes on, or not at all. */
  async #boundMemory({ memoryMaxBytes, memoryFileSystemBytes }: HostKnobs): Promise<void> {
    const isBound = await this.#group.limitMemory(memoryMaxBytes).catch(() => undefined)
    if (isBound === true) return
    // v1 sets no limit that is exceeded; without cgroups we look ourselves, once.
    if (isBound === false && (await heldMemoryBytes(this.record.pid)) <= memoryFileSystemBytes) return
    this.#kill('killed by the host: it did not give memory back')
    await this.ended
  }

  #assertHere(): void {
    if (this.#isEnded || !isAlive(this.record)) throw new HostError('ERR_CHANNEL_CLOSED', 'the guest is gone')
  }

  /** Figures never go back: without a cgroup the last look at the processes counts. */
  #count({
    cpuSeconds,
    memoryPeakBytes
  }: {
    cpuSeconds: number | undefined
    memoryPeakBytes: number | undefined
  }): void {
    const seen =
      cpuSeconds === undefined || memoryPeakBytes === undefined ? namespaceUsage(this.record.pid) : undefined
    this.#usage = {
      cpuSeconds: Math.max(this.#usage.cpuSeconds, cpuSeconds ?? seen?.cpuSeconds ?? 0),
      memoryPeakBytes: Math.max(this.#usage.memoryPeakBytes, memoryPeakBytes ?? seen?.memoryPeakBytes ?? 0)
    }
  }
}
