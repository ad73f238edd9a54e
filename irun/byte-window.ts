/**
 * Flow control of one channel: a sender that stays within a window of what the receiver has confirmed, and a
 * receiver that holds no more than that window. Both sides count bytes from the start of the channel, so that
 * after a reconnect the receiver's word says where to go on.
 *
 * The attacker is the other side. A receiver that confirms what was never sent, or goes back, and a sender that
 * leaves gaps or overruns the window, is cut off with ERR_WIRE_FORMAT.
 */
import { WireError } from '../src/errors.ts'
import { CONFIRM_BYTES } from './limits.ts'

export class SendWindow {
  readonly #windowBytes: number
  #sent: number
  #taken: number
  #changed = Promise.withResolvers<undefined>()

  /** `offset`: where the channel starts in this session. */
  constructor(windowBytes: number, offset = 0) {
    this.#windowBytes = windowBytes
    this.#sent = offset
    this.#taken = offset
  }

  get sentBytes(): number {
    return this.#sent
  }

  get takenBytes(): number {
    return this.#taken
  }

  /** Resolves with the number of bytes that may be sent now, at least one. */
  async room(signal: AbortSignal): Promise<number> {
    while (this.#sent - this.#taken >= this.#windowBytes) {
      signal.throwIfAborted()
      await unlessAborted(this.#changed.promise, signal)
    }
    return this.#windowBytes - (this.#sent - this.#taken)
  }

  /** Resolves when all that was sent has been confirmed. */
  async allTaken(signal: AbortSignal): Promise<void> {
    while (this.#taken < this.#sent) {
      signal.throwIfAborted()
      await unlessAborted(this.#changed.promise, signal)
    }
  }

  sent(bytes: number): void {
    this.#sent += bytes
  }

  /** @throws ERR_WIRE_FORMAT when the receiver cannot have that */
  confirm(offset: number): void {
    if (offset < this.#taken || offset > this.#sent)
      throw new WireError(
        'ERR_WIRE_FORMAT',
        `confirmed ${offset} bytes: ${this.#taken} were, ${this.#sent} are sent`
      )
    this.#taken = offset
    this.#changed.resolve(undefined)
    this.#changed = Promise.withResolvers()
  }
}

/** Chunks that wait to be taken, in order, at most a window of them. Taken by one reader. */
export class ReceiveWindow implements AsyncIterable<Uint8Array> {
  readonly #windowBytes: number
  readonly #confirm: (offset: number) => void
  readonly #chunks: Uint8Array[] = []
  #received: number
  #taken: number
  #confirmed: number
  #endOffset: number | undefined
  #error: Error | undefined
  #changed = Promise.withResolvers<undefined>()

  /** `confirm` is told how far the reader has come. */
  constructor(windowBytes: number, confirm: (offset: number) => void, offset = 0) {
    this.#windowBytes = windowBytes
    this.#confirm = confirm
    this.#received = offset
    this.#taken = offset
    this.#confirmed = offset
  }

  get takenBytes(): number {
    return this.#taken
  }

  /** @throws ERR_WIRE_FORMAT when the chunk does not follow, or is more than the window holds */
  push(offset: number, data: Uint8Array): void {
    if (offset !== this.#received || this.#endOffset !== undefined)
      throw new WireError('ERR_WIRE_FORMAT', `data at ${offset}, expected ${this.#received}`)
    if (offset + data.byteLength - this.#confirmed > this.#windowBytes)
      throw new WireError('ERR_WIRE_FORMAT', `more than ${this.#windowBytes} bytes ahead`)
    this.#received += data.byteLength
    this.#chunks.push(data)
    this.#wake()
  }

  /** Nothing follows. @throws ERR_WIRE_FORMAT when bytes are missing */
  end(offset: number): void {
    if (offset !== this.#received)
      throw new WireError('ERR_WIRE_FORMAT', `the end at ${offset}, received were ${this.#received}`)
    this.#endOffset = offset
    this.#wake()
  }

  /** Whoever reads gets `error`. */
  abort(error: Error): void {
    this.#error ??= error
    this.#chunks.length = 0
    this.#wake()
  }

  /** All chunks that wait, as one; undefined at the end. Call `took` when they are safe. */
  async next(): Promise<Uint8Array | undefined> {
    while (true) {
      if (this.#error !== undefined) throw this.#error
      if (this.#chunks.length > 0) return this.#join()
      if (this.#endOffset !== undefined) return undefined
      await this.#changed.promise
    }
  }

  /** The reader has dealt with `bytes` more. */
  took(bytes: number): void {
    this.#taken += bytes
    if (this.#taken - this.#confirmed < CONFIRM_BYTES && this.#chunks.length > 0) return
    this.#confirmed = this.#taken
    this.#confirm(this.#taken)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) {
      yield chunk
      this.took(chunk.byteLength)
    }
  }

  #join(): Uint8Array {
    const [only] = this.#chunks
    const joined = this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks)
    this.#chunks.length = 0
    return joined
  }

  #wake(): void {
    this.#changed.resolve(undefined)
    this.#changed = Promise.withResolvers()
  }
}

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
