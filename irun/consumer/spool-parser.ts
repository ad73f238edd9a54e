import { RunError } from '../../src/errors.ts'
import type { RunOutput } from '../types.ts'

const HEADER_BYTES = 5
const STREAMS: Record<number, RunOutput['stream']> = { 1: 'stdout', 2: 'stderr' }

/**
 * Reads a spool (u32 LE length, u8 stream, data) however it is cut. Data is given on as it comes, so a frame may
 * be of any length without costing memory.
 */
export class SpoolParser {
  #header: number[] = []
  #stream: RunOutput['stream'] = 'stdout'
  #missing = 0
  #dataBytes = 0

  /** A parser that stands where this one does. */
  clone(): SpoolParser {
    const copy = new SpoolParser()
    copy.#header = [...this.#header]
    copy.#stream = this.#stream
    copy.#missing = this.#missing
    copy.#dataBytes = this.#dataBytes
    return copy
  }

  /** Data seen so far, without headers. */
  get dataBytes(): number {
    return this.#dataBytes
  }

  /** True between frames. */
  get isWhole(): boolean {
    return this.#missing === 0 && this.#header.length === 0
  }

  /** @throws ERR_PROVIDER_DISHONEST when it is no spool */
  push(chunk: Uint8Array): RunOutput[] {
    const output: RunOutput[] = []
    for (let at = 0; at < chunk.byteLength;) {
      if (this.#missing === 0) {
        this.#pushHeader(chunk[at])
        at += 1
        continue
      }
      const data = chunk.subarray(at, at + this.#missing)
      at += data.byteLength
      this.#missing -= data.byteLength
      this.#dataBytes += data.byteLength
      output.push({ stream: this.#stream, data })
    }
    return output
  }

  #pushHeader(byte: number | undefined): void {
    this.#header.push(byte ?? 0)
    if (this.#header.length < HEADER_BYTES) return
    const header = Buffer.from(this.#header)
    const stream = STREAMS[header.readUInt8(4)]
    const length = header.readUInt32LE(0)
    if (stream === undefined || length === 0)
      throw new RunError('ERR_PROVIDER_DISHONEST', 'the output is not made of frames')
    this.#header = []
    this.#stream = stream
    this.#missing = length
  }
}
