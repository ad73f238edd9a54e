/**
 * What this process does for a guest, and what of it one guest may cause.
 *
 * Theory of operation. Whatever a guest sends or writes is taken by this process, on CPU time that is in nobody's share:
 * a guest that sends without end would take it from its neighbours. So there is a budget for each kind of such work: a
 * bucket that fills at a steady rate, in proportion to the guest's share of CPU, up to its size. What is taken is counted at once, and whoever took more than there
 * was waits until that is paid for, before he takes or acknowledges more. Meanwhile a window or a socket's buffer fills
 * up, and the guest's own program waits.
 *
 * Invariant: up to any time, no more was taken than the bucket holds, plus rate × time, plus the last piece, plus what is lent (a
 * 64th of a second's, so that timers are few).
 *
 * Attacker: the guest. It can slow down nobody but itself.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { KIB, MIB, SECOND_MS } from '../../src/constants.ts'

/** In bytes, or in what else is counted. */
export interface Budget {
  /** For a guest with one CPU. */
  perSecond: number
  /** What may be taken at once. */
  burst: number
}

/**
 * Frames out of a control channel, of whatever kind. What is in them has a budget below, or an end: results and output
 * that is kept have limits.
 */
export const FRAME_BUDGET: Budget = { perSecond: 16 * KIB, burst: 8 * KIB }
/** What a connection of a channel counts, in frames. */
export const CONNECTION_WORK_FRAMES = 256
/** Output beyond the run's limit, which is counted and thrown away. */
export const DISCARD_BUDGET: Budget = { perSecond: 16 * MIB, burst: 4 * MIB }
/** Output of all programs beside the main one, which goes on to somebody who may read for ever. */
export const SESSION_BUDGET: Budget = { perSecond: 16 * MIB, burst: 16 * MIB }
/** What a guest's kernel pushes down. Its spool takes 8 MiB more; then it sheds, and says how much. */
export const LOG_BUDGET: Budget = { perSecond: 8 * MIB, burst: 16 * MIB }
/** What a look at the spool counts beside what is found there, ... */
export const SPOOL_LOOK_WORK_BYTES = 32 * KIB
/** ... and what every place counts at which a frame may begin. */
export const FRAME_LOOK_WORK_BYTES = 2 * KIB

/** Less than what a budget gives in this time is lent. */
const LENT_MS = SECOND_MS / 64

/** A guest with less of a CPU is waited for no longer than one with this. */
const CPU_MIN = 1 / 4

/** Where time comes from; another one is for tests. */
export interface WorkClock {
  /** Milliseconds; never goes back. */
  now(): number
  /** @throws the signal's reason */
  wait(ms: number, signal?: AbortSignal): Promise<void>
}

const MACHINE_CLOCK: WorkClock = {
  now: () => performance.now(),
  async wait(ms, signal) {
    await delay(ms, undefined, signal && { signal }).catch(() => signal?.throwIfAborted())
  }
}

/** What a guest's budgets depend on. */
export interface WorkTerms {
  /** The guest's share, in CPUs, as it is now. @default 1 */
  cpu?: () => number
  /** @default the machine's */
  clock?: WorkClock
}

/** One guest's bucket for one kind of work. */
export class HostWork {
  readonly #budget: Budget
  readonly #cpu: () => number
  readonly #clock: WorkClock
  /** Below 0 while something is not paid for. */
  #left: number
  #filledMs: number

  constructor(budget: Budget, { cpu = () => 1, clock = MACHINE_CLOCK }: WorkTerms = {}) {
    this.#budget = budget
    this.#cpu = cpu
    this.#clock = clock
    this.#left = budget.burst
    this.#filledMs = clock.now()
  }

  /** Counts what was taken; no wait yet. */
  count(amount: number): void {
    this.#fill()
    this.#left -= amount
  }

  /** Resolves when what was counted before is paid for, but for what is lent. @throws the signal's reason */
  async paid(signal?: AbortSignal): Promise<void> {
    this.#fill()
    const owedMs = -this.#left / this.#perMs
    if (owedMs <= LENT_MS) return
    await this.#clock.wait(owedMs, signal)
    this.#fill()
  }

  /** Both. @throws the signal's reason */
  async take(amount: number, signal?: AbortSignal): Promise<void> {
    this.count(amount)
    await this.paid(signal)
  }

  get #perMs(): number {
    return (this.#budget.perSecond / SECOND_MS) * Math.max(CPU_MIN, this.#cpu())
  }

  #fill(): void {
    const now = this.#clock.now()
    const gained = (now - this.#filledMs) * this.#perMs
    this.#left = Math.min(this.#budget.burst, this.#left + gained)
    this.#filledMs = now
  }
}
