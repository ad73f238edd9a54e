import type { RunningServer } from '../virtual-server/types.ts'
import { GRACE_MS_MAX } from './limits.ts'

const SIGTERM = 15
const SIGKILL = 9

/**
 * Ends a program that is to end before its time: TERM, then KILL, then the whole guest. Each is done once, when
 * it is due; a daemon that comes later begins again with TERM, which does no harm. A guest that does not take a
 * signal is not waited for. Once begun it goes by a clock that nobody sets.
 */
export class Escalation {
  readonly #running: RunningServer
  readonly #killPatienceMs: number
  #done: 'nothing' | 'term' | 'kill' | 'guest' = 'nothing'
  /** When KILL is due by the clock that is on record, and by ours. */
  #killAtMs = Infinity
  #killDueMs = Infinity

  constructor(running: RunningServer, killPatienceMs: number) {
    this.#running = running
    this.#killPatienceMs = killPatienceMs
  }

  /**
   * Do what is due.
   * @returns when to look again, in milliseconds from now; undefined when only a new `cut` changes anything
   */
  async step(cut: { killAtMs: number } | undefined): Promise<number | undefined> {
    if (cut === undefined) return undefined
    this.#note(cut.killAtMs)
    const now = performance.now()
    if (this.#done === 'nothing') {
      this.#done = 'term'
      this.#send(SIGTERM)
    }
    if (this.#done === 'term') {
      if (now < this.#killDueMs) return this.#killDueMs - now
      this.#done = 'kill'
      this.#send(SIGKILL)
    }
    if (this.#done === 'kill') {
      const guestEndsMs = this.#killDueMs + this.#killPatienceMs
      if (now < guestEndsMs) return guestEndsMs - now
      this.#done = 'guest'
      await this.#running.kill()
    }
    return undefined
  }

  #note(killAtMs: number): void {
    if (killAtMs === this.#killAtMs) return
    this.#killAtMs = killAtMs
    const leftMs = Math.min(GRACE_MS_MAX, Math.max(0, killAtMs - Date.now()))
    this.#killDueMs = Math.min(this.#killDueMs, performance.now() + leftMs)
  }

  #send(signal: number): void {
    this.#running.signal(signal).catch(() => undefined)
  }
}
