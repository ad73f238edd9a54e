/**
 * Frames of the control channel between daemon (host) and guest init.
 *
 * Theory of operation. The connection is a byte stream that may end at any byte; a newer daemon's connection ends an
 * older one's. Nothing may be lost or doubled by that, so every kind of frame belongs to a *flow*, and each flow has a
 * counter that lives as long as the guest: commands are numbered by `sequence`, bytes are counted by `position`. After
 * connecting, the host says hello, the guest answers, and from the two hellos both know where each flow goes on.
 *
 * A frame is a header of 24 bytes, little-endian, and a payload of at most 256 KiB:
 *
 * | bytes | field    |                                                                              |
 * |-------|----------|------------------------------------------------------------------------------|
 * | 0..3  | length   | of the payload                                                               |
 * | 4..5  | type     | see below                                                                    |
 * | 6..7  | reserved | 0                                                                            |
 * | 8..15 | sequence | number of the command, or of the command that a transfer belongs to; else 0  |
 * | 16..23| position | bytes of the flow before this frame's payload, or up to which it is acked    |
 *
 * | type | frame        | from  | sequence | position | payload                                                    |
 * |------|--------------|-------|----------|----------|------------------------------------------------------------|
 * | 0x01 | hello        | both  |          |          | what the sender has of each flow, see channel-messages.ts  |
 * | 0x10 | run          | host  | own      |          | arguments, environment, terminal                           |
 * | 0x11 | signal       | host  | own      |          | u8 number                                                  |
 * | 0x12 | resize       | host  | own      |          | u16 columns, u16 rows                                      |
 * | 0x13 | put          | host  | own      |          | entry: kind, mode, size, path                              |
 * | 0x14 | get          | host  | own      |          |                                                            |
 * | 0x15 | powerOff     | host  | own      |          |                                                            |
 * | 0x20 | stdin        | host  |          | stdin    | data                                                       |
 * | 0x21 | stdinEnd     | host  |          | stdin    |                                                            |
 * | 0x22 | upload       | host  | put's    | in file  | data                                                       |
 * | 0x28 | outputAck    | host  |          | output   |                                                            |
 * | 0x29 | downloadAck  | host  | get's    | in walk  |                                                            |
 * | 0x30 | commandAck   | guest | last done|          |                                                            |
 * | 0x31 | stdinAck     | guest |          | stdin    |                                                            |
 * | 0x32 | uploadAck    | guest | put's    | in file  |                                                            |
 * | 0x33 | putResult    | guest | put's    |          | i32 errno, 0 when the file is complete                     |
 * | 0x34 | limits       | guest |          | bits     | limits reached so far, see channel-messages.ts             |
 * | 0x40 | stdout       | guest |          | output   | data                                                       |
 * | 0x41 | stderr       | guest |          | output   | data                                                       |
 * | 0x42 | exit         | guest |          | output   | u8 kind (0 status, 1 signal), u8 value; all output is sent |
 * | 0x43 | download     | guest | get's    | in walk  | a piece of the stream of entries: head, path, content      |
 * | 0x44 | downloadEnd  | guest | get's    | in walk  | i32 errno, 0 when the walk is complete                     |
 * | 0x50 | exec         | host  | session  |          | as run                                                     |
 * | 0x51 | execSignal   | host  | session  |          | u8 number                                                  |
 * | 0x52 | execResize   | host  | session  |          | u16 columns, u16 rows                                      |
 * | 0x53 | execClose    | host  | session  |          |                                                            |
 * | 0x54 | execStdin    | host  | session  | stdin    | data                                                       |
 * | 0x55 | execStdinEnd | host  | session  | stdin    |                                                            |
 * | 0x56 | execOutputAck| host  | session  | output   |                                                            |
 * | 0x60 | execStdout   | guest | session  | output   | data                                                       |
 * | 0x61 | execStderr   | guest | session  | output   | data                                                       |
 * | 0x62 | execExit     | guest | session  | output   | as exit, once; the session's number is then free           |
 * | 0x63 | execStdinAck | guest | session  | stdin    |                                                            |
 *
 * Windows: of every flow of bytes at most 1 MiB is under way, that is, sent and not acknowledged. Standard output and
 * error are one flow, so that their order is kept. Output is acknowledged when the daemon has stored it.
 *
 * Sessions are programs beside the main one, at most SESSIONS_MAX. They are the exception to what was said above: like
 * those of ssh they belong to one connection. The guest kills them when it ends, nothing of them is sent again, and the
 * host numbers those of the next connection from 1 on. Each has two flows with windows of 64 KiB of their own, and
 * senders take turns, so that a session which nobody reads holds up neither another one nor the main program. Frames of
 * the host that cross a session's exit mean nothing.
 *
 * Attacker: the guest's root may own guest init and send any bytes. The decoder keeps at most one frame, checks lengths
 * by type before it takes a payload, and throws ERR_CHANNEL_FORMAT at the first thing that must not be.
 *
 * guest-init/protocol.h says the same in C.
 */
import { KIB, MIB } from '../../src/constants.ts'
import { HostError } from '../../src/errors.ts'

export const FRAME_HEADER_BYTES = 24
export const PAYLOAD_BYTES_MAX = 256 * KIB
/** Of each flow of bytes, what may be sent and not yet acknowledged. */
export const WINDOW_BYTES = MIB
/** Data leaves the host in pieces of at most this size. */
export const PIECE_BYTES = 64 * KIB
/** Programs beside the main one, and the window of each of their flows. */
export const SESSIONS_MAX = 8
export const SESSION_WINDOW_BYTES = 64 * KIB

export const FrameType = {
  hello: 0x01,
  run: 0x10,
  signal: 0x11,
  resize: 0x12,
  put: 0x13,
  get: 0x14,
  powerOff: 0x15,
  stdin: 0x20,
  stdinEnd: 0x21,
  upload: 0x22,
  outputAck: 0x28,
  downloadAck: 0x29,
  commandAck: 0x30,
  stdinAck: 0x31,
  uploadAck: 0x32,
  putResult: 0x33,
  limits: 0x34,
  stdout: 0x40,
  stderr: 0x41,
  exit: 0x42,
  download: 0x43,
  downloadEnd: 0x44,
  exec: 0x50,
  execSignal: 0x51,
  execResize: 0x52,
  execClose: 0x53,
  execStdin: 0x54,
  execStdinEnd: 0x55,
  execOutputAck: 0x56,
  execStdout: 0x60,
  execStderr: 0x61,
  execExit: 0x62,
  execStdinAck: 0x63
} as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

export interface Frame {
  type: FrameType
  sequence: number
  position: number
  /** May be a view into what was received: copy what is kept for long. */
  payload: Uint8Array
}

/** Payload lengths, smallest and largest, of the frames that one side may send. */
export type FrameLengths = ReadonlyMap<number, readonly [min: number, max: number]>

export const HOST_HELLO_BYTES = 32
export const GUEST_HELLO_BYTES = 88
/** Head of a file or directory: kind, mode, length of its path, size. */
export const ENTRY_BYTES = 16
export const RUN_BYTES = 12

const DATA = [1, PAYLOAD_BYTES_MAX] as const
const NONE = [0, 0] as const
const ERRNO = [4, 4] as const

/** What a guest may send. */
export const GUEST_FRAMES: FrameLengths = new Map<number, readonly [number, number]>([
  [FrameType.hello, [GUEST_HELLO_BYTES, GUEST_HELLO_BYTES]],
  [FrameType.commandAck, NONE],
  [FrameType.stdinAck, NONE],
  [FrameType.uploadAck, NONE],
  [FrameType.putResult, ERRNO],
  [FrameType.limits, NONE],
  [FrameType.stdout, DATA],
  [FrameType.stderr, DATA],
  [FrameType.exit, [2, 2]],
  [FrameType.download, DATA],
  [FrameType.downloadEnd, ERRNO],
  [FrameType.execStdout, DATA],
  [FrameType.execStderr, DATA],
  [FrameType.execExit, [2, 2]],
  [FrameType.execStdinAck, NONE]
])

/** What a host may send. */
export const HOST_FRAMES: FrameLengths = new Map<number, readonly [number, number]>([
  [FrameType.hello, [HOST_HELLO_BYTES, HOST_HELLO_BYTES]],
  [FrameType.run, [RUN_BYTES, PAYLOAD_BYTES_MAX]],
  [FrameType.signal, [1, 1]],
  [FrameType.resize, [4, 4]],
  [FrameType.put, [ENTRY_BYTES + 1, PAYLOAD_BYTES_MAX]],
  [FrameType.get, NONE],
  [FrameType.powerOff, NONE],
  [FrameType.stdin, DATA],
  [FrameType.stdinEnd, NONE],
  [FrameType.upload, DATA],
  [FrameType.outputAck, NONE],
  [FrameType.downloadAck, NONE],
  [FrameType.exec, [RUN_BYTES, PAYLOAD_BYTES_MAX]],
  [FrameType.execSignal, [1, 1]],
  [FrameType.execResize, [4, 4]],
  [FrameType.execClose, NONE],
  [FrameType.execStdin, DATA],
  [FrameType.execStdinEnd, NONE],
  [FrameType.execOutputAck, NONE]
])

export function formatError(message: string): HostError {
  return new HostError('ERR_CHANNEL_FORMAT', `the guest broke the channel's protocol: ${message}`)
}

/** Header of a frame whose payload has `length` bytes. */
export function encodeHeader(type: FrameType, length: number, sequence = 0, position = 0): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES)
  header.writeUInt32LE(length, 0)
  header.writeUInt16LE(type, 4)
  header.writeBigUInt64LE(BigInt(sequence), 8)
  header.writeBigUInt64LE(BigInt(position), 16)
  return header
}

/** A u64 that must be exact as a number. @throws ERR_CHANNEL_FORMAT above 2^53 - 1 */
export function readCounter(bytes: Buffer, offset: number): number {
  const value = bytes.readBigUInt64LE(offset)
  if (value > Number.MAX_SAFE_INTEGER) throw formatError(`a counter of ${value}`)
  return Number(value)
}

interface Header {
  length: number
  type: FrameType
  sequence: number
  position: number
}

function isAllowed(type: number, allowed: FrameLengths): type is FrameType {
  return allowed.has(type)
}

function decodeHeader(bytes: Buffer, allowed: FrameLengths): Header {
  const length = bytes.readUInt32LE(0)
  const type = bytes.readUInt16LE(4)
  const [min, max] = allowed.get(type) ?? [0, -1]
  if (!isAllowed(type, allowed)) throw formatError(`a frame of type 0x${type.toString(16)}`)
  if (length < min || length > max)
    throw formatError(`a frame of type 0x${type.toString(16)} with ${length} bytes, expected ${min}..${max}`)
  if (bytes.readUInt16LE(6) !== 0) throw formatError('a reserved field that is not 0')
  return { length, type, sequence: readCounter(bytes, 8), position: readCounter(bytes, 16) }
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Cuts a byte stream into frames, however it is split. Holds at most one frame that is not complete. */
export class FrameDecoder {
  readonly #allowed: FrameLengths
  readonly #headerBytes = Buffer.alloc(FRAME_HEADER_BYTES)
  #headerFill = 0
  #header: Header | undefined
  #payload: Buffer | undefined
  #payloadFill = 0

  /** `allowed`: GUEST_FRAMES on the host. */
  constructor(allowed: FrameLengths) {
    this.#allowed = allowed
  }

  /**
   * The frames that `chunk` completes. Not to be used again after it has thrown.
   * @throws ERR_CHANNEL_FORMAT
   */
  *push(chunk: Uint8Array): Generator<Frame, void> {
    const bytes = view(chunk)
    let offset = 0
    while (offset < bytes.length) {
      if (this.#header === undefined) offset += this.#takeHeader(bytes.subarray(offset))
      const header = this.#header
      if (header === undefined) return
      const { taken, payload } = this.#takePayload(bytes.subarray(offset), header.length)
      offset += taken
      if (payload === undefined) return
      this.#header = undefined
      const { type, sequence, position } = header
      yield { type, sequence, position, payload }
    }
  }

  #takeHeader(bytes: Buffer): number {
    const taken = bytes.copy(this.#headerBytes, this.#headerFill)
    this.#headerFill += taken
    if (this.#headerFill < FRAME_HEADER_BYTES) return taken
    this.#header = decodeHeader(this.#headerBytes, this.#allowed)
    this.#headerFill = 0
    return taken
  }

  #takePayload(bytes: Buffer, length: number): { taken: number; payload?: Buffer } {
    if (this.#payload === undefined) {
      if (bytes.length >= length) return { taken: length, payload: bytes.subarray(0, length) }
      this.#payload = Buffer.allocUnsafeSlow(length)
      this.#payloadFill = 0
    }
    const taken = bytes.copy(this.#payload, this.#payloadFill)
    this.#payloadFill += taken
    if (this.#payloadFill < length) return { taken }
    const payload = this.#payload
    this.#payload = undefined
    return { taken, payload }
  }
}
