/** Chunks in, any number of bytes out; copies only where a piece spans chunks. */
export class ByteQueue {
  #chunks: Uint8Array[] = []
  #head = 0
  #byteLength = 0

  get byteLength(): number {
    return this.#byteLength
  }

  push(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return
    this.#chunks.push(chunk)
    this.#byteLength += chunk.byteLength
  }

  clear(): void {
    this.#chunks = []
    this.#head = 0
    this.#byteLength = 0
  }

  /**
   * Remove the first `length` bytes.
   *
   * @throws RangeError when there are fewer
   */
  take(length: number): Uint8Array {
    if (length > this.#byteLength) throw new RangeError(`${length} bytes of ${this.#byteLength}`)
    const first = this.#chunks[this.#head]
    if (first === undefined) return new Uint8Array(0)
    this.#byteLength -= length
    if (first.byteLength >= length) return this.#takeWithin(first, length)
    const bytes = new Uint8Array(length)
    let filled = 0
    while (filled < length) {
      const chunk = this.#chunks[this.#head]
      if (chunk === undefined) throw new RangeError('the queue lost count')
      const part = this.#takeWithin(chunk, Math.min(chunk.byteLength, length - filled))
      bytes.set(part, filled)
      filled += part.byteLength
    }
    return bytes
  }

  #takeWithin(chunk: Uint8Array, length: number): Uint8Array {
    if (length < chunk.byteLength) this.#chunks[this.#head] = chunk.subarray(length)
    else this.#dropHead()
    return chunk.subarray(0, length)
  }

  #dropHead(): void {
    this.#head += 1
    // Shifting each chunk off an array is quadratic for an attacker who sends single bytes.
    if (this.#head < 64 || this.#head * 2 < this.#chunks.length) return
    this.#chunks = this.#chunks.slice(this.#head)
    this.#head = 0
  }
}
