/** Waiting that can be called off. */
import { setTimeout as sleep } from 'node:timers/promises'

/** `promise`, or the signal's reason if that comes first. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => {
    aborted.reject(signal.reason as Error)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Something that changes now and then, and those who wait for that. */
export class Bell {
  #next = Promise.withResolvers<undefined>()

  ring(): void {
    this.#next.resolve(undefined)
    this.#next = Promise.withResolvers()
  }

  /** Resolves at the next ring, or after `timeoutMs`. Check and wait in a loop: nothing is remembered. */
  async wait(signal: AbortSignal, timeoutMs?: number): Promise<void> {
    if (timeoutMs === undefined) return unlessAborted(this.#next.promise, signal)
    if (timeoutMs <= 0) return
    const timer = new AbortController()
    try {
      // setTimeout takes at most 2^31 ms; who waits longer checks again then.
      const elapsed = sleep(Math.min(timeoutMs, 2 ** 31 - 1), undefined, { signal: timer.signal, ref: false })
      elapsed.catch(() => undefined)
      await unlessAborted(Promise.race([this.#next.promise, elapsed]), signal)
    } finally {
      timer.abort()
    }
  }
}

/** Pauses that double from `minMs` to `maxMs`, each cut by up to a half at random so that crowds spread. */
export class BackOff {
  readonly #minMs: number
  readonly #maxMs: number
  #nextMs: number

  constructor(minMs: number, maxMs: number) {
    this.#minMs = minMs
    this.#maxMs = maxMs
    this.#nextMs = minMs
  }

  next(): number {
    const pauseMs = this.#nextMs * (0.5 + Math.random() / 2)
    this.#nextMs = Math.min(this.#nextMs * 2, this.#maxMs)
    return Math.round(pauseMs)
  }

  reset(): void {
    this.#nextMs = this.#minMs
  }
}

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false })
}

/**
 * Run jobs side by side until the first one ends or fails; then the others are aborted and awaited.
 *
 * @throws what the first one to fail threw
 */
export async function raceJobs<T>(
  signal: AbortSignal,
  jobs: readonly ((signal: AbortSignal) => Promise<T>)[]
): Promise<T> {
  const controller = new AbortController()
  const all = jobs.map((job) => job(AbortSignal.any([signal, controller.signal])))
  try {
    return await Promise.race(all)
  } finally {
    controller.abort()
    await Promise.allSettled(all)
  }
}

/** Rejects with the signal's reason, never resolves: for a job that is done while its siblings go on. */
export async function untilAborted(signal: AbortSignal): Promise<never> {
  return unlessAborted(new Promise<never>(() => undefined), signal)
}
