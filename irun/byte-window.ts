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
import { Bell } from './waiting.ts'

export class SendWindow {
  readonly #windowBytes: number
  #sent: number
  #taken: number
  readonly #changed = new Bell()

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
      await this.#changed.wait(signal)
    }
    return this.#windowBytes - (this.#sent - this.#taken)
  }

  /** Resolves when all that was sent has been confirmed. */
  async allTaken(signal: AbortSignal): Promise<void> {
    while (this.#taken < this.#sent) {
      await this.#changed.wait(signal)
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
    this.#changed.ring()
  }
}

/** Chunks that wait to be taken, in order, at most a window of them. Taken by one reader. */
export class ReceiveWindow {
  readonly #windowBytes: number
  readonly #confirm: (offset: number) => void
  readonly #chunks: Uint8Array[] = []
  #received: number
  #taken: number
  #confirmed: number
  #endOffset: number | undefined
  #error: Error | undefined
  readonly #changed = new Bell()

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
    this.#changed.ring()
  }

  /** Nothing follows. @throws ERR_WIRE_FORMAT when bytes are missing */
  end(offset: number): void {
    if (offset !== this.#received)
      throw new WireError('ERR_WIRE_FORMAT', `the end at ${offset}, received were ${this.#received}`)
    this.#endOffset = offset
    this.#changed.ring()
  }

  /** Whoever reads gets `error`. */
  abort(error: Error): void {
    this.#error ??= error
    this.#chunks.length = 0
    this.#changed.ring()
  }

  /** What waits, joined up to half a window; undefined at the end. Call `took` when it is safe. */
  async next(signal: AbortSignal): Promise<Uint8Array | undefined> {
    while (true) {
      if (this.#error !== undefined) throw this.#error
      if (this.#chunks.length > 0) return this.#join()
      if (this.#endOffset !== undefined) return undefined
      await this.#changed.wait(signal)
    }
  }

  /** The reader has dealt with `bytes` more. */
  took(bytes: number): void {
    this.#taken += bytes
    if (this.#taken - this.#confirmed < CONFIRM_BYTES && this.#chunks.length > 0) return
    this.#confirmed = this.#taken
    this.#confirm(this.#taken)
  }

  /** All chunks to the end, each confirmed when the next one is asked for. */
  async *chunks(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    for (let chunk = await this.next(signal); chunk !== undefined; chunk = await this.next(signal)) {
      yield chunk
      this.took(chunk.byteLength)
    }
  }

  /** Many small chunks cost as little as few large ones; half a window, so that the sender need not stop. */
  #join(): Uint8Array {
    let [count, bytes] = [0, 0]
    for (const chunk of this.#chunks) {
      if (count > 0 && bytes + chunk.byteLength > this.#windowBytes / 2) break
      count += 1
      bytes += chunk.byteLength
    }
    const [first, ...others] = this.#chunks.splice(0, count)
    if (first === undefined) throw new RangeError('nothing waits')
    return others.length === 0 ? first : Buffer.concat([first, ...others])
  }
}
