import { rm } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { DISCARD_BUDGET, HostWork, type WorkClock, type WorkTerms } from '../resources/host-work.ts'
import type {
  Adopted,
  LaunchSpec,
  MemoryOutcome,
  OutputStream,
  ProgramExit,
  RunningServer,
  ServerEnd,
  ServerLauncher,
  ServerLimits,
  ServerListener,
  ServerUsage
} from '../virtual-server/types.ts'
import { Turns } from '../virtual-server/channel-turns.ts'
import { MIB } from '../../src/constants.ts'
import { hasCode, HostError, isIShareError } from '../../src/errors.ts'
import { abortable } from './bell.ts'
import { sizeOf, syncDirectory } from './durable-file.ts'
import { GuestGone } from './ending.ts'
import { storedFiles, storeGuestFiles } from './files-tar.ts'
import { logBytesMax, type DaemonTiming } from './limits.ts'
import type { DaemonLog } from './log.ts'
import { OutputSpool } from './output-spool.ts'
import { checkKernel } from './own-kernel.ts'
import type { RulesetStore } from './ruleset-store.ts'
import { SealedLog } from './sealed-log.ts'
import type { ServerBook } from './server-book.ts'
import { limitReason } from './limits-reached.ts'
import { isRestartable, noticed, presentLimits, type ServerRecord } from './server-record.ts'
import type { StateDirectory } from './state-directory.ts'

export interface GuestComponents {
  launcher: ServerLauncher
  directory: StateDirectory
  rulesets: RulesetStore
  timing: DaemonTiming
  /** By which the budgets of guests are filled. @default the machine's */
  workClock?: WorkClock
  /** This boot of the host: processes of an earlier one are gone, whatever has their pids. */
  hostBoot: string
  log: DaemonLog
  /** The CPU for a server that boots now. */
  chooseCpu: () => number
  /** Bytes a second at the disk that go with so much CPU. */
  diskRate: (cpu: number) => Pick<ServerLimits, 'diskBytesPerSecond'>
  /** Host paths of what a server with that image boots from. */
  bootFiles: (imageDigest: string) => Pick<LaunchSpec, 'kernelPath' | 'initrdPath' | 'imagePath'>
}

/** Of output that is thrown away, what is noted at a time. */
const NOTED_BYTES_MIN = MIB

/** The channel closes when the guest dies: how it died says more. @throws GuestGone */
async function unlessGone(running: RunningServer, work: Promise<void>, signal: AbortSignal): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isIShareError(error) || error.code !== 'ERR_CHANNEL_CLOSED') throw error
    throw new GuestGone(await abortable(running.ended, signal))
  }
}

/**
 * The guest of one server: what is done to it, and where what it says is written. It decides nothing; when to do
 * what is the keeper's. Whatever it says is hostile, and no wait for it is without an end.
 */
export class Guest {
  readonly #book: ServerBook
  readonly #with: GuestComponents
  readonly #onExit: (exit: ProgramExit) => Promise<void>
  #spool: OutputSpool | undefined
  #sealedLog: Promise<SealedLog> | undefined
  #running: RunningServer | undefined
  /** The listener of the guest there is: what an earlier one says is not heard any more. */
  #listener: ServerListener | undefined
  #isStarted = false
  readonly #memoryTurns = new Turns()
  readonly #discardWork: HostWork
  /** Of what is thrown away, how far that is on record. */
  #notedBytes = -Infinity
  /** What the guest there is was last asked to do with; undefined when we do not know. */
  #memoryBytes: number | undefined
  /** How it ended, if that was while no daemon was there. */
  #unseenEnd: ServerEnd | undefined

  constructor(book: ServerBook, components: GuestComponents, onExit: (exit: ProgramExit) => Promise<void>) {
    this.#book = book
    this.#with = components
    this.#onExit = onExit
    this.#discardWork = new HostWork(DISCARD_BUDGET, this.#work)
  }

  get running(): RunningServer | undefined {
    return this.#running
  }

  /** The same once its program was started; before that nothing may be sent to it. */
  get started(): RunningServer | undefined {
    return this.#isStarted ? this.#running : undefined
  }

  /** Whole frames in the spool; undefined when it is closed and its file says it all. */
  get spooledBytes(): number | undefined {
    return this.#spool?.fileBytes
  }

  async openSpool(): Promise<void> {
    const { spec, outputSeenBytes, outputTrouble: trouble } = this.#book.record
    this.#spool = await OutputSpool.open({
      path: this.#paths.output,
      bytesMax: spec.limits.outputBytesMax,
      seenBytes: outputSeenBytes,
      mayHaveLost: this.isOfEarlierBoot,
      ...(trouble && { trouble })
    })
    this.#countOutput(this.#spool)
  }

  /** Also of a server that has ended. @throws ERR_LOG_ACCESS */
  sealedLog(): Promise<SealedLog> {
    this.#sealedLog ??= this.#openSealedLog()
    // One that could not be opened is tried again.
    this.#sealedLog.catch(() => (this.#sealedLog = undefined))
    return this.#sealedLog
  }

  /** There was a guest, and the machine has been started again since. */
  get isOfEarlierBoot(): boolean {
    const { process, hostBoot = this.#with.hostBoot } = this.#book.record
    return process !== undefined && hostBoot !== this.#with.hostBoot
  }

  /**
   * A new guest, ready: with its input files, or with the writable layer that earlier ones had. What is left of one
   * that never ran its program is removed.
   */
  async boot(signal: AbortSignal): Promise<void> {
    const { boots } = this.#book.record
    await this.remove({ keepsLayer: boots > 0 })
    await this.finishSealedLog()
    if (boots === 0 || this.#layerPath !== undefined) await this.#with.directory.makeGuest(this.#book.id)
    // Of an earlier life.
    if (this.#layerPath !== undefined) await rm(this.#paths.files, { force: true })
    // A number that was tried is used up.
    if (boots > 0) this.#book.commit({ boots: boots + 1 })
    await this.#checkFiles()
    const sealedLog = await this.sealedLog()
    const log = await sealedLog.begin()
    signal.throwIfAborted()
    // Seen by the next choice of a CPU at once; written below.
    this.#book.set({ hostCpu: this.#with.chooseCpu() })
    const launched = { ...this.#launchSpec(), log }
    this.#running = await this.#with.launcher.launch(launched, this.#listen())
    this.#memoryBytes = launched.limits.memoryBytes
    sealedLog.follow()
    this.#book.commit({ process: this.#running.record, hostBoot: this.#with.hostBoot })
    // Changed meanwhile.
    await this.applyLimits(launched.limits)
    await abortable(this.#running.ready(signal), signal)
    await this.setMemory()
    if (boots === 0) {
      const patience = AbortSignal.any([signal, AbortSignal.timeout(this.#with.timing.stagingMs)])
      await unlessGone(this.#running, this.#stage(this.#running, patience), patience)
    }
    await this.#secureLayer()
    signal.throwIfAborted()
  }

  /** The guest of an earlier daemon, which lives or not; undefined when there is none that could. */
  async adopt(): Promise<Adopted | undefined> {
    const { process } = this.#book.record
    if (process === undefined || this.isOfEarlierBoot) return undefined
    const adopted = await this.#with.launcher.adopt(this.#launchSpec(), process, this.#listen())
    if (!adopted.isAlive) {
      this.#countUsage(adopted.usage)
      this.#unseenEnd = adopted.end
      return adopted
    }
    this.#running = adopted.server
    this.#memoryBytes = undefined
    const sealedLog = await this.sealedLog()
    sealedLog.follow()
    return adopted
  }

  /** Of an adopted guest that runs. @throws ERR_BOOT_TIMEOUT, GuestGone when it has died meanwhile */
  async answers(signal: AbortSignal): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    try {
      await abortable(running.ready(signal), signal)
    } catch (error) {
      if (!hasCode(error, 'ERR_BOOT_FAILED')) throw error
      throw new GuestGone(await abortable(running.ended, signal))
    }
  }

  async run(): Promise<void> {
    const { spec, stdin } = this.#book.record
    await this.#running?.run(spec.program)
    // The daemon that was told may have been killed before the guest was.
    if (stdin.ended) await this.stdinEnd(stdin.takenBytes)
    this.#isStarted = true
    this.#book.changed.ring()
  }

  /** `offset`: bytes that came before, for whatever guest. */
  async stdin(offset: number, data: Uint8Array): Promise<void> {
    await this.#running?.stdin(offset - this.#book.record.base.stdinBytes, data)
  }

  async stdinEnd(offset: number): Promise<void> {
    await this.#running?.stdinEnd(offset - this.#book.record.base.stdinBytes)
  }

  /**
   * How much memory the guest that there is may use; one that comes up later gets what is on record then.
   * @returns undefined where nothing was to be done, or no guest is left for it
   * @throws ERR_CGROUP
   */
  async setMemory(
    bytesOf = (record: ServerRecord): number => presentLimits(record).memoryBytes
  ): Promise<MemoryOutcome | undefined> {
    using _turn = await this.#memoryTurns.take()
    const memoryBytes = bytesOf(this.#book.record)
    if (this.#running === undefined || this.#memoryBytes === memoryBytes) return undefined
    this.#memoryBytes = undefined
    try {
      const outcome = await this.#running.setMemory(memoryBytes)
      this.#memoryBytes = memoryBytes
      return outcome
    } catch (error) {
      if (hasCode(error, 'ERR_CHANNEL_CLOSED')) return undefined
      throw error
    }
  }

  /** What is on record but for memory, to the guest if there is one. `before`: what it has. @throws ERR_CGROUP */
  async applyLimits(before?: ServerLimits): Promise<void> {
    const limits = this.#limits
    if (!isDeepStrictEqual(limits, before)) await this.#running?.setLimits(limits)
  }

  /** Written down first: a daemon that comes in between moves it then. @throws ERR_CGROUP */
  async moveTo(hostCpu: number): Promise<void> {
    this.#book.note({ hostCpu })
    await this.#running?.moveTo(hostCpu)
  }

  /** Its output directory is on the disk. */
  async isCollected(): Promise<boolean> {
    return (await sizeOf(this.#paths.files)) !== undefined
  }

  async removeInput(): Promise<void> {
    await rm(this.#paths.input, { force: true })
  }

  /** No guest boots from it any more. */
  async removeKernel(): Promise<void> {
    await rm(this.#paths.kernel, { force: true })
  }

  /**
   * The output directory as a tar on the disk.
   * @throws GuestGone, or ERR_CHANNEL_CLOSED after a restart, when the guest is gone before that
   */
  async collect(leave: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([leave, AbortSignal.timeout(this.#with.timing.collectMs)])
    const { files: path } = this.#paths
    await this.sampleUsage()
    if ((await sizeOf(path)) === undefined) {
      if (this.#running === undefined) {
        if (this.#unseenEnd !== undefined) throw new GuestGone(this.#unseenEnd)
        throw new HostError('ERR_CHANNEL_CLOSED', 'the guest was gone before its files were collected')
      }
      const bytesMax = this.#book.record.spec.limits.diskBytes
      const storing = storeGuestFiles(this.#running.getFiles(signal), { path, bytesMax, signal })
      await unlessGone(this.#running, storing, signal)
    }
    this.#book.set({ filesBytes: (await sizeOf(path)) ?? 0 })
  }

  /** Asks; a guest that does not is killed when it is removed. */
  async powerOff(leave: AbortSignal): Promise<void> {
    await this.sampleUsage()
    const signal = AbortSignal.any([leave, AbortSignal.timeout(this.#with.timing.powerOffMs)])
    const running = this.#running
    if (running === undefined) return
    try {
      await abortable(running.powerOff(), signal)
      await abortable(running.ended, signal)
    } catch {
      leave.throwIfAborted()
    }
  }

  /** What the guest has used so far; once it is gone the last sample stands. */
  async sampleUsage(): Promise<void> {
    try {
      const used = await this.#running?.usage()
      if (used !== undefined) this.#countUsage(used)
    } catch {
      // The guest is going.
    }
  }

  /** Of this guest so far. A count never goes back: that of one which died unseen may be gone with its group. */
  #countUsage(used: ServerUsage): void {
    const { base, usage: before } = this.#book.record
    this.#book.set({
      usage: {
        cpuSeconds: Math.max(before.cpuSeconds, base.cpuSeconds + used.cpuSeconds),
        memoryPeakBytes: Math.max(before.memoryPeakBytes, used.memoryPeakBytes)
      }
    })
  }

  /** Processes, cgroups and files, of this guest or of an interrupted launch. The results stay. */
  async remove({ keepsLayer }: { keepsLayer: boolean }): Promise<void> {
    await this.#running?.kill()
    await this.sampleUsage()
    this.#running = undefined
    this.#listener = undefined
    this.#isStarted = false
    const { id, record } = this.#book
    await this.#with.launcher.sweep({ id, directory: this.#paths.guest, slot: record.slot, keepsLayer })
    if (!keepsLayer) await this.#with.directory.removeGuest(id)
  }

  /** It runs on, for another daemon. */
  async release(): Promise<void> {
    await this.#running?.release()
    this.#running = undefined
    await this.releaseSealedLog()
  }

  /** Once the guest is gone: what it has pushed down is kept. @throws ERR_LOG_ACCESS, ERR_HOST_STATE */
  async finishSealedLog(): Promise<void> {
    const sealedLog = await this.sealedLog()
    await sealedLog.finish()
  }

  /** Nothing more is taken. */
  async releaseSealedLog(): Promise<void> {
    const sealedLog = await this.#sealedLog?.catch(() => undefined)
    await sealedLog?.release()
  }

  async syncOutput(): Promise<void> {
    await this.#spool?.sync()
  }

  async closeSpool(): Promise<void> {
    const spool = this.#spool
    this.#spool = undefined
    await spool?.[Symbol.asyncDispose]()
  }

  /** What a guest says, in its own counting. */
  #listen(): ServerListener {
    const { outputBytes, stdinBytes } = this.#book.record.base
    const listener: ServerListener = {
      output: async (stream, data, offset) => {
        this.#assertHeard(listener)
        await this.#output(stream, data, outputBytes + offset)
      },
      stdinTaken: (offset) => {
        if (this.#listener === listener) this.#stdinTaken(stdinBytes + offset)
      },
      programExited: async (exit) => {
        this.#assertHeard(listener)
        await this.#onExit(exit)
      },
      limitsReached: (limits) => {
        if (this.#listener === listener) for (const limit of limits) this.#reached(limit)
      }
    }
    this.#listener = listener
    return listener
  }

  /** What a client may forget: on the disk where the server may outlive the machine, as far as that has room. */
  #keepCount(patch: Pick<ServerRecord, 'stdin'>): void {
    try {
      if (isRestartable(this.#book.record)) this.#book.commit(patch)
      else this.#book.note(patch)
    } catch {
      this.#book.note(patch)
    }
  }

  #assertHeard(listener: ServerListener): void {
    if (this.#listener !== listener)
      throw new HostError('ERR_CHANNEL_CLOSED', 'this guest is not heard any more')
  }

  async #output(stream: OutputStream, data: Uint8Array, offset: number): Promise<void> {
    if (this.#spool === undefined) throw new HostError('ERR_SERVER_STATE', 'the spool is not open')
    await this.#spool.append(stream, data, offset)
    // Only what this resolves for is acknowledged: the program waits meanwhile, and what follows comes in larger pieces.
    if (this.#spool.isCut) await this.#discardWork.take(data.length)
    this.#countOutput(this.#spool)
  }

  /** Told once in the life of a guest. */
  #reached(limit: ServerRecord['limitsReached'][number]): void {
    const { record } = this.#book
    if (record.limitsReached.includes(limit)) return
    const patch = {
      limitsReached: [...record.limitsReached, limit],
      ...noticed(record, limitReason(limit, record))
    }
    try {
      this.#book.commit(patch, 'noticed')
    } catch {
      // A disk that is full is no reason to say nothing.
      this.#book.note(patch)
    }
  }

  #stdinTaken(offset: number): void {
    const { stdin } = this.#book.record
    if (!Number.isSafeInteger(offset) || offset <= stdin.takenBytes) return
    this.#keepCount({ stdin: { ...stdin, takenBytes: offset } })
  }

  #countOutput({ keptBytes, seenBytes, trouble, isCut }: OutputSpool): void {
    const patch = {
      outputKeptBytes: keptBytes,
      outputSeenBytes: seenBytes,
      ...(trouble && { outputTrouble: trouble })
    }
    // What was thrown away is in no file: it is noted, often enough; the guest knows the rest, as far as we acknowledged it.
    if (isCut && seenBytes >= this.#notedBytes + NOTED_BYTES_MIN) {
      this.#book.note(patch)
      this.#notedBytes = seenBytes
    } else this.#book.set(patch)
    if (isCut && trouble === undefined) this.#reached('output')
  }

  async #stage(running: RunningServer, signal: AbortSignal): Promise<void> {
    const { input } = this.#paths
    if ((await sizeOf(input)) === undefined) return
    for await (const file of storedFiles(input, signal))
      await abortable(running.putFile(file, signal), signal)
  }

  /** What its tenant was promised by digest. */
  async #checkFiles(): Promise<void> {
    const { kernelDigest, spec } = this.#book.record
    if (kernelDigest !== undefined) await checkKernel(this.#paths.kernel, kernelDigest)
    if (spec.ruleset !== undefined) await this.#with.rulesets.check(spec.ruleset)
  }

  /** The name of a layer that was just made must be there after the machine has died, as its content is. */
  async #secureLayer(): Promise<void> {
    if (!isRestartable(this.#book.record)) return
    await syncDirectory(this.#paths.guest)
    await syncDirectory(this.#paths.top)
  }

  async #openSealedLog(): Promise<SealedLog> {
    const { spec, log: state } = this.#book.record
    const { log, timing } = this.#with
    return SealedLog.open({
      id: spec.id,
      directories: this.#paths,
      bytesMax: logBytesMax(spec.limits.diskBytes),
      state,
      save: (saved) => this.#book.commit({ log: saved }),
      onGrown: (grown) => this.#book.set({ log: grown.state, logRange: grown.range }),
      retryMs: timing.retryMs,
      work: this.#work,
      log
    })
  }

  get #work(): WorkTerms {
    const { workClock: clock } = this.#with
    return { cpu: () => presentLimits(this.#book.record).cpu, ...(clock && { clock }) }
  }

  get #limits(): ServerLimits {
    const limits = presentLimits(this.#book.record)
    return { ...limits, ...this.#with.diskRate(limits.cpu) }
  }

  get #paths(): ReturnType<StateDirectory['server']> {
    return this.#with.directory.server(this.#book.id)
  }

  /** The snapshot that is to become its disk. */
  get #layerPath(): string | undefined {
    const { layer, state } = this.#book.record
    if (layer === undefined || state !== 'booting') return undefined
    return this.#with.directory.snapshot(this.#book.id, layer)
  }

  #launchSpec(): LaunchSpec {
    const { spec, slot, hostCpu = 0, imageDigest, kernelDigest, boots: boot } = this.#book.record
    const directory = this.#paths.guest
    const layerPath = this.#layerPath
    return {
      id: spec.id,
      limits: this.#limits,
      memoryCeilingBytes: spec.limits.memoryBytes,
      ...this.#with.bootFiles(imageDigest),
      ...(kernelDigest !== undefined && { kernelPath: this.#paths.kernel }),
      ...(spec.ruleset !== undefined && { rulesPath: this.#with.rulesets.path(spec.ruleset.digest) }),
      directory,
      slot,
      hostCpu,
      boot,
      isRestartable: isRestartable(this.#book.record),
      ...(layerPath !== undefined && { layerPath })
    }
  }
}
