/**
 * Many writers, one reader: writers wait while `waitingMax` values are not read yet. Values come out in the order
 * in which they were written.
 */
export class Channel<T> implements AsyncIterable<T> {
  readonly #waitingMax: number
  readonly #values: T[] = []
  readonly #blockedWriters: (() => void)[] = []
  #wakeReader: (() => void) | undefined
  #ended = false

  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax
  }

  /** Resolves when there is room for a further value. After the end values are dropped. */
  async write(value: T): Promise<void> {
    if (this.#ended) return
    this.#values.push(value)
    this.#wakeReader?.()
    if (this.#values.length >= this.#waitingMax)
      await new Promise<void>((resolve) => this.#blockedWriters.push(resolve))
  }

  /** What was written before is still read. */
  end(): void {
    this.#ended = true
    this.#wakeReader?.()
    for (const release of this.#blockedWriters.splice(0)) release()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    while (true) {
      const value = this.#values.shift()
      if (value !== undefined) {
        this.#blockedWriters.shift()?.()
        yield value
      } else if (this.#ended) return
      else await new Promise<void>((resolve) => (this.#wakeReader = resolve))
    }
  }
}
