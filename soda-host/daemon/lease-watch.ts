/**
 * The end of a server's lease, and what comes before it.
 *
 * Theory of operation. Some time before the end the tenant gets a notice, and the program a signal if its tenant asked
 * for one; at the end the program is stopped (TERM, later KILL). Both go by the clock on the wall, as the lease does: one
 * that is set, or a machine that slept, is noticed within seconds, and whatever is due then is done once. That the
 * tenant was warned is on record with the end it was warned of: an extended lease warns anew.
 */
import { SECOND_MS } from '../../src/constants.ts'
import { Bell, changedOr } from './bell.ts'
import type { Guest } from './guest.ts'
import type { DaemonTiming } from './limits.ts'
import { until, type ServerBook } from './server-book.ts'
import { isEnded, leaseOf, noticed, type ServerRecord } from './server-record.ts'

/** How often the clock is looked at. */
const LOOK_MS = 15 * SECOND_MS

export interface LeaseWatchInit {
  book: ServerBook
  guest: Guest
  timing: Pick<DaemonTiming, 'warningMs'>
  /** Called once, when the lease has ended. */
  onEnd: () => void
}

export class LeaseWatch {
  readonly #with: LeaseWatchInit
  readonly #moved = new Bell()

  constructor(init: LeaseWatchInit) {
    this.#with = init
  }

  /** The lease ends at another time now. */
  moved(): void {
    this.#moved.ring()
  }

  /** Resolves when the lease has ended, or `signal` aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    await this.#watch(signal).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { book, timing, onEnd } = this.#with
    for (;;) {
      const moved = this.#moved.next()
      const now = Date.now()
      const { expiresAtMs } = leaseOf(book.record)
      if (now >= expiresAtMs) {
        onEnd()
        return
      }
      let nextMs = expiresAtMs
      if (book.record.warnedOfMs !== expiresAtMs) {
        nextMs = warningAtMs(book.record, timing)
        if (now >= nextMs) {
          // A guest that never says that its program runs does not hold up the end of its lease.
          const patience = AbortSignal.timeout(Math.max(0, Math.min(expiresAtMs - now, LOOK_MS)))
          await this.#found(AbortSignal.any([signal, patience])).catch(() => undefined)
          signal.throwIfAborted()
          this.#warn(expiresAtMs)
          continue
        }
      }
      await changedOr(moved, Math.min(nextMs - now, LOOK_MS), signal)
    }
  }

  /** A daemon that has just started may not have found the guest yet. */
  async #found(signal: AbortSignal): Promise<void> {
    const { book, guest } = this.#with
    await until(book.changed, () => book.record.state !== 'running' || guest.started !== undefined, signal)
  }

  /** First the signal: a daemon that is killed in between gives it twice, which is better than not at all. */
  #warn(expiresAtMs: number): void {
    const { book, guest } = this.#with
    const { spec, state, exit } = book.record
    if (isEnded({ state }) || state === 'collecting' || exit !== undefined) {
      book.set({ warnedOfMs: expiresAtMs })
      return
    }
    const { signal } = spec.warning ?? {}
    if (signal !== undefined) guest.started?.signal(signal).catch(() => undefined)
    const message = `the lease ends at ${new Date(expiresAtMs).toISOString()}, and the program is stopped then`
    const patch = { warnedOfMs: expiresAtMs, ...noticed(book.record, { code: 'lease-ends', message }) }
    try {
      book.commit(patch, 'noticed')
    } catch {
      // A disk that is full is no reason to say nothing.
      book.note(patch)
    }
  }
}

/** Pure. */
export function warningAtMs(
  record: Pick<ServerRecord, 'spec' | 'lease' | 'createdAtMs'>,
  { warningMs }: Pick<DaemonTiming, 'warningMs'>
): number {
  const { expiresAtMs } = leaseOf(record)
  const { warning } = record.spec
  if (warning !== undefined) return expiresAtMs - warning.seconds * SECOND_MS
  return expiresAtMs - Math.min(warningMs, (expiresAtMs - record.createdAtMs) / 10)
}
