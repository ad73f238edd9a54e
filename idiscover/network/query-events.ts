/**
 * Events of a DHT query until `signal` fires, which ends the loop quietly: what was found before counts. kad-dht
 * alone may wait for an unresponsive peer far longer than it was told to.
 *
 * @throws what the query throws before that
 */
export async function* eventsUntil<E>(query: AsyncIterable<E>, signal: AbortSignal): AsyncGenerator<E> {
  const iterator = query[Symbol.asyncIterator]()
  const aborted = Promise.withResolvers<undefined>()
  const onAbort = () => aborted.resolve(undefined)
  signal.addEventListener('abort', onAbort)
  try {
    while (!signal.aborted) {
      const next = iterator.next()
      const result = await Promise.race([next, aborted.promise])
      if (result === undefined) {
        next.catch(() => undefined)
        return
      }
      if (result.done === true) return
      yield result.value
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
    // Not waited for: it may hang in the very call that was given up.
    void iterator.return?.().catch(() => undefined)
  }
}
