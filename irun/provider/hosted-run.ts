/**
 * One run at the provider, whoever is connected.
 *
 * `supervise` drives it from whatever state its record has to a final one: gives back leases that are not used,
 * waits for the program, signs the receipt, keeps the result for its time, destroys the server. After a crash
 * it is simply started again on the record: each thing it does at the host can be repeated. A state is
 * committed before its effect where the effect can be repeated (`booting`, `collected`), and after it where it
 * cannot be undone by a sweep.
 */
import { NOTICES_MAX, type ProviderLimits } from '../limits.ts'
import type { HostServer, RunHost } from '../host.ts'
import type { RunNotice, RunStatus } from '../messages.ts'
import type { RunStore } from '../run-store.ts'
import type { KernelFactory } from '../types.ts'
import type { Identity } from '../../src/identity/index.ts'
import { hasCode, RunError } from '../../src/errors.ts'
import { canTake, hasReached, isFinal, transition, type RunStep } from '../state-machine.ts'
import { BackOff, Bell, pause } from '../waiting.ts'
import { fetchKernel, isForGood } from './kernel.ts'
import { LOST_SERVER, outcomeOf, signReceipt, type ServerOutcome } from './receipt.ts'
import type { ProviderRun } from './record.ts'

/** While a guest boots nobody tells us when the program runs: look again after this time, at first and at most. */
const BOOT_POLL_MS_MIN = 10
const BOOT_POLL_MS_MAX = 250
const HOST_RETRY_MS_MIN = 100
const HOST_RETRY_MS_MAX = 10_000

export interface HostedRunContext {
  host: RunHost
  identity: Identity
  factories: readonly KernelFactory[]
  store: RunStore<ProviderRun>
  limits: ProviderLimits
  onError: (error: unknown, runId?: string) => void
  /** Ends when the provider stops. */
  signal: AbortSignal
}

export class HostedRunTask {
  readonly #context: HostedRunContext
  readonly #changed = new Bell()
  #record: ProviderRun
  #progressedAtMs = Date.now()
  #isStopping = false
  #notices: RunNotice[]

  constructor(context: HostedRunContext, record: ProviderRun) {
    this.#context = context
    this.#record = record
    this.#notices = record.notices ?? []
  }

  get record(): Readonly<ProviderRun> {
    return this.#record
  }

  /** Part of the slice is held by this run. */
  get isHolding(): boolean {
    return !isFinal(this.#record.state) && !hasReached(this.#record.state, 'exited')
  }

  /** Resolves at the next change of state. */
  changed(signal: AbortSignal): Promise<void> {
    return this.#changed.wait(signal)
  }

  /** Number of the last notice; 0 before the first. */
  get lastNotice(): number {
    return this.#notices.at(-1)?.sequence ?? 0
  }

  status(): RunStatus {
    const { runId, state, filesBytes, outcome } = this.#record
    const notices = this.#notices
    return {
      runId,
      state,
      ...(filesBytes === undefined ? {} : { filesBytes }),
      ...(outcome === undefined ? {} : { outcome }),
      ...(notices.length === 0 ? {} : { notices })
    }
  }

  /**
   * Take a step and commit it.
   *
   * @throws ERR_RUN_STATE
   */
  advance(step: RunStep, patch: Partial<ProviderRun> = {}): void {
    const { peer, runId } = this.#record
    this.#record = this.#context.store.update(peer, runId, (run) => ({
      ...run,
      ...patch,
      state: transition(run.state, step)
    }))
    this.#progressedAtMs = Date.now()
    this.#changed.ring()
  }

  /** Input files arrive: the lease is in use. */
  noteProgress(): void {
    this.#progressedAtMs = Date.now()
  }

  /** Start the program; harmless once it was started. @throws ERR_RUN_STATE before `staged`, and without its kernel */
  start(): void {
    const { kernel, manifest, runId } = this.#record
    if (kernel !== undefined && manifest === undefined)
      throw new RunError('ERR_RUN_STATE', `run ${runId} waits for its kernel`)
    if (!hasReached(this.#record.state, 'booting')) this.advance('boot')
  }

  /** Stop the program, or give the lease back; goes on whether or not the consumer stays. */
  cancel(): void {
    if (canTake(this.#record.state, 'release')) this.advance('release')
    else if (this.isHolding && !this.#isStopping) void this.#stop()
  }

  /** The consumer has everything: forget the rest. */
  collect(): void {
    if (!hasReached(this.#record.state, 'collected')) this.advance('collect')
  }

  /** Drive the run until it is final and its server gone, or the provider stops. Never rejects. */
  async supervise(): Promise<void> {
    const { signal, onError } = this.#context
    const backOff = new BackOff(HOST_RETRY_MS_MIN, HOST_RETRY_MS_MAX)
    while (true) {
      try {
        while (!isFinal(this.#record.state)) {
          await this.#drive(signal)
          backOff.reset()
        }
        await this.#context.host.destroy(this.#record.serverId, signal)
        return
      } catch (error) {
        if (signal.aborted) return
        onError(error, this.#record.runId)
        await pause(backOff.next(), signal).catch(() => undefined)
      }
    }
  }

  async #drive(signal: AbortSignal): Promise<void> {
    const { state, serverId } = this.#record
    if (state === 'leased' || state === 'staged') await this.#awaitStart(signal)
    else if (state === 'booting' || state === 'running') await this.#awaitExit(signal)
    else if (state === 'exited') await this.#awaitCollection(signal)
    else if (state === 'collected') {
      await this.#context.host.destroy(serverId, signal)
      this.advance('settle')
    } else throw new RunError('ERR_RUN_STATE', `a provider does not drive a run that is ${state}`)
  }

  async #awaitStart(signal: AbortSignal): Promise<void> {
    const { kernel, manifest } = this.#record
    if (kernel !== undefined && manifest === undefined && !(await this.#fetchKernel(signal))) return
    const leftMs = this.#stagingLeftMs()
    if (leftMs <= 0) this.advance('release')
    else await this.#changed.wait(signal, leftMs)
  }

  /** Until a lease that is not used is given back. */
  #stagingLeftMs(): number {
    const { limits } = this.#context
    return Math.min(this.#progressedAtMs + limits.stagingMs, this.#record.expiresAtMs) - Date.now()
  }

  /**
   * Have the kernel made, and put it to the host. A factory that is away or busy is asked again, until the lease is
   * given back; one whose answer does not hold ends the run.
   *
   * @returns false when the run has moved on meanwhile
   */
  async #fetchKernel(signal: AbortSignal): Promise<boolean> {
    const { host, factories, limits, onError } = this.#context
    try {
      const manifest = await fetchKernel(this.#record, { host, factories, limits, signal })
      if (isFinal(this.#record.state)) return false
      this.#patch({ manifest })
      return true
    } catch (error) {
      if (isFinal(this.#record.state)) return false
      if (this.#stagingLeftMs() <= 0) this.advance('release')
      if (!isForGood(error) || isFinal(this.#record.state)) throw error
      onError(error, this.#record.runId)
      // Nothing was started, and nothing will be.
      await host.destroy(this.#record.serverId, signal)
      await this.#exit({ ...LOST_SERVER, reason: { code: error.code, message: error.message } })
      return false
    }
  }

  #patch(patch: Partial<ProviderRun>): void {
    const { peer, runId } = this.#record
    this.#record = this.#context.store.update(peer, runId, (run) => ({ ...run, ...patch }))
    this.#changed.ring()
  }

  async #awaitExit(signal: AbortSignal): Promise<void> {
    const { host } = this.#context
    const { serverId } = this.#record
    try {
      let server = await host.start(serverId, signal)
      const poll = new BackOff(BOOT_POLL_MS_MIN, BOOT_POLL_MS_MAX)
      while (server.state === 'created' || server.state === 'booting') {
        await pause(poll.next(), signal)
        server = await host.inspect(serverId, signal)
      }
      if (server.state === 'running' && this.#record.state === 'booting') this.advance('run')
      while (!isOver(server)) {
        this.#hear(server)
        server = await host.watch(serverId, this.lastNotice, signal)
      }
      this.#hear(server)
      await this.#exit(server)
    } catch (error) {
      if (!hasCode(error, 'ERR_SERVER_UNKNOWN')) throw error
      await this.#exit(LOST_SERVER)
    }
  }

  /** A code, and no words of ours, goes to the consumer. */
  #hear(server: HostServer): void {
    const { notices } = server
    const last = notices.at(-1)?.sequence ?? 0
    if (last <= this.lastNotice) return
    this.#notices = notices.slice(-NOTICES_MAX).map(({ message: _ours, ...notice }) => notice)
    this.#followLease(server)
    this.#changed.ring()
  }

  /** The owner of the machine may extend it; nobody can make it shorter. */
  #followLease({ expiresAtMs, keepUntilMs }: HostServer): void {
    const { peer, runId } = this.#record
    if (expiresAtMs <= this.#record.expiresAtMs) return
    this.#record = this.#context.store.update(peer, runId, (run) => ({ ...run, expiresAtMs, keepUntilMs }))
  }

  async #exit(server: ServerOutcome): Promise<void> {
    const { files } = server
    const receipt = await signReceipt(this.#record, server, this.#context.identity)
    this.advance('exit', {
      outcome: outcomeOf(server),
      receipt,
      notices: this.#notices,
      ...(files === undefined ? {} : { filesBytes: files.bytes })
    })
  }

  async #awaitCollection(signal: AbortSignal): Promise<void> {
    const leftMs = this.#record.keepUntilMs - Date.now()
    if (leftMs <= 0) this.advance('lose')
    else await this.#changed.wait(signal, leftMs)
  }

  async #stop(): Promise<void> {
    const { host, limits, signal, onError } = this.#context
    this.#isStopping = true
    try {
      await host.stop(this.#record.serverId, { graceMs: limits.stopGraceMs, signal })
    } catch (error) {
      // Ended just now; or the consumer asks again.
      if (!signal.aborted && !hasCode(error, 'ERR_SERVER_STATE')) onError(error, this.#record.runId)
    } finally {
      this.#isStopping = false
    }
  }

  /** Whether the rules that its kernel takes are at the host; undefined where there are none to be sent. */
  async rulesetStatus(signal: AbortSignal): Promise<RunStatus['ruleset']> {
    const { ruleset, state, serverId } = this.#record
    if (ruleset === undefined || state !== 'leased') return undefined
    const { hasRuleset } = await this.#context.host.inspect(serverId, signal)
    return hasRuleset === true ? 'there' : 'wanted'
  }

  /** How much standard input the host has taken. */
  async stdinStatus(signal: AbortSignal): Promise<NonNullable<RunStatus['stdin']>> {
    if (!hasReached(this.#record.state, 'booting') || !this.isHolding) return { takenBytes: 0, ended: false }
    try {
      const { stdin }: HostServer = await this.#context.host.inspect(this.#record.serverId, signal)
      return { takenBytes: stdin.takenBytes, ended: stdin.ended }
    } catch (error) {
      if (!hasCode(error, 'ERR_SERVER_UNKNOWN')) throw error
      return { takenBytes: 0, ended: false }
    }
  }
}

function isOver({ state }: HostServer): boolean {
  return state === 'exited' || state === 'failed'
}
