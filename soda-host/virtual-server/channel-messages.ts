/**
 * Payloads of the control channel's frames. Pure; the layouts are those of guest-init/protocol.h.
 * Everything decoded here may come from a hostile guest: lengths were checked by the frame decoder, values are here.
 */
import { HostError } from '../../src/errors.ts'
import {
  ENTRY_BYTES,
  formatError,
  GUEST_HELLO_BYTES,
  HOST_HELLO_BYTES,
  PAYLOAD_BYTES_MAX,
  readCounter,
  RUN_BYTES
} from './frames.ts'
import type { GuestFile, GuestLimit, ProgramExit, ProgramSpec, TerminalSize } from './types.ts'

/** "SODA" */
const MAGIC = 0x41444f53
const VERSION = 1
const UNKNOWN = 2n ** 64n - 1n

const FLAG_STARTED = 0x1
const FLAG_STDIN_ENDED = 0x2
const FLAG_UPLOAD_DONE = 0x4

/** Bits, as in a hello and in the position of a frame. */
const LIMITS: readonly (readonly [number, GuestLimit])[] = [
  [0x1, 'memory'],
  [0x2, 'disk'],
  [0x4, 'files'],
  [0x8, 'processes']
]
const LIMITS_ALL = 0xf

const KINDS = { file: 1, directory: 2 } as const
const RUN_TERMINAL = 0x1
export const PATH_BYTES_MAX = 1024
const ARGUMENTS_MAX = 1024
const ENVIRONMENT_MAX = 1024
const SIGNAL_MAX = 64
/** @see MAX_ERRNO in the kernel's include/linux/err.h */
const ERRNO_MAX = 4095

/** What the host has. */
export interface HostHello {
  /** Bytes of output stored; undefined: the guest goes on after what was acknowledged. */
  outputStored: number | undefined
  /** The walk that is being received, 0 if none, and how much of it has come. */
  downloadSequence: number
  downloadReceived: number
}

/** What the guest has. */
export interface GuestHello {
  /** 32 hex digits. */
  bootId: string
  isStarted: boolean
  isStdinEnded: boolean
  commandsDone: number
  stdinReceived: number
  stdinTaken: number
  outputProduced: number
  outputAcked: number
  uploadSequence: number
  uploadReceived: number
  /** Set when that upload has come to an end; 0 or an errno. */
  uploadResult: number | undefined
  limits: GuestLimit[]
}

export function encodeHostHello(hello: HostHello): Buffer {
  const bytes = Buffer.alloc(HOST_HELLO_BYTES)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt16LE(VERSION, 4)
  bytes.writeBigUInt64LE(hello.outputStored === undefined ? UNKNOWN : BigInt(hello.outputStored), 8)
  bytes.writeBigUInt64LE(BigInt(hello.downloadSequence), 16)
  bytes.writeBigUInt64LE(BigInt(hello.downloadReceived), 24)
  return bytes
}

/** @throws ERR_CHANNEL_FORMAT for another protocol or version, or counters that contradict each other */
export function decodeGuestHello(payload: Uint8Array): GuestHello {
  const bytes = sized(payload, GUEST_HELLO_BYTES)
  if (bytes.readUInt32LE(0) !== MAGIC) throw formatError('its hello is not one of ours')
  const version = bytes.readUInt16LE(4)
  if (version !== VERSION) throw formatError(`its version is ${version}, ours ${VERSION}`)
  const flags = bytes.readUInt16LE(6)
  const hello = {
    bootId: bytes.toString('hex', 8, 24),
    isStarted: (flags & FLAG_STARTED) !== 0,
    isStdinEnded: (flags & FLAG_STDIN_ENDED) !== 0,
    commandsDone: readCounter(bytes, 24),
    stdinReceived: readCounter(bytes, 32),
    stdinTaken: readCounter(bytes, 40),
    outputProduced: readCounter(bytes, 48),
    outputAcked: readCounter(bytes, 56),
    uploadSequence: readCounter(bytes, 64),
    uploadReceived: readCounter(bytes, 72),
    uploadResult: (flags & FLAG_UPLOAD_DONE) === 0 ? undefined : checkedErrno(bytes.readInt32LE(80)),
    limits: decodeLimits(bytes.readUInt32LE(84))
  }
  if (hello.stdinTaken > hello.stdinReceived) throw formatError('it has taken input that it has not received')
  if (hello.outputAcked > hello.outputProduced)
    throw formatError('output is acknowledged that it never produced')
  return hello
}

/** @throws ERR_HOST_REQUEST when the program does not fit into a frame or holds a NUL */
export function encodeRun({ argv, env, terminal }: ProgramSpec): Buffer {
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const strings = [...argv, ...assignments]
  if (argv.length < 1 || argv.length > ARGUMENTS_MAX || assignments.length > ENVIRONMENT_MAX)
    throw requestError(`1..${ARGUMENTS_MAX} arguments and at most ${ENVIRONMENT_MAX} variables are possible`)
  if (strings.some((text) => text.includes('\0'))) throw requestError('an argument or variable holds a NUL')
  const head = Buffer.alloc(RUN_BYTES)
  head.writeUInt16LE(terminal === undefined ? 0 : RUN_TERMINAL, 0)
  if (terminal !== undefined) encodeSize(terminal).copy(head, 2)
  head.writeUInt16LE(argv.length, 6)
  head.writeUInt16LE(assignments.length, 8)
  const payload = Buffer.concat([head, ...strings.map((text) => Buffer.from(`${text}\0`))])
  if (payload.length > PAYLOAD_BYTES_MAX)
    throw requestError(
      `arguments and environment take ${payload.length} of at most ${PAYLOAD_BYTES_MAX} bytes`
    )
  return payload
}

/** @throws TypeError for a size that is no u16 */
export function encodeSize({ columns, rows }: TerminalSize): Buffer {
  for (const value of [columns, rows])
    if (!Number.isInteger(value) || value < 0 || value > 0xffff)
      throw new TypeError(`terminal size: expected 0..65535, got ${value}`)
  const bytes = Buffer.alloc(4)
  bytes.writeUInt16LE(columns, 0)
  bytes.writeUInt16LE(rows, 2)
  return bytes
}

/** @throws TypeError for a number that no signal has */
export function encodeSignal(signal: number): Buffer {
  if (!Number.isInteger(signal) || signal < 1 || signal > SIGNAL_MAX)
    throw new TypeError(`signal: expected 1..${SIGNAL_MAX}, got ${signal}`)
  return Buffer.of(signal)
}

/** Head of a file or directory as it lies in a put and in a walk, without its content. */
export function encodeEntry({ kind, mode, sizeBytes, path }: Omit<GuestFile, 'content'>): Buffer {
  const name = Buffer.from(path)
  if (name.length < 1 || name.length > PATH_BYTES_MAX)
    throw new HostError('ERR_FILES_FORMAT', `a path of ${name.length} bytes, expected 1..${PATH_BYTES_MAX}`)
  const head = Buffer.alloc(ENTRY_BYTES)
  head.writeUInt8(KINDS[kind], 0)
  head.writeUInt16LE(mode & 0o777, 2)
  head.writeUInt32LE(name.length, 4)
  head.writeBigUInt64LE(BigInt(sizeBytes), 8)
  return Buffer.concat([head, name])
}

/** @throws ERR_CHANNEL_FORMAT */
export function decodeEntryHead(
  payload: Uint8Array
): Omit<GuestFile, 'content' | 'path'> & { pathBytes: number } {
  const bytes = sized(payload, ENTRY_BYTES)
  const kind = bytes.readUInt8(0)
  const mode = bytes.readUInt16LE(2)
  const pathBytes = bytes.readUInt32LE(4)
  const sizeBytes = readCounter(bytes, 8)
  if (kind !== KINDS.file && kind !== KINDS.directory) throw formatError(`an entry of kind ${kind}`)
  if (mode > 0o777) throw formatError(`permissions of ${mode.toString(8)}`)
  if (pathBytes < 1 || pathBytes > PATH_BYTES_MAX) throw formatError(`a path of ${pathBytes} bytes`)
  if (kind === KINDS.directory && sizeBytes !== 0) throw formatError('a directory with content')
  return { kind: kind === KINDS.file ? 'file' : 'directory', mode, pathBytes, sizeBytes }
}

/**
 * The path of an entry. Names that are not UTF-8 come out with U+FFFD, for the reader to refuse or rename.
 * @throws ERR_CHANNEL_FORMAT for what guest init never sends: absolute, leading upwards, empty parts, NUL
 */
export function decodePath(bytes: Uint8Array): string {
  const path = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
  if (path.includes('\0') || path.split('/').some((name) => name === '' || name === '.' || name === '..'))
    throw formatError(`the path ${JSON.stringify(path.slice(0, 200))}`)
  return path
}

/** @throws ERR_CHANNEL_FORMAT */
export function decodeExit(payload: Uint8Array): ProgramExit {
  const [kind, value = 0] = payload
  if (kind === 0) return { kind: 'status', status: value }
  if (kind === 1 && value >= 1 && value <= SIGNAL_MAX) return { kind: 'signal', signal: value }
  throw formatError(`an exit of kind ${String(kind)} and value ${value}`)
}

/** @throws ERR_CHANNEL_FORMAT for limits that there are not */
export function decodeLimits(bits: number): GuestLimit[] {
  if (bits > LIMITS_ALL) throw formatError(`limits ${bits}`)
  return LIMITS.flatMap(([bit, limit]) => ((bits & bit) === 0 ? [] : [limit]))
}

/** 0, or why the guest could not do it. @throws ERR_CHANNEL_FORMAT for what is no errno */
export function decodeErrno(payload: Uint8Array): number {
  return checkedErrno(sized(payload, 4).readInt32LE(0))
}

function checkedErrno(value: number): number {
  if (value < 0 || value > ERRNO_MAX) throw formatError(`the error number ${value}`)
  return value
}

function sized(payload: Uint8Array, length: number): Buffer {
  if (payload.length !== length) throw formatError(`${payload.length} bytes where ${length} belong`)
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
}

function requestError(message: string): HostError {
  return new HostError('ERR_HOST_REQUEST', message)
}
