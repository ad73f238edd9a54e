/** Small waits that the flows of a channel share. */

/** One at a time: `using turn = await turns.take()`. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Resolves when everybody before has finished. Aborting gives up the place in the queue. */
  async take(signal?: AbortSignal): Promise<Disposable> {
    const before = this.#last
    const mine = Promise.withResolvers<undefined>()
    this.#last = mine.promise
    try {
      await abortable(before, signal)
    } catch (error) {
      // Whoever comes after us still waits for whoever is before us.
      void before.then(() => mine.resolve(undefined))
      throw error
    }
    return { [Symbol.dispose]: () => mine.resolve(undefined) }
  }
}

/** Something has changed: look again. */
export class Bell {
  #next = Promise.withResolvers<undefined>()

  ring(): void {
    const { resolve } = this.#next
    this.#next = Promise.withResolvers<undefined>()
    resolve(undefined)
  }

  wait(signal?: AbortSignal): Promise<void> {
    return abortable(this.#next.promise, signal)
  }
}

/** `promise`, or the signal's reason if that comes first. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise
  // Where the signal was first, nobody waits for it any more, and it may fail all the same.
  promise.catch(() => undefined)
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason as Error)
  signal.addEventListener('abort', abort)
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
