import { SECOND_MS } from '../../src/constants.ts'

/** Wakes everyone who waits for something to have changed. Take `next()` before you look, then wait for it. */
export class Bell {
  #ring = Promise.withResolvers<undefined>()

  ring(): void {
    const { resolve } = this.#ring
    this.#ring = Promise.withResolvers()
    resolve(undefined)
  }

  next(): Promise<unknown> {
    return this.#ring.promise
  }
}

/** Like `promise`, but rejects with the signal's reason as soon as that aborts. The work itself goes on. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Its failure is nobody's concern once the wait for it is given up.
  promise.catch(() => undefined)
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** setTimeout fires at once beyond this. */
const TIMER_MS_MAX = 2 ** 31 - 1
/** Timers do not notice a clock that is set, or a machine that slept: it is looked at so often. */
const CLOCK_LOOK_MS = 15 * SECOND_MS

/**
 * Wait until a time on the clock, however far and however the clock is set meanwhile.
 * @throws the signal's reason
 */
export async function clockReaches(
  timeMs: number,
  signal: AbortSignal,
  lookMs = CLOCK_LOOK_MS
): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    const leftMs = timeMs - Date.now()
    if (leftMs <= 0) return
    await pause(Math.min(leftMs, lookMs), signal)
  }
}

/** Wait for so long, whatever the clock says meanwhile. @throws the signal's reason */
export async function elapses(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  await pause(Math.min(Math.max(0, ms), TIMER_MS_MAX), signal)
  signal.throwIfAborted()
}

/** Resolves at the next change, or after a while if one is given. @throws the signal's reason */
export async function changedOr(
  changed: Promise<unknown>,
  waitMs: number | undefined,
  signal: AbortSignal
): Promise<void> {
  if (waitMs === undefined) {
    await abortable(changed, signal)
    return
  }
  const round = new AbortController()
  const due = elapses(waitMs, AbortSignal.any([signal, round.signal]))
  due.catch(() => undefined)
  try {
    await abortable(Promise.race([changed, due]), signal)
  } finally {
    round.abort()
  }
}

/** Ends early when `signal`, which has not yet, aborts. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(resolve, ms, undefined)
  const wake = (): void => resolve(undefined)
  signal.addEventListener('abort', wake, { once: true })
  await promise
  clearTimeout(timer)
  signal.removeEventListener('abort', wake)
}
