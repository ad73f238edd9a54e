/**
 * Finds frames in bytes, whatever the bytes are.
 *
 * Theory of operation. Goal: every frame that is whole, and no frame lost because another is damaged. What does not
 * begin with a frame is a gap: it is passed over up to the next magic at which a frame's header stands. A damaged
 * length may claim bytes of the frames behind it; so where another magic lies inside, a frame is believed only if
 * a frame or the end follows it; else the search goes on right behind its magic. Invariants: at most one frame and one
 * header are kept; every byte is looked at a bounded number of times (a false magic costs one header's parse).
 */
import {
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  frameBytes,
  parseFrameHeader
} from './frame-layout.ts'
import type { Frame } from './frame-layout.ts'

/** Bytes between frames. `isTail`: the log ends in them, as it does where the writer was stopped in a frame. */
export interface Gap {
  offset: number
  bytes: number
  isTail: boolean
}

export type Scanned = { frame: Frame } | { gap: Gap }

export class FrameScanner {
  #buffer: Buffer = Buffer.alloc(0)
  /** Where `#buffer` begins in the log. */
  #offset: number
  #gapBytes = 0
  #looks = 0

  /** @param offset where the first byte stands in the log */
  constructor(offset = 0) {
    this.#offset = offset
  }

  /** How far frames and gaps have been told, in bytes of the log. */
  get position(): number {
    return this.#offset - this.#gapBytes
  }

  /** How often it looked whether a frame begins somewhere: what hostile bytes cost beside their number. */
  get looks(): number {
    return this.#looks
  }

  /** What is kept until more bytes come. */
  get bufferedBytes(): number {
    return this.#buffer.length
  }

  /** What is certain once these bytes are there too. */
  *push(chunk: Uint8Array): Generator<Scanned> {
    // In pieces, so that a large chunk does not make a large buffer.
    for (let at = 0; at < chunk.length; at += FRAME_BYTES_MAX) {
      this.#buffer = Buffer.concat([this.#buffer, chunk.subarray(at, at + FRAME_BYTES_MAX)])
      yield* this.#scan(false)
    }
  }

  /** What is left when no more bytes come. */
  *end(): Generator<Scanned> {
    yield* this.#scan(true)
    const rest = this.#buffer.length
    this.#gapBytes += rest
    this.#skip(rest)
    yield* this.#endGap(true)
  }

  *#scan(isLast: boolean): Generator<Scanned> {
    for (;;) {
      this.#looks++
      this.#skipToMagic()
      const header = parseFrameHeader(this.#buffer)
      if (header === undefined) {
        if (this.#buffer.length < FRAME_HEADER_BYTES && !isLast) return
        if (this.#buffer.length === 0) return
        this.#pass(1)
        continue
      }
      const length = frameBytes(header)
      const follows = this.#follows(length, isLast)
      if (follows === 'unknown') return
      if (follows === 'no') {
        this.#pass(1)
        continue
      }
      yield* this.#endGap(false)
      // A copy: the buffer's memory is used again.
      const bytes = Buffer.from(this.#buffer.subarray(0, length))
      yield { frame: { header, offset: this.#offset, bytes } }
      this.#skip(length)
    }
  }

  /** May the next `length` bytes be taken as one frame? The answer does not depend on how the bytes came. */
  #follows(length: number, isLast: boolean): 'yes' | 'no' | 'unknown' {
    if (this.#buffer.length < length) return isLast ? 'no' : 'unknown'
    if (!this.#buffer.subarray(FRAME_MAGIC.length, length).includes(FRAME_MAGIC)) return 'yes'
    // It may swallow another frame: then what stands behind it decides.
    const next = this.#buffer.subarray(length, length + FRAME_MAGIC.length)
    if (next.length < FRAME_MAGIC.length && !isLast) return 'unknown'
    return next.length === 0 || next.equals(FRAME_MAGIC) ? 'yes' : 'no'
  }

  #skipToMagic(): void {
    const at = this.#buffer.indexOf(FRAME_MAGIC)
    // The last seven bytes may be the beginning of a magic.
    const keep = partialMagic(this.#buffer)
    this.#pass(at >= 0 ? at : this.#buffer.length - keep)
  }

  #pass(bytes: number): void {
    this.#gapBytes += bytes
    this.#skip(bytes)
  }

  #skip(bytes: number): void {
    this.#buffer = this.#buffer.subarray(bytes)
    this.#offset += bytes
  }

  *#endGap(isTail: boolean): Generator<Scanned> {
    const bytes = this.#gapBytes
    this.#gapBytes = 0
    if (bytes > 0) yield { gap: { offset: this.#offset - bytes, bytes, isTail } }
  }
}

/** How many bytes at the end of `buffer` may begin a magic, 0..7. */
function partialMagic(buffer: Buffer): number {
  for (let length = Math.min(FRAME_MAGIC.length - 1, buffer.length); length > 0; length--)
    if (buffer.subarray(buffer.length - length).equals(FRAME_MAGIC.subarray(0, length))) return length
  return 0
}
