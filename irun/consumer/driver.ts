/**
 * Keeps one run attached: session after session until the run is settled, the user lets go, or there is nothing
 * left to wait for. This is also the handle that the user holds.
 */
import { PROTOCOL_RUN, SECOND_MS } from '../../src/constants.ts'
import type { Lease, Verified } from '../../src/documents/index.ts'
import { RunError } from '../../src/errors.ts'
import { framedStream } from '../../src/wire/index.ts'
import type { ConsumerLimits } from '../limits.ts'
import { providerMessage, type ConsumerMessage, type ProviderMessage } from '../messages.ts'
import { canTake, hasReached, isFinal } from '../state-machine.ts'
import type { RunClientComponents, RunEvent, RunHandle, RunResult } from '../types.ts'
import { BackOff, pause, unlessAborted } from '../waiting.ts'
import type { AttachedRun } from './attached-run.ts'
import { isFatal, UnreachableError, verdictOn } from './session-errors.ts'
import { ConsumerSession, type ConsumerStream } from './session.ts'

/** setTimeout takes no more; who waits longer comes back within that time. */
const TIMER_MS_MAX = 2 ** 31 - 1

export interface DriverInit {
  run: AttachedRun
  components: RunClientComponents
  limits: ConsumerLimits
  /** Only follows the output: another process may hold the run. */
  isView: boolean
  /** Bring what is missing of the sealed log, before the provider is told that it may forget it. */
  bringLog: (signal: AbortSignal) => Promise<void>
}

export class RunDriver implements RunHandle {
  readonly runId: string
  readonly done: Promise<RunResult>
  readonly #init: DriverInit
  readonly #run: AttachedRun
  readonly #controller = new AbortController()
  readonly #leased = Promise.withResolvers<Verified<Lease>>()
  /** Resolves when the output has ended: where a view is done. */
  readonly #ended: Promise<void>
  readonly #overdue = new AbortController()
  #overdueTimer: NodeJS.Timeout | undefined
  #session: ConsumerSession | undefined
  #wasConnected = false
  #size: { columns: number; rows: number } | undefined

  constructor(init: DriverInit) {
    this.#init = init
    this.#run = init.run
    this.runId = init.run.record.runId
    this.#leased.promise.catch(() => undefined)
    this.#ended = this.#drive()
    this.#ended.catch(() => undefined)
    this.done = this.#ended.then(() => this.#run.result())
    this.done.catch(() => undefined)
  }

  get events(): AsyncIterable<RunEvent> {
    return this.#run.events
  }

  get lease(): Verified<Lease> {
    const { lease } = this.#run
    if (lease === undefined) throw new RunError('ERR_RUN_STATE', `run ${this.runId} has no lease yet`)
    return lease
  }

  /** Resolves when there is a lease. @throws why there will be none */
  async leased(signal?: AbortSignal): Promise<void> {
    await (signal === undefined ? this.#leased.promise : unlessAborted(this.#leased.promise, signal))
  }

  async ended(): Promise<void> {
    await this.#ended
  }

  async writeStdin(data: Uint8Array): Promise<void> {
    await this.#run.stdin.write(data, this.#controller.signal)
  }

  async stdinTaken(signal: AbortSignal): Promise<void> {
    await this.#run.stdin.drained(AbortSignal.any([signal, this.#controller.signal]))
  }

  async endStdin(): Promise<void> {
    this.#run.stdin.end()
  }

  async signal(signalNumber: number): Promise<void> {
    if (this.#session === undefined)
      throw new RunError('ERR_PROVIDER_UNREACHABLE', 'not connected: the signal was not sent')
    await this.#session.signal(signalNumber)
  }

  async resize(size: { columns: number; rows: number }): Promise<void> {
    this.#size = size
    await this.#session?.resize(size)
  }

  async detach(): Promise<void> {
    this.#controller.abort(new RunError('ERR_RUN_DETACHED', `let go of run ${this.runId}; it goes on`))
    await this.done.then(
      () => undefined,
      () => undefined
    )
  }

  async cancel(): Promise<void> {
    if (!hasReached(this.#run.record.state, 'exited')) this.#run.patch({ isCancelled: true })
    await this.#session?.cancel()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.detach()
  }

  async #drive(): Promise<void> {
    try {
      await this.#untilSettled()
    } catch (error) {
      if (isFatal(error) && canTake(this.#run.record.state, 'lose'))
        this.#run.advance('lose', { failure: { code: (error as RunError).code, reasons: [] } })
      this.#leased.reject(error)
      throw error
    } finally {
      clearTimeout(this.#overdueTimer)
      await this.#run[Symbol.asyncDispose]()
    }
  }

  async #untilSettled(): Promise<void> {
    const { limits, isView } = this.#init
    const { signal } = this.#controller
    const backOff = new BackOff(limits.reconnectMsMin, limits.reconnectMsMax)
    this.#noteLease()
    const giveUpAtMs = Date.now() + limits.answerMs
    while (!isFinal(this.#run.record.state) && !(isView && hasReached(this.#run.record.state, 'exited'))) {
      try {
        await this.#attend(backOff)
      } catch (error) {
        signal.throwIfAborted()
        const verdict = this.#released() ?? verdictOn(error)
        if (verdict !== undefined) throw verdict
        this.#checkPatience(error, giveUpAtMs)
        const retryMs = backOff.next()
        this.#run.emit({ type: 'connection', status: 'lost', retryMs, error })
        await pause(retryMs, signal)
      }
    }
    this.#checkFinal()
  }

  /** One session from its stream to its end. */
  async #attend(backOff: BackOff): Promise<void> {
    const { limits, isView, bringLog } = this.#init
    const signal = AbortSignal.any([this.#controller.signal, this.#overdue.signal])
    const stream = await this.#openStream(signal)
    this.#wasConnected = true
    try {
      const session = new ConsumerSession(this.#run, stream, { limits, isView, bringLog })
      await session.open(signal)
      this.#noteLease()
      this.#run.emit({ type: 'connection', status: 'connected' })
      backOff.reset()
      this.#session = session
      if (this.#size !== undefined) await session.resize(this.#size)
      await session.serve(signal)
    } catch (error) {
      // What the timer says counts, not what broke by it.
      const cause: unknown = signal.aborted ? signal.reason : error
      // A peer that lies is not waited for; one that is left hears the last words that were sent to it.
      if (isFatal(verdictOn(cause))) stream.abort(cause as Error)
      throw cause
    } finally {
      this.#session = undefined
      await stream.close()
    }
  }

  async #openStream(signal: AbortSignal): Promise<ConsumerStream> {
    const { components, limits } = this.#init
    const { peer, addresses } = this.#run.record
    const patience = AbortSignal.any([signal, AbortSignal.timeout(limits.answerMs)])
    try {
      const stream = await components.openStream(peer, addresses, PROTOCOL_RUN, patience)
      return framedStream<ProviderMessage, ConsumerMessage>(stream, { messages: providerMessage })
    } catch (error) {
      signal.throwIfAborted()
      throw new UnreachableError(peer, error)
    }
  }

  /** Once there is a lease it has an end: a provider that lets that pass in silence is given up. */
  #armOverdue(lease: Verified<Lease>): void {
    if (this.#overdueTimer !== undefined || hasReached(this.#run.record.state, 'exited')) return
    const leftMs = lease.payload.exp * SECOND_MS + this.#init.limits.overdueMs - Date.now()
    const expire = (): void => {
      const { state, isExtended } = this.#run.record
      if (hasReached(state, 'exited') || isExtended === true) return
      this.#overdue.abort(
        new RunError('ERR_PROVIDER_DISHONEST', `run ${this.runId} has not ended although its lease has`)
      )
    }
    this.#overdueTimer = setTimeout(expire, Math.min(Math.max(0, leftMs), TIMER_MS_MAX)).unref()
  }

  #noteLease(): void {
    const { lease } = this.#run
    if (lease === undefined) return
    this.#armOverdue(lease)
    this.#leased.resolve(lease)
  }

  #released(): RunError | undefined {
    const { state, isCancelled } = this.#run.record
    if (state !== 'released') return undefined
    return isCancelled === true
      ? new RunError('ERR_RUN_CANCELLED', `run ${this.runId} was cancelled before it started`)
      : new RunError('ERR_LEASE_EXPIRED', `the lease of run ${this.runId} was given back unused`)
  }

  /** Without a lease there is nothing to lose: say soon that nobody answers. */
  #checkPatience(error: unknown, giveUpAtMs: number): void {
    const { lease } = this.#run
    const nowMs = Date.now()
    const isHopeless =
      lease === undefined
        ? nowMs > giveUpAtMs || (error instanceof UnreachableError && !this.#wasConnected)
        : nowMs > lease.payload.keepUntil * SECOND_MS + this.#init.limits.overdueMs
    if (!isHopeless) return
    const failure = { code: 'ERR_PROVIDER_UNREACHABLE', reasons: [] }
    if (canTake(this.#run.record.state, 'lose')) this.#run.advance('lose', { failure })
    throw new RunError('ERR_PROVIDER_UNREACHABLE', `${this.#run.record.peer} does not answer`, [], {
      cause: error
    })
  }

  #checkFinal(): void {
    const { state, failure } = this.#run.record
    const released = this.#released()
    if (released !== undefined) throw released
    if (state === 'refused')
      throw new RunError('ERR_RUN_REFUSED', `run ${this.runId} was refused`, failure?.reasons)
    if (state === 'lost')
      throw new RunError('ERR_RUN_UNKNOWN', `run ${this.runId} is lost: ${failure?.code ?? ''}`)
  }
}
