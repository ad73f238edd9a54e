import type { WorkClock } from '../../soda-host/resources/host-work.ts'

/** Time that passes only while somebody waits for it, and then at once: how long a flood was held up is counted. */
export class HurriedClock implements WorkClock {
  #nowMs = 0

  now(): number {
    return this.#nowMs
  }

  /** Whoever waits at the same time waits as long as the one who waits longest. */
  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    const until = this.#nowMs + ms
    await new Promise(setImmediate)
    signal?.throwIfAborted()
    this.#nowMs = Math.max(this.#nowMs, until)
  }
}
