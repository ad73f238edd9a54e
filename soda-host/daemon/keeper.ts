/**
 * Brings one server from wherever it stands to its end.
 *
 * Theory of operation. There is one keeper per server, from its creation (or from the start of a daemon that finds
 * it on record) until it is destroyed, and one asynchronous function in it, `#live`, that does all the work; what
 * clients and the guest ask for is written into the record, and a bell tells `#live` to look.
 *
 *   created ──start──▶ booting ──guest ready, files staged──▶ running ──exit──▶ collecting ──▶ exited
 *      │                │  ▲                                 │  │                  │
 *      │                │  └──────────── restarting ◀────────┤  │                  │
 *      └────────────────┴── stop, expiry, failure ──▶ failed ◀──┴── guest gone ────┘
 *
 * Every arrow is a commit; what must be true before it is done before it, so that a daemon killed at any moment
 * leaves a record from which the next one goes on:
 * - `running` is committed before the program is told to start, and starting twice is a no-op: a program never
 *   starts before its files are staged, and never runs twice. A server found `booting` is booted anew.
 * - `restarting` is committed like the end that it follows, see restart.ts.
 * - `collecting` is committed before the guest hears that its program's exit was taken.
 * - `exited` and `failed` are committed when nothing of the guest is left and the results are on the disk.
 * A commit that fails for a full disk is tried again until it succeeds. The guest is hostile: nothing waits for
 * it without a limit.
 */
import { HostError } from '../../src/errors.ts'
import type { ProgramExit, RunningServer } from '../virtual-server/types.ts'
import type { EventKind, LeaseRequest, Limits, Reason, Server } from './api.ts'
import { changedOr, clockReaches } from './bell.ts'
import { GuestGone, HostRebooted, reasonOf } from './ending.ts'
import { Escalation } from './escalation.ts'
import { FreezeControl } from './freeze-control.ts'
import { Guest, type GuestComponents } from './guest.ts'
import { LeaseWatch } from './lease-watch.ts'
import { limitBehind, limitReason, memoryNotice } from './limits-reached.ts'
import type { DaemonLog } from './log.ts'
import { ServerBook, until, type BookComponents } from './server-book.ts'
import { nextRestart, restartPauseMs, type LifeEnd } from './restart.ts'
import {
  baseOf,
  grantedLimits,
  isEnded,
  isRestartable,
  isToBeFrozen,
  noticed,
  presentLimits,
  type ServerRecord
} from './server-record.ts'

export interface KeeperComponents extends BookComponents, GuestComponents {
  log: DaemonLog
}

/** What a server may use at most while its owner needs the machine; absent: as granted. */
export type ReclaimedCaps = Partial<Pick<ServerRecord, 'reclaimCpuMax' | 'reclaimMemoryMaxBytes'>>

/** A guest that is frozen for a purpose of the host's own. */
export interface Standing extends AsyncDisposable {
  readonly guest: RunningServer
  /** Aborts when its program is to end, or the daemon: it must be let go then. */
  readonly signal: AbortSignal
}

/** Why `#live` stops although the server has not come to its end. */
const LEAVING = new Error('the daemon lets go of this server')

export class Keeper {
  readonly book: ServerBook
  readonly guest: Guest
  readonly #with: KeeperComponents
  /** Aborts everything: the daemon ends, or the server is destroyed. */
  readonly #leave = new AbortController()
  /** Aborts what comes before the program: a stop, or the end of the lease. */
  readonly #cancel = new AbortController()
  readonly #freezing: FreezeControl
  readonly #lease: LeaseWatch
  /** What its tenant knows of. */
  #toldMemoryBytes: number
  #life: Promise<void> = Promise.resolve()

  constructor(record: ServerRecord, components: KeeperComponents) {
    this.#with = components
    this.#toldMemoryBytes = presentLimits(record).memoryBytes
    this.book = new ServerBook(record, components)
    this.guest = new Guest(this.book, components, (exit) => this.#programExited(exit))
    this.#freezing = new FreezeControl(this.book, this.guest, components.log)
    const { timing } = components
    const onEnd = (): void => this.#leaseEnded()
    this.#lease = new LeaseWatch({ book: this.book, guest: this.guest, timing, onEnd })
  }

  /** Begin, or go on from where an earlier daemon stopped. */
  open(): void {
    this.#life = this.#live()
  }

  /** Let the guest run on; another daemon goes on from here. */
  async release(): Promise<void> {
    this.#leave.abort(LEAVING)
    await this.#life
  }

  /** Boot and run; a no-op when that has been done. @throws ERR_SERVER_STATE without the kernel and rules that it shall boot with */
  start(): void {
    const { state, cut, spec, kernelDigest, hasRuleset } = this.book.record
    if (state !== 'created' || cut !== undefined) return
    if (spec.hasOwnKernel === true && kernelDigest === undefined)
      throw new HostError('ERR_SERVER_STATE', `server ${this.book.id} waits for its own kernel`)
    if (spec.ruleset !== undefined && hasRuleset !== true)
      throw new HostError('ERR_SERVER_STATE', `server ${this.book.id} waits for its rules`)
    this.book.commit({ state: 'booting' }, 'booting')
  }

  /** End the program: TERM now, KILL after `graceMs`. The earlier of two KILLs counts. */
  stop(graceMs: number): void {
    const cut = this.#cut({ code: 'stopped', message: 'stopped on request' }, graceMs)
    if (cut === undefined) return
    this.book.commit({ cut })
    this.#cancel.abort()
    void this.#freezing.settleSoon()
  }

  /** The lease goes on for longer. @throws ERR_SERVER_STATE when its end has begun */
  extend(lease: Required<LeaseRequest>): void {
    const { state, cut } = this.book.record
    if (isEnded({ state }) || state === 'collecting' || cut !== undefined)
      throw new HostError('ERR_SERVER_STATE', `server ${this.book.id} is ${cut ? 'being stopped' : state}`)
    const message = `the lease goes on until ${new Date(lease.expiresAtMs).toISOString()}`
    this.book.commit({ lease, ...noticed(this.book.record, { code: 'lease-extended', message }) }, 'noticed')
    this.#lease.moved()
  }

  /**
   * Start the program again in a new guest, whatever its policy says: TERM now, KILL after `graceMs`; at once if it
   * waits to be started again. With the name of a snapshot, its disk becomes that first.
   * @throws ERR_SERVER_STATE unless it runs or waits
   */
  restart(graceMs: number, layer?: string): void {
    const { state, cut, restarts } = this.book.record
    if (cut !== undefined || (state !== 'running' && state !== 'restarting'))
      throw new HostError('ERR_SERVER_STATE', `server ${this.book.id} is ${cut ? 'being stopped' : state}`)
    const next = layer === undefined ? {} : { layer }
    if (state === 'running') this.book.commit({ ...next, again: { killAtMs: Date.now() + graceMs } })
    else if (restarts !== undefined)
      this.book.commit({ ...next, restarts: { ...restarts, dueAtMs: Date.now() } })
    void this.#freezing.settleSoon()
  }

  /**
   * Other limits, from now on. Memory that it gives up is on record as given up when it is: who comes in between finds
   * it promised still.
   * @throws ERR_SERVER_STATE when it has ended, or other memory is wanted of one that is frozen; ERR_CGROUP when the
   * kernel refuses them
   */
  async setLimits(limits: Limits): Promise<void> {
    const { memoryBytes } = grantedLimits(this.book.record)
    if (limits.memoryBytes !== memoryBytes && this.book.record.frozenBy.length > 0)
      throw new HostError('ERR_SERVER_STATE', `server ${this.book.id} is frozen: it cannot give memory back`)
    if (limits.memoryBytes < memoryBytes)
      await this.#setMemory((record) => presentLimits({ ...record, limits }).memoryBytes)
    const { state, isDoomed } = this.book.record
    if (isEnded({ state }) || isDoomed)
      throw new HostError('ERR_SERVER_STATE', `server ${this.book.id} is ${state}`)
    this.book.commit({ limits }, 'resized')
    await this.guest.applyLimits()
    await this.#setMemory()
  }

  /**
   * Stop it where it stands, until a thaw. One that boots is frozen before its program starts.
   * @throws ERR_SERVER_STATE unless it boots or runs, or waits to be started again; ERR_CGROUP when it does not stop:
   * then it is not frozen
   */
  async freeze(): Promise<void> {
    const { state, cut } = this.book.record
    if (!['booting', 'running', 'restarting'].includes(state) || cut !== undefined)
      throw new HostError('ERR_SERVER_STATE', `server ${this.book.id} is ${cut ? 'being stopped' : state}`)
    try {
      await this.#freezeBy('request', true)
    } catch (error) {
      await this.#freezeBy('request', false).catch(() => undefined)
      throw error
    }
  }

  /** Let it go on, unless the owner needs the machine. A no-op when it was not frozen. @throws ERR_CGROUP */
  async thaw(): Promise<void> {
    await this.#freezeBy('request', false)
    await this.#setMemory()
  }

  /** What the owner takes back: all of it, all but so much, or nothing. @throws ERR_CGROUP */
  async reclaim(what: 'frozen' | ReclaimedCaps): Promise<void> {
    const caps = what === 'frozen' ? {} : what
    const { reclaimCpuMax: cpuMax, reclaimMemoryMaxBytes: memoryMaxBytes, ...rest } = this.book.record
    if (cpuMax !== caps.reclaimCpuMax || memoryMaxBytes !== caps.reclaimMemoryMaxBytes) {
      this.book.replace({ ...rest, ...caps })
      await this.guest.applyLimits()
    }
    await this.#freezeBy('reclaim', what === 'frozen')
    await this.#setMemory()
  }

  /** One that is frozen gets there when it is thawed. Its tenant is told. @throws ERR_CGROUP */
  async #setMemory(
    bytesOf = (record: ServerRecord): number => presentLimits(record).memoryBytes
  ): Promise<void> {
    const outcome = await this.#freezing.awake(() => this.guest.setMemory(bytesOf))
    const { record } = this.book
    const memoryBytes = bytesOf(record)
    // A guest that was adopted is asked for what it has already.
    if (outcome === undefined || record.isDoomed || memoryBytes === this.#toldMemoryBytes) return
    this.book.commit(noticed(record, memoryNotice(memoryBytes, outcome)), 'noticed')
    this.#toldMemoryBytes = memoryBytes
  }

  /**
   * The guest stands still until what this resolves with is disposed of, whoever else wants it frozen.
   * @throws ERR_SERVER_STATE unless the program runs
   */
  async standStill(): Promise<Standing> {
    const { running: guest } = this.guest
    const runs = (): boolean =>
      this.book.record.state === 'running' &&
      this.book.record.cut === undefined &&
      this.book.record.again === undefined &&
      this.guest.running === guest
    const stopped = new HostError('ERR_SERVER_STATE', `server ${this.book.id} does not run`)
    if (guest === undefined || !runs()) throw stopped
    const over = new AbortController()
    const signal = AbortSignal.any([this.#leave.signal, over.signal])
    until(this.book.changed, () => !runs(), signal).then(
      () => over.abort(stopped),
      () => undefined
    )
    const hold = await this.#freezing.hold()
    return {
      guest,
      signal,
      async [Symbol.asyncDispose]() {
        over.abort(stopped)
        await hold[Symbol.asyncDispose]()
      }
    }
  }

  async #freezeBy(who: NonNullable<Server['frozenBy']>[number], isWanted: boolean): Promise<void> {
    const before = this.book.record.frozenBy
    const others = before.filter((each) => each !== who)
    const frozenBy = isWanted ? [...others, who] : others
    if (frozenBy.length !== before.length) {
      const isFirst = frozenBy.length === 0 || before.length === 0
      this.book.commit({ frozenBy }, isFirst ? (isWanted ? 'frozen' : 'thawed') : undefined)
    }
    await this.#freezing.settle()
  }

  /** Kill what lives; when this resolves nothing is left but the record and the results. */
  async doom(): Promise<void> {
    try {
      if (!this.book.record.isDoomed) this.book.commit({ isDoomed: true })
    } catch (error) {
      // On a full disk only removing helps. Without the mark, a crash in between leaves a server without results.
      this.#with.log.warn(
        { id: this.book.id, err: error },
        'could not note that the server is being destroyed'
      )
      this.book.set({ isDoomed: true })
    }
    this.#leave.abort(LEAVING)
    await this.#life
    await this.guest.remove({ keepsLayer: false })
    await this.guest.releaseSealedLog()
  }

  /** The living guest while a program runs in it. @throws ERR_SERVER_STATE at any other time */
  async program(signal: AbortSignal): Promise<RunningServer> {
    const isRunning = (): boolean => this.book.record.state === 'running'
    // The state is written first; and a daemon that has just started may not have found the guest yet.
    await until(this.book.changed, () => !isRunning() || this.guest.started !== undefined, signal)
    if (!isRunning() || this.guest.started === undefined)
      throw new HostError(
        'ERR_SERVER_STATE',
        `server ${this.book.id} is ${this.book.record.state}: no program is running`
      )
    return this.guest.started
  }

  async #live(): Promise<void> {
    if (isEnded(this.book.record)) return
    const watch = new AbortController()
    void this.#watchUsage(watch.signal)
    void this.#lease.watch(watch.signal)
    let failure: Reason | undefined
    try {
      await this.#work()
    } catch (error) {
      failure = this.book.record.cut?.reason ?? reasonOf(error)
      if (!this.#leave.signal.aborted) this.#with.log.warn({ id: this.book.id, err: error }, 'server fails')
    } finally {
      watch.abort(LEAVING)
    }
    try {
      if (!this.#leave.signal.aborted) await this.#end(failure)
      if (this.#leave.signal.aborted) await this.#letGo()
      await this.guest.closeSpool()
    } catch (error) {
      this.#with.log.error({ id: this.book.id, err: error }, 'server could not be brought to its end')
    }
  }

  async #work(): Promise<void> {
    const { state, cut } = this.book.record
    if (cut !== undefined && state !== 'running') this.#cancel.abort()
    await until(this.book.changed, () => this.book.record.state !== 'created', this.#beforeProgram)
    await this.guest.openSpool()
    await this.#untilLast(() => this.#takeUp())
    while (this.book.record.state !== 'collecting') await this.#untilLast(() => this.#step())
    await this.#conclude()
  }

  get #beforeProgram(): AbortSignal {
    return AbortSignal.any([this.#leave.signal, this.#cancel.signal])
  }

  /** The guest of an earlier daemon, if there was one. */
  async #takeUp(): Promise<void> {
    const { state } = this.book.record
    if (state === 'booting') return
    const adopted = await this.guest.adopt()
    if (adopted?.isAlive === true) return this.#reapply(this.#leave.signal)
    if (state !== 'running') return
    if (adopted !== undefined) throw new GuestGone(adopted.end)
    throw this.guest.isOfEarlierBoot
      ? new HostRebooted()
      : new HostError('ERR_CHANNEL_CLOSED', 'the guest was gone when the host came back')
  }

  /** From one state to the next. @throws why its guest was lost */
  async #step(): Promise<void> {
    const { state } = this.book.record
    if (state === 'booting') await this.#boot()
    else if (state === 'restarting') await this.#startAgain()
    else await this.#runToExit()
  }

  /** What fails is the end of one guest, and of the server only if no other is to follow. */
  async #untilLast(act: () => Promise<void>): Promise<void> {
    try {
      await act()
    } catch (error) {
      this.#leave.signal.throwIfAborted()
      const { boots, cut, exit, state } = this.book.record
      // The program of an earlier guest has ended, and no other one is to come: its files are there.
      if (cut !== undefined && exit !== undefined) {
        await this.guest.remove({ keepsLayer: true })
        return this.#commitSurely((record) => ({ ...record, state: 'collecting' }))
      }
      // A first guest that does not come up is no program that fails.
      if (state === 'booting' && boots === 0) throw error
      if (!(await this.#restartAfter({ kind: 'lost', reason: reasonOf(error) }))) throw error
      this.#with.log.warn({ id: this.book.id, err: error }, 'guest lost; the server is started again')
    }
  }

  async #boot(): Promise<void> {
    this.#freezing.forget()
    await this.guest.boot(this.#beforeProgram)
    const now = Date.now()
    await this.#commitSurely(({ exit: _ofEarlier, layer: _taken, ...record }) => {
      const startedAtMs = record.startedAtMs ?? now
      return { ...record, state: 'running', startedAtMs, lifeStartedAtMs: now }
    }, 'running')
    // From now on the layer has them.
    await this.guest.removeInput()
    await this.#freezing.settleSoon()
  }

  /** @returns false if that was the last guest */
  async #restartAfter(end: LifeEnd): Promise<boolean> {
    const restarts = nextRestart(this.book.record, end, this.#with.timing, Date.now())
    if (restarts === undefined) return false
    await this.#commitSurely(({ again: _done, exit: _ofEarlier, ...record }) => {
      const exit = end.kind === 'lost' ? {} : { exit: end }
      const { code: cause, message } = restarts.last.reason
      const told = noticed(record, { code: 'restarting', cause, message })
      return { ...record, ...exit, ...told, restarts, state: 'restarting' }
    }, 'restarting')
    return true
  }

  /** Nothing of the old guest stays but its layer; then, in time, the next one. */
  async #startAgain(): Promise<void> {
    await this.#freezing.settleSoon()
    await this.guest.powerOff(this.#leave.signal)
    await this.guest.remove({ keepsLayer: true })
    await this.#untilDue()
    await this.#commitSurely((record) => {
      const { process: _gone, lifeStartedAtMs: _before, ...rest } = record
      // That of the output stays reached.
      const limitsReached = record.limitsReached.filter((limit) => limit === 'output')
      const boots = Math.max(1, record.boots)
      return { ...rest, state: 'booting', boots, base: baseOf(record), limitsReached }
    }, 'booting')
  }

  /** Nobody wants it to wait any more. @throws when it is to end instead */
  async #untilDue(): Promise<void> {
    const { timing } = this.#with
    const { restarts } = this.book.record
    // Whatever became of the clock meanwhile.
    const latestMs = Date.now() + restartPauseMs(restarts?.streak ?? 0, timing)
    for (;;) {
      const changed = this.book.changed.next()
      if (this.book.record.cut !== undefined) this.#cancel.abort()
      this.#beforeProgram.throwIfAborted()
      const dueAtMs = Math.min(latestMs, this.book.record.restarts?.dueAtMs ?? 0)
      const isHeld = this.book.record.frozenBy.length > 0
      if (!isHeld && dueAtMs <= Date.now()) return
      await changedOr(changed, isHeld ? undefined : dueAtMs - Date.now(), this.#beforeProgram)
    }
  }

  async #conclude(): Promise<void> {
    const leave = this.#leave.signal
    await this.#freezing.settleSoon()
    if (this.guest.running === undefined && !(await this.guest.isCollected())) await this.#bootForFiles()
    await this.guest.collect(leave)
    await this.guest.powerOff(leave)
  }

  /** The program has ended, and its guest is gone: if it left its layer, another one hands over what is in it. */
  async #bootForFiles(): Promise<void> {
    if (!isRestartable(this.book.record) && this.book.record.boots === 0) {
      if (this.guest.isOfEarlierBoot) throw new HostRebooted()
      return
    }
    await this.#commitSurely((record) => ({ ...record, boots: Math.max(1, record.boots) }))
    await this.guest.boot(this.#leave.signal)
  }

  /** What was decided, and perhaps not done, when the earlier daemon was killed. */
  async #reapply(leave: AbortSignal): Promise<void> {
    await this.#freezing.settleSoon()
    // One that is frozen answers when it is thawed.
    if (!isToBeFrozen(this.book.record)) await this.guest.answers(leave)
    try {
      await this.guest.applyLimits()
      await this.guest.moveTo(this.book.record.hostCpu ?? 0)
      await this.#setMemory()
    } catch (error) {
      this.#with.log.warn(
        { id: this.book.id, err: error },
        'could not set the limits of an adopted guest again'
      )
    }
  }

  async #runToExit(): Promise<void> {
    const { running } = this.guest
    if (running === undefined) return
    const gone = running.ended.then((end) => {
      throw new GuestGone(end)
    })
    gone.catch(() => undefined)
    const isOver = (): boolean => this.book.record.state !== 'running'
    const over = until(this.book.changed, isOver, this.#leave.signal)
    over.catch(() => undefined)
    const done = new AbortController()
    try {
      await Promise.race([over, gone, Promise.all([this.guest.run(), this.#escalate(running, done.signal)])])
    } finally {
      done.abort(LEAVING)
    }
  }

  /** Never resolves; rejects when the guest does not take a signal. */
  async #escalate(running: RunningServer, signal: AbortSignal): Promise<never> {
    const escalation = new Escalation(running, this.#with.timing.killPatienceMs)
    for (;;) {
      const changed = this.book.changed.next()
      const { cut, again } = this.book.record
      await changedOr(changed, await escalation.step(cut ?? again), signal)
    }
  }

  async #programExited(exit: ProgramExit): Promise<void> {
    if (this.book.record.state !== 'running' || (await this.#restartAfter(exit))) return
    await this.#commitSurely((record) => ({ ...record, exit, state: 'collecting' }))
  }

  async #commitSurely(next: (record: ServerRecord) => ServerRecord, kind?: EventKind): Promise<void> {
    await this.book.commitSurely(next, kind, this.#patience)
  }

  /** Nothing of the guest stays; then the record says so, however long that takes. */
  async #end(failure: Reason | undefined): Promise<void> {
    const state = failure === undefined ? 'exited' : 'failed'
    try {
      await this.#surely('remove the guest', () => this.guest.remove({ keepsLayer: false }))
      await this.#surely('keep the sealed log', () => this.guest.finishSealedLog())
      await this.guest.removeKernel()
      await this.guest.syncOutput().catch((error: unknown) => {
        this.#with.log.error({ id: this.book.id, err: error }, 'output may not be on the disk')
      })
      await this.#commitSurely((record) => ended(record, state, failure), state)
      this.#with.log.info({ id: this.book.id, state, reason: this.book.record.reason }, 'server ended')
    } catch {
      // Let go before the disk had room again: the next daemon comes to the same end.
    }
  }

  /** What still lives holds its part of the slice, and what is not kept is lost: the record must not say otherwise. */
  async #surely(what: string, action: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await action()
        return
      } catch (error) {
        this.#with.log.error({ id: this.book.id, err: error }, `could not ${what}; trying again`)
      }
      await clockReaches(Date.now() + this.#with.timing.retryMs, this.#leave.signal)
    }
  }

  /** Before its program runs a guest is worth nothing: the next daemon boots another. */
  async #letGo(): Promise<void> {
    const { state, isDoomed, boots } = this.book.record
    // A guest that is let go of goes on.
    await this.#freezing.held()
    if (!isDoomed && (state === 'running' || state === 'collecting')) await this.guest.release()
    else if (!isEnded({ state })) {
      await this.guest.remove({ keepsLayer: !isDoomed && (boots > 0 || state === 'restarting') })
      await this.guest.releaseSealedLog()
    }
  }

  get #patience(): { retryMs: number; signal: AbortSignal } {
    return { retryMs: this.#with.timing.retryMs, signal: this.#leave.signal }
  }

  #cut(reason: Reason, graceMs: number): ServerRecord['cut'] {
    const { state, cut } = this.book.record
    if (isEnded({ state }) || state === 'collecting') return undefined
    const killAtMs = Math.min(cut?.killAtMs ?? Infinity, Date.now() + graceMs)
    return { reason: cut?.reason ?? reason, killAtMs }
  }

  #leaseEnded(): void {
    const reason = { code: 'lease-expired', message: 'the lease has expired' }
    const cut = this.#cut(reason, this.#with.timing.stopGraceMs)
    if (cut === undefined) return
    // Not worth a commit: the next daemon sees the clock too.
    this.book.note({ cut })
    void this.#freezing.settleSoon()
    if (this.book.record.state !== 'running') this.#cancel.abort()
  }

  async #watchUsage(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await clockReaches(Date.now() + this.#with.timing.usageMs, signal).catch(() => undefined)
      await this.guest.sampleUsage()
    }
  }
}

function ended(record: ServerRecord, state: 'exited' | 'failed', failure: Reason | undefined): ServerRecord {
  const { process: _gone, again: _undone, ...rest } = record
  const reason =
    record.cut?.reason ??
    failure ??
    limitBehind(record, record.exit) ??
    record.outputTrouble ??
    (record.limitsReached.includes('output') ? limitReason('output', record) : undefined)
  return { ...rest, state, endedAtMs: Date.now(), ...(reason !== undefined && { reason }) }
}
