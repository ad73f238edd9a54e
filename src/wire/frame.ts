/**
 * Frames on a stream: u32 LE length of the payload, u8 type, payload.
 *
 * Types: 0 a message (JSON, at most MESSAGE_BYTES_MAX), 1 a ping (empty), 16..31 data of channel 0..15: u64 LE
 * offset of the first byte within the channel, then 1..DATA_FRAME_BYTES_MAX bytes. The attacker sends any
 * bytes: a length is believed only after it was compared with its type's limit, so that no more than one
 * frame is ever held for somebody who has not sent it whole.
 */
import { DATA_FRAME_BYTES_MAX, MESSAGE_BYTES_MAX } from '../constants.ts'
import { WireError } from '../errors.ts'
import { ByteQueue } from './byte-queue.ts'

const HEADER_BYTES = 5
const OFFSET_BYTES = 8
const TYPE_MESSAGE = 0
const TYPE_PING = 1
const TYPE_DATA = 16
export const CHANNELS_MAX = 16

export type RawFrame =
  | { kind: 'message'; payload: Uint8Array }
  | { kind: 'ping' }
  | { kind: 'data'; channel: number; offset: number; data: Uint8Array }

/** The largest frame there is, in bytes. */
export const FRAME_BYTES_MAX = HEADER_BYTES + Math.max(MESSAGE_BYTES_MAX, OFFSET_BYTES + DATA_FRAME_BYTES_MAX)

/** @throws ERR_WIRE_SIZE when the frame is larger than its type allows */
export function encodeFrame(frame: RawFrame): Uint8Array {
  switch (frame.kind) {
    case 'ping':
      return withHeader(TYPE_PING, 0)
    case 'message': {
      const bytes = withHeader(TYPE_MESSAGE, frame.payload.byteLength)
      bytes.set(frame.payload, HEADER_BYTES)
      return bytes
    }
    case 'data': {
      const bytes = withHeader(TYPE_DATA + frame.channel, OFFSET_BYTES + frame.data.byteLength)
      bytes.writeBigUInt64LE(BigInt(frame.offset), HEADER_BYTES)
      bytes.set(frame.data, HEADER_BYTES + OFFSET_BYTES)
      return bytes
    }
  }
}

function withHeader(type: number, length: number): Buffer {
  checkLength(type, length)
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + length)
  bytes.writeUInt32LE(length, 0)
  bytes.writeUInt8(type, 4)
  return bytes
}

function checkLength(type: number, length: number): void {
  const [min, max] = lengthsOf(type)
  if (length < min || length > max)
    throw new WireError('ERR_WIRE_SIZE', `a frame of type ${type} has ${min} to ${max} bytes, not ${length}`)
}

function lengthsOf(type: number): [min: number, max: number] {
  if (type === TYPE_MESSAGE) return [1, MESSAGE_BYTES_MAX]
  if (type === TYPE_PING) return [0, 0]
  if (type >= TYPE_DATA && type < TYPE_DATA + CHANNELS_MAX)
    return [OFFSET_BYTES + 1, OFFSET_BYTES + DATA_FRAME_BYTES_MAX]
  throw new WireError('ERR_WIRE_FORMAT', `there is no frame of type ${type}`)
}

/** Cuts bytes, however they arrive, into frames. */
export class FrameDecoder {
  readonly #bytes = new ByteQueue()
  #header: { length: number; type: number } | undefined

  /** Bytes that have not left as frames. */
  get bufferedBytes(): number {
    return this.#bytes.byteLength
  }

  /** True between frames: the end of the stream is only good here. */
  get isBetweenFrames(): boolean {
    return this.#bytes.byteLength === 0 && this.#header === undefined
  }

  push(chunk: Uint8Array): void {
    this.#bytes.push(chunk)
  }

  clear(): void {
    this.#bytes.clear()
  }

  /**
   * The next whole frame, if it is there.
   *
   * @throws ERR_WIRE_SIZE, ERR_WIRE_FORMAT; nothing that follows can be read then
   */
  next(): RawFrame | undefined {
    const header = this.#readHeader()
    if (header === undefined || this.#bytes.byteLength < header.length) return undefined
    this.#header = undefined
    if (header.type === TYPE_PING) return { kind: 'ping' }
    const payload = this.#bytes.take(header.length)
    if (header.type === TYPE_MESSAGE) return { kind: 'message', payload }
    const offset = Buffer.from(payload.buffer, payload.byteOffset, OFFSET_BYTES).readBigUInt64LE(0)
    if (offset > Number.MAX_SAFE_INTEGER)
      throw new WireError('ERR_WIRE_FORMAT', `offset ${offset} is too large`)
    return {
      kind: 'data',
      channel: header.type - TYPE_DATA,
      offset: Number(offset),
      data: payload.subarray(OFFSET_BYTES)
    }
  }

  #readHeader(): { length: number; type: number } | undefined {
    if (this.#header === undefined && this.#bytes.byteLength >= HEADER_BYTES) {
      const bytes = this.#bytes.take(HEADER_BYTES)
      const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
      const header = { length: view.getUint32(0, true), type: view.getUint8(4) }
      checkLength(header.type, header.length)
      this.#header = header
    }
    return this.#header
  }
}
