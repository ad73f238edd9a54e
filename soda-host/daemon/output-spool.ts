/**
 * A program's output on disk: one append-only file of frames, u32 LE length, u8 stream (1 stdout, 2 stderr), data.
 *
 * Theory of operation. The guest acknowledges nothing before it is written here, so a daemon that is killed loses
 * none of it; if the machine itself dies, the guest and its run die with it, so the file is forced to the disk
 * once, at the end. What is kept is a prefix of what the program wrote: once anything was thrown away (limit, full
 * disk) everything after it is, and is counted. `offset` tells what was seen before: a guest that did not hear our
 * last answer sends again. The guest is hostile: it may send any offset, and frames of one byte, whose headers
 * would take five times the limit.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { KIB } from '../../src/constants.ts'
import { HostError } from '../../src/errors.ts'
import type { OutputStream } from '../virtual-server/types.ts'
import type { Reason } from './api.ts'
import { isDiskFull } from './disk-full.ts'
import { CHUNK_BYTES } from './limits.ts'

export const FRAME_HEADER_BYTES = 5
export const STREAM_NUMBERS = { stdout: 1, stderr: 2 } as const satisfies Record<OutputStream, number>

export function encodeHeader(stream: OutputStream, length: number): Buffer {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES)
  header.writeUInt32LE(length, 0)
  header.writeUInt8(STREAM_NUMBERS[stream], 4)
  return header
}

export interface SpoolInit {
  path: string
  /** Bytes of data that are kept. */
  bytesMax: number
  /** What the program had written when this was last noted; 0 for a new server. */
  seenBytes: number
  trouble?: Reason
  /** The machine has died since: what is missing while there is room was lost, not thrown away. */
  mayHaveLost?: boolean
}

export class OutputSpool implements AsyncDisposable {
  readonly #file: FileHandle
  readonly #bytesMax: number
  #fileBytes: number
  #keptBytes: number
  #seenBytes: number
  #trouble: Reason | undefined
  #turn: Promise<unknown> = Promise.resolve()

  /** Opens or creates, and cuts off a frame that was not written to its end. */
  static async open(init: SpoolInit): Promise<OutputSpool> {
    const file = await open(init.path, 'a+', 0o600)
    try {
      const { fileBytes, keptBytes } = await measure(file)
      await file.truncate(fileBytes)
      const spool = new OutputSpool(file, init, fileBytes, keptBytes)
      if (init.mayHaveLost === true && spool.#room() > 0 && init.trouble === undefined)
        spool.#seenBytes = keptBytes
      return spool
    } catch (error) {
      await file.close()
      throw error
    }
  }

  private constructor(file: FileHandle, init: SpoolInit, fileBytes: number, keptBytes: number) {
    this.#file = file
    this.#bytesMax = init.bytesMax
    this.#trouble = init.trouble
    this.#fileBytes = fileBytes
    this.#keptBytes = keptBytes
    this.#seenBytes = Math.max(init.seenBytes, keptBytes)
  }

  /** Whole frames in the file; readers go up to here. */
  get fileBytes(): number {
    return this.#fileBytes
  }

  get keptBytes(): number {
    return this.#keptBytes
  }

  get seenBytes(): number {
    return this.#seenBytes
  }

  /** Set when output was thrown away for another reason than its limit. */
  get trouble(): Reason | undefined {
    return this.#trouble
  }

  /** True if anything was thrown away; then what was seen is not to be learned from the file. */
  get isCut(): boolean {
    return this.#seenBytes > this.#keptBytes
  }

  /** Resolves when `data` is in the file, or counted as thrown away. Never rejects for a full disk. */
  append(stream: OutputStream, data: Uint8Array, offset: number): Promise<void> {
    const turn = this.#turn.then(() => this.#append(stream, data, offset))
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  async #append(stream: OutputStream, data: Uint8Array, offset: number): Promise<void> {
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new HostError('ERR_CHANNEL_FORMAT', `output at offset ${offset}`)
    const end = offset + data.length
    if (end <= this.#seenBytes) return
    const fresh = data.subarray(Math.max(0, this.#seenBytes - offset))
    const isWhole = !this.isCut && offset <= this.#seenBytes
    this.#seenBytes = end
    if (isWhole) await this.#keep(stream, fresh.subarray(0, this.#room()))
  }

  /** One-byte frames are five sixths header: the file, too, has an end. */
  #room(): number {
    const fileBytesMax = 2 * this.#bytesMax + 64 * KIB
    const inFile = fileBytesMax - this.#fileBytes - FRAME_HEADER_BYTES
    return Math.max(0, Math.min(this.#bytesMax - this.#keptBytes, inFile))
  }

  async #keep(stream: OutputStream, data: Uint8Array): Promise<void> {
    if (data.length === 0) return
    const frame = Buffer.concat([encodeHeader(stream, data.length), data])
    try {
      for (let written = 0; written < frame.length;)
        written += (await this.#file.write(frame, written, frame.length - written)).bytesWritten
    } catch (error) {
      this.#trouble = troubleOf(error)
      // Without this a later reader would take the half frame for output.
      await this.#file.truncate(this.#fileBytes).catch(() => undefined)
      return
    }
    this.#fileBytes += frame.length
    this.#keptBytes += data.length
  }

  /** Forces everything to the disk. */
  async sync(): Promise<void> {
    await this.#turn
    await this.#file.datasync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turn
    await this.#file.close()
  }
}

function troubleOf(error: unknown): Reason {
  if (isDiskFull(error)) return { code: 'disk-full', message: "the host's disk is full: output was cut off" }
  return { code: 'disk-error', message: "the host's disk failed: output was cut off" }
}

/** Walks the frames and stops before one that is not whole. */
async function measure(file: FileHandle): Promise<{ fileBytes: number; keptBytes: number }> {
  const { size } = await file.stat()
  const window = Buffer.allocUnsafe(CHUNK_BYTES)
  let start = 0
  let held = 0
  let at = 0
  let keptBytes = 0
  while (at + FRAME_HEADER_BYTES <= size) {
    if (at < start || at + FRAME_HEADER_BYTES > start + held) {
      start = at
      held = (await file.read(window, 0, window.length, start)).bytesRead
      if (held < FRAME_HEADER_BYTES) break
    }
    const length = window.readUInt32LE(at - start)
    if (at + FRAME_HEADER_BYTES + length > size) break
    at += FRAME_HEADER_BYTES + length
    keptBytes += length
  }
  return { fileBytes: at, keptBytes }
}

/** Bytes of a file from `from` up to `to`, in pieces; `to` may be beyond its end. */
export async function* readRange(
  file: FileHandle,
  from: number,
  to: number
): AsyncGenerator<Uint8Array, number> {
  let at = from
  while (at < to) {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, to - at))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at)
    if (bytesRead === 0) break
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
  return at
}
