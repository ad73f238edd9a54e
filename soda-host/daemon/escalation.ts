import type { RunningServer } from '../virtual-server/types.ts'

const SIGTERM = 15
const SIGKILL = 9

/**
 * Ends a program that is to end before its time: TERM, then KILL, then the whole guest. Each is done once, when
 * it is due; a daemon that comes later begins again with TERM, which does no harm. A guest that does not take a
 * signal is not waited for.
 */
export class Escalation {
  readonly #running: RunningServer
  readonly #killPatienceMs: number
  #done: 'nothing' | 'term' | 'kill' | 'guest' = 'nothing'

  constructor(running: RunningServer, killPatienceMs: number) {
    this.#running = running
    this.#killPatienceMs = killPatienceMs
  }

  /**
   * Do what is due.
   * @returns when to look again, in milliseconds since the epoch; undefined when only a new `cut` changes anything
   */
  async step(cut: { killAtMs: number } | undefined): Promise<number | undefined> {
    if (cut === undefined) return undefined
    const guestEndsAtMs = cut.killAtMs + this.#killPatienceMs
    if (this.#done === 'nothing') {
      this.#done = 'term'
      this.#send(SIGTERM)
    }
    if (this.#done === 'term') {
      if (Date.now() < cut.killAtMs) return cut.killAtMs
      this.#done = 'kill'
      this.#send(SIGKILL)
    }
    if (this.#done === 'kill') {
      if (Date.now() < guestEndsAtMs) return guestEndsAtMs
      this.#done = 'guest'
      await this.#running.kill()
    }
    return undefined
  }

  #send(signal: number): void {
    this.#running.signal(signal).catch(() => undefined)
  }
}
