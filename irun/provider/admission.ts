import { MINUTE_MS } from '../../src/constants.ts'
import { RunError } from '../../src/errors.ts'
import type { ProviderLimits } from '../limits.ts'

/** How much of the provider's attention one peer, and all of them, may have. */
export class SessionAdmission {
  readonly #limits: ProviderLimits
  readonly #sessions = new Map<string, number>()
  /** Times of the submissions within the last minute. */
  readonly #submissions = new Map<string, number[]>()
  #total = 0

  constructor(limits: ProviderLimits) {
    this.#limits = limits
  }

  /** Dispose to leave. @throws ERR_RUN_BUSY */
  enter(peer: string): Disposable {
    const count = this.#sessions.get(peer) ?? 0
    if (count >= this.#limits.sessionsPerPeer || this.#total >= this.#limits.sessionsMax)
      throw new RunError('ERR_RUN_BUSY', `${peer} has ${count} sessions, ${this.#total} are open`)
    this.#sessions.set(peer, count + 1)
    this.#total += 1
    return { [Symbol.dispose]: () => this.#leave(peer) }
  }

  /** @throws ERR_RUN_BUSY */
  countSubmission(peer: string, nowMs: number): void {
    for (const [other, times] of this.#submissions)
      if ((times.at(-1) ?? 0) <= nowMs - MINUTE_MS) this.#submissions.delete(other)
    const recent = (this.#submissions.get(peer) ?? []).filter((time) => time > nowMs - MINUTE_MS)
    if (recent.length >= this.#limits.submissionsPerMinute)
      throw new RunError('ERR_RUN_BUSY', `${peer} has submitted ${recent.length} runs within a minute`)
    this.#submissions.set(peer, [...recent, nowMs])
  }

  #leave(peer: string): void {
    const count = (this.#sessions.get(peer) ?? 1) - 1
    if (count > 0) this.#sessions.set(peer, count)
    else this.#sessions.delete(peer)
    this.#total -= 1
  }
}
