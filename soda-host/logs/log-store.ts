/**
 * Keeps what a guest has sealed: appended to segments, as the bytes come.
 *
 * Theory of operation. Goal: nothing that was appended is lost or changed by what comes later, and a log never takes
 * more than its share of the disk. The bytes are a hostile guest's: they are not looked at, only stored, and their
 * writer can reach nothing that is stored. A segment that has reached its size is followed by the next; when all
 * together are too many, the oldest goes, whole. A write that fails half-way (a full disk) is taken back, so that
 * what is appended later does not stand behind a torn frame; what was lost shows to the reader by its chain.
 * Invariants: one writer; segments are numbered without a gap; the sum of their sizes is at most `bytesMax`.
 */
import { mkdir, open, readdir, rm, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { LogError } from '../../src/errors.ts'
import { SEGMENT_NAME, segmentName } from './segments.ts'

export interface LogStoreInit {
  /** Made if it is not there. One log lies in it, and nothing else. */
  directory: string
  /** What the whole log may take. */
  bytesMax: number
  /** What one segment may take; what retention gives up at a time. @default an eighth of `bytesMax` */
  segmentBytesMax?: number
}

const SEGMENTS_KEPT = 8

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

  /**
   * Append `bytes`, any number of them, behind all that were appended before. Resolves when the kernel has them.
   *
   * @throws ERR_LOG_ACCESS when they could not be written (a full disk): then none of them is there, and a later
   * append may succeed
   */
  append(bytes: Uint8Array): Promise<void> {
    const done = this.#last.then(async () => {
      for (let at = 0; at < bytes.length; at += this.#segmentBytesMax)
        await this.#appendPiece(bytes.subarray(at, at + this.#segmentBytesMax))
    })
    this.#last = done.catch(() => undefined)
    return done
  }

  /** After the appends that were asked for. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last
    await this.#file?.close()
    this.#file = undefined
  }

  async #appendPiece(piece: Uint8Array): Promise<void> {
    try {
      const segment = await this.#roomFor(piece.length)
      this.#file ??= await open(join(this.#directory, segmentName(segment.number)), 'a', 0o600)
      await this.#writeWhole(this.#file, segment, piece)
    } catch (cause) {
      throw new LogError('ERR_LOG_ACCESS', `${this.#directory}: ${piece.length} bytes could not be kept`, {
        cause
      })
    }
  }

  /** The segment that takes the next bytes, once the oldest have made room for them. */
  async #roomFor(bytes: number): Promise<Segment> {
    let segment = this.#segments.at(-1)
    if (segment === undefined || segment.bytes + bytes > this.#segmentBytesMax) {
      await this.#file?.close()
      this.#file = undefined
      segment = { number: (segment?.number ?? -1) + 1, bytes: 0 }
      this.#segments.push(segment)
    }
    while (this.bytes + bytes > this.#bytesMax && this.#segments.length > 1) {
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
