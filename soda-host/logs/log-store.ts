/**
 * Keeps what a guest has sealed: appended to segments, as the bytes come.
 *
 * Theory of operation. Goal: nothing that was appended is lost or changed by what comes later, and a log never takes
 * more than its share of the disk. The bytes are a hostile guest's: they are not looked at, only stored, and their
 * writer can reach nothing that is stored. A segment is filled to its size to the byte, so that its number tells where
 * in the log it begins, and a byte of the log keeps its offset for ever; when all together are too many, the oldest
 * segment goes, whole. A write that fails half-way (a full disk) leaves a beginning of what was to be appended; `end`
 * tells how much, and the rest can be appended when there is room.
 * Invariants: one writer; segments are numbered without a gap; the sum of their sizes is at most `bytesMax`.
 */
import { mkdir, open, readdir, rm, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { KIB } from '../../src/constants.ts'
import { LogError } from '../../src/errors.ts'
import { SEGMENT_NAME, segmentName } from './segments.ts'

export interface LogStoreInit {
  /** Made if it is not there. One log lies in it, and nothing else. */
  directory: string
  /** What the whole log may take. */
  bytesMax: number
  /** Size of a segment, the same as ever for a log; what retention gives up at a time. @default an eighth of `bytesMax` */
  segmentBytesMax?: number
}

const SEGMENTS_KEPT = 8
const READ_BYTES_MAX = 256 * KIB

interface Segment {
  number: number
  bytes: number
}

export class LogStore implements AsyncDisposable {
  readonly #directory: string
  readonly #bytesMax: number
  readonly #segmentBytesMax: number
  /** Oldest first; the last one is written to. */
  readonly #segments: Segment[]
  #file: FileHandle | undefined
  /** Appends happen one after the other. */
  #last: Promise<unknown> = Promise.resolve()

  private constructor(init: LogStoreInit, segments: Segment[]) {
    this.#directory = init.directory
    this.#bytesMax = init.bytesMax
    this.#segmentBytesMax = init.segmentBytesMax ?? Math.ceil(init.bytesMax / SEGMENTS_KEPT)
    this.#segments = segments
  }

  /**
   * Go on with the log in a directory, or begin one there.
   *
   * @throws ERR_LOG_ACCESS when it cannot be made or read
   */
  static async open(init: LogStoreInit): Promise<LogStore> {
    const { directory, bytesMax, segmentBytesMax = 1 } = init
    if (!(bytesMax > 0) || !(segmentBytesMax > 0) || segmentBytesMax > bytesMax)
      throw new TypeError(`a segment has 1..bytesMax bytes, got ${segmentBytesMax} of ${bytesMax}`)
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      const names = (await readdir(directory)).filter((name) => SEGMENT_NAME.test(name)).toSorted()
      const segments: Segment[] = []
      for (const name of names)
        segments.push({ number: Number.parseInt(name, 10), bytes: (await stat(join(directory, name))).size })
      return new LogStore(init, segments)
    } catch (cause) {
      throw new LogError('ERR_LOG_ACCESS', `${directory}: no log can be kept here`, { cause })
    }
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Offset of the oldest byte that is still kept, counted from the first that ever was. */
  get start(): number {
    return (this.#segments[0]?.number ?? 0) * this.#segmentBytesMax
  }

  /** Offset behind the newest byte. */
  get end(): number {
    const newest = this.#segments.at(-1)
    return newest === undefined ? 0 : newest.number * this.#segmentBytesMax + newest.bytes
  }

  /**
   * Append `bytes`, any number of them, behind all that were appended before. Resolves when the kernel has them.
   *
   * @throws ERR_LOG_ACCESS when not all could be written (a full disk): then `end` tells how many were
   */
  append(bytes: Uint8Array): Promise<void> {
    const done = this.#last.then(async () => {
      for (let at = 0; at < bytes.length;) at += await this.#appendSome(bytes.subarray(at))
    })
    this.#last = done.catch(() => undefined)
    return done
  }

  /**
   * Bytes from `from` up to `to`, in pieces, as long as they are kept. What a crash of the machine took out of the
   * middle is zeros.
   *
   * @throws ERR_LOG_ACCESS when they cannot be read, or have been given up
   */
  async *read(from: number, to: number): AsyncGenerator<Uint8Array> {
    for (let at = from; at < Math.min(to, this.end);) {
      const piece = await this.#readPiece(at, Math.min(to, this.end) - at)
      at += piece.length
      yield piece
    }
  }

  /** Force all that was appended to the disk. @throws ERR_LOG_ACCESS */
  async sync(): Promise<void> {
    await this.#last
    try {
      await this.#file?.datasync()
    } catch (cause) {
      throw new LogError('ERR_LOG_ACCESS', `${this.#directory}: the log may not be on the disk`, { cause })
    }
  }

  /** After the appends that were asked for. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last
    await this.#file?.close()
    this.#file = undefined
  }

  async #readPiece(at: number, length: number): Promise<Uint8Array> {
    const number = Math.floor(at / this.#segmentBytesMax)
    const within = at - number * this.#segmentBytesMax
    const size = Math.min(length, this.#segmentBytesMax - within, READ_BYTES_MAX)
    try {
      await using file = await open(join(this.#directory, segmentName(number)))
      const piece = Buffer.alloc(size)
      await file.read(piece, 0, size, within)
      return piece
    } catch (cause) {
      throw new LogError('ERR_LOG_ACCESS', `${this.#directory}: byte ${at} of the log cannot be read`, {
        cause
      })
    }
  }

  /** @returns how many: as many as the newest segment takes */
  async #appendSome(bytes: Uint8Array): Promise<number> {
    try {
      const segment = await this.#roomFor(bytes.length)
      const piece = bytes.subarray(0, this.#segmentBytesMax - segment.bytes)
      this.#file ??= await open(join(this.#directory, segmentName(segment.number)), 'a', 0o600)
      await this.#writeWhole(this.#file, segment, piece)
      return piece.length
    } catch (cause) {
      throw new LogError('ERR_LOG_ACCESS', `${this.#directory}: ${bytes.length} bytes could not be kept`, {
        cause
      })
    }
  }

  /** The segment that takes the next bytes, once the oldest have made room for them. */
  async #roomFor(bytes: number): Promise<Segment> {
    let segment = this.#segments.at(-1)
    if (segment === undefined || segment.bytes === this.#segmentBytesMax) {
      await this.#file?.datasync()
      await this.#file?.close()
      this.#file = undefined
      segment = { number: (segment?.number ?? -1) + 1, bytes: 0 }
      this.#segments.push(segment)
    }
    const coming = Math.min(bytes, this.#segmentBytesMax - segment.bytes)
    while (this.bytes + coming > this.#bytesMax && this.#segments.length > 1) {
      const oldest = this.#segments[0]
      if (oldest !== undefined) await rm(join(this.#directory, segmentName(oldest.number)), { force: true })
      this.#segments.shift()
    }
    return segment
  }

  async #writeWhole(file: FileHandle, segment: Segment, piece: Uint8Array): Promise<void> {
    try {
      await file.appendFile(piece)
      segment.bytes += piece.length
    } catch (error) {
      await file.truncate(segment.bytes)
      throw error
    }
  }
}
