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

/** Wait until a time on the clock, however far. @throws the signal's reason */
export async function clockReaches(timeMs: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    const leftMs = timeMs - Date.now()
    if (leftMs <= 0) return
    await pause(Math.min(leftMs, TIMER_MS_MAX), signal)
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
