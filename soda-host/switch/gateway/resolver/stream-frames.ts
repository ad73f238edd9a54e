/** DNS messages on a stream: each after its length, two bytes. Pure. @see RFC 7766 section 8 */

const LENGTH_BYTES = 2

export function framed(message: Uint8Array): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}

/** Takes a stream apart; holds no more than one message. */
export class StreamFrames {
  readonly #bytesMax: number
  #held: Buffer = Buffer.alloc(0)

  /** @param bytesMax - of one message */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** @returns the messages that are whole now, or undefined when one is too long: nothing more can be read then */
  take(chunk: Uint8Array): Buffer[] | undefined {
    let rest = Buffer.concat([this.#held, chunk])
    const messages: Buffer[] = []
    while (rest.length >= LENGTH_BYTES) {
      const length = rest.readUInt16BE()
      if (length > this.#bytesMax) return undefined
      if (rest.length < LENGTH_BYTES + length) break
      messages.push(rest.subarray(LENGTH_BYTES, LENGTH_BYTES + length))
      rest = rest.subarray(LENGTH_BYTES + length)
    }
    this.#held = rest
    return messages
  }
}
