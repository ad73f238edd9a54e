import { RunError } from '../../src/errors.ts'
import { STDIN_WINDOW_BYTES } from '../limits.ts'
import { Bell } from '../waiting.ts'

/**
 * Standard input that the provider has not confirmed yet: at most a window of it, kept so that it can be sent
 * again after a reconnect. A program that ends swallows the rest, as a pipe would.
 */
export class StdinSource {
  readonly #changed = new Bell()
  #chunks: Uint8Array[] = []
  #bytes = 0
  /** Offset of the first byte that is kept. */
  #base = 0
  #isBased = false
  #isEnded = false
  #isClosed = false

  get isEnded(): boolean {
    return this.#isEnded
  }

  /** Offset after the last byte. */
  get endOffset(): number {
    return this.#base + this.#bytes
  }

  /** @throws ERR_RUN_STATE after `end` */
  async write(data: Uint8Array, signal: AbortSignal): Promise<void> {
    for (let rest = data; rest.byteLength > 0 && !this.#isClosed;) {
      if (this.#isEnded) throw new RunError('ERR_RUN_STATE', 'standard input has been ended')
      const room = STDIN_WINDOW_BYTES - this.#bytes
      if (room <= 0) {
        await this.#changed.wait(signal)
        continue
      }
      // The caller may use its buffer again.
      const piece = new Uint8Array(rest.subarray(0, room))
      rest = rest.subarray(piece.byteLength)
      this.#chunks.push(piece)
      this.#bytes += piece.byteLength
      this.#changed.ring()
    }
  }

  end(): void {
    this.#isEnded = true
    this.#changed.ring()
  }

  /** The program is gone: what is written from now on goes nowhere. */
  close(): void {
    this.#isClosed = true
    this.#chunks = []
    this.#bytes = 0
    this.#changed.ring()
  }

  /**
   * A session begins, and the provider says how far it is.
   *
   * @throws ERR_PROVIDER_DISHONEST when it has what was never sent, or lost what it had confirmed
   */
  resume(takenBytes: number): void {
    // What an earlier process sent is not ours to send again.
    if (!this.#isBased) this.#base = takenBytes
    this.#isBased = true
    this.confirm(takenBytes)
  }

  /** @throws ERR_PROVIDER_DISHONEST */
  confirm(takenBytes: number): void {
    if (this.#isClosed) return
    if (takenBytes < this.#base || takenBytes > this.endOffset)
      throw new RunError(
        'ERR_PROVIDER_DISHONEST',
        `standard input: taken are ${takenBytes}, sent ${this.endOffset}`
      )
    for (let drop = takenBytes - this.#base; drop > 0;) {
      const [first] = this.#chunks
      if (first === undefined) break
      const dropped = Math.min(drop, first.byteLength)
      if (dropped === first.byteLength) this.#chunks.shift()
      else this.#chunks[0] = first.subarray(dropped)
      drop -= dropped
    }
    this.#bytes -= takenBytes - this.#base
    this.#base = takenBytes
    this.#changed.ring()
  }

  /** Resolves when nothing is left that was not confirmed. */
  async drained(signal: AbortSignal): Promise<void> {
    while (this.#bytes > 0) await this.#changed.wait(signal)
  }

  /** What follows `offset`, when there is something; undefined at the end. */
  async next(offset: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    while (true) {
      const piece = this.#at(offset)
      if (piece !== undefined) return piece
      if (this.#isEnded || this.#isClosed) return undefined
      await this.#changed.wait(signal)
    }
  }

  #at(offset: number): Uint8Array | undefined {
    let start = this.#base
    for (const chunk of this.#chunks) {
      if (offset < start + chunk.byteLength) return chunk.subarray(offset - start)
      start += chunk.byteLength
    }
    return undefined
  }
}
