import { HostError } from '../../src/errors.ts'
import type { ChannelFlow, ChannelLink } from './channel-link.ts'
import type { GuestHello } from './channel-messages.ts'
import { Bell, Turns } from './channel-turns.ts'
import { formatError, FrameType, PIECE_BYTES, WINDOW_BYTES } from './frames.ts'

/**
 * Standard input. `taken <= fed <= taken + window`; what lies between is kept, to be sent again. A new daemon begins
 * where the guest's hello says, which may be beyond what the program has read so far.
 */
export class StdinFlow implements ChannelFlow<GuestHello> {
  readonly #ready: () => Promise<void>
  readonly #told: (offset: number) => void
  readonly #turns = new Turns()
  readonly #bell = new Bell()
  #link: ChannelLink | undefined
  #pieces: { offset: number; data: Uint8Array }[] = []
  #isGreeted = false
  #fed = 0
  #taken = 0
  #isEnded = false
  #error: Error | undefined

  /** `told`: how far the guest has taken input; after every connection and whenever it grows. */
  constructor(ready: () => Promise<void>, told: (offset: number) => void) {
    this.#ready = ready
    this.#told = told
  }

  async feed(offset: number, data: Uint8Array): Promise<void> {
    using _turn = await this.#turns.take()
    await this.#ready()
    this.#check(offset)
    let rest = data.subarray(Math.min(this.#fed - offset, data.length))
    if (this.#isEnded && rest.length > 0) throw new HostError('ERR_SERVER_STATE', 'standard input has ended')
    while (rest.length > 0) {
      const length = Math.min(rest.length, PIECE_BYTES)
      await this.#room(length)
      this.#push(Uint8Array.from(rest.subarray(0, length)))
      rest = rest.subarray(length)
    }
  }

  async end(offset: number): Promise<void> {
    using _turn = await this.#turns.take()
    await this.#ready()
    this.#check(offset)
    if (offset < this.#fed) throw stateError(offset, this.#fed)
    this.#isEnded = true
    this.#sendEnd()
  }

  #check(offset: number): void {
    if (this.#error !== undefined) throw this.#error
    if (offset > this.#fed) throw stateError(offset, this.#fed)
  }

  async #room(length: number): Promise<void> {
    while (this.#error === undefined && this.#fed + length > this.#taken + WINDOW_BYTES)
      await this.#bell.wait()
    if (this.#error !== undefined) throw this.#error
  }

  #push(data: Uint8Array): void {
    const piece = { offset: this.#fed, data }
    this.#pieces.push(piece)
    this.#fed += data.length
    this.#link?.send(FrameType.stdin, { position: piece.offset }, data)
  }

  #sendEnd(): void {
    this.#link?.send(FrameType.stdinEnd, { position: this.#fed })
  }

  /** @throws ERR_CHANNEL_FORMAT */
  acknowledge(position: number): void {
    if (position <= this.#taken || position > this.#fed)
      throw formatError(`it has taken input up to ${position}, before ${this.#taken}, fed ${this.#fed}`)
    this.#taken = position
    this.#forget(position)
    this.#bell.ring()
    this.#told(position)
  }

  #forget(position: number): void {
    const kept = this.#pieces.findIndex(({ offset, data }) => offset + data.length > position)
    this.#pieces.splice(0, kept < 0 ? this.#pieces.length : kept)
  }

  greet({ stdinReceived, stdinTaken, isStdinEnded }: GuestHello, link: ChannelLink): void {
    if (!this.#isGreeted) {
      this.#fed = stdinReceived
      this.#taken = stdinTaken
      this.#isEnded = isStdinEnded
      this.#isGreeted = true
    }
    if (stdinTaken < this.#taken || stdinReceived > this.#fed || stdinReceived > stdinTaken + WINDOW_BYTES)
      throw formatError(`its input stands at ${stdinTaken} and ${stdinReceived}`)
    if (isStdinEnded && !this.#isEnded) throw formatError('its input has ended by itself')
    this.#taken = stdinTaken
    this.#forget(stdinReceived)
    this.#link = link
    this.#told(stdinReceived)
    this.#resend(stdinReceived)
    if (this.#isEnded && !isStdinEnded) this.#sendEnd()
    this.#bell.ring()
  }

  #resend(from: number): void {
    for (const { offset, data } of this.#pieces) {
      const position = Math.max(offset, from)
      this.#link?.send(FrameType.stdin, { position }, data.subarray(position - offset))
    }
  }

  lost(): void {
    this.#link = undefined
  }

  fail(error: Error): void {
    this.#error = error
    this.#bell.ring()
  }
}

function stateError(offset: number, fed: number): HostError {
  return new HostError('ERR_SERVER_STATE', `standard input stands at ${fed}, not at ${offset}`)
}
