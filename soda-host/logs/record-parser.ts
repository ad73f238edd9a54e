/** From the opened bytes of a frame to records. Pure; the bytes are a guest kernel's and are not trusted. */
import { LogError } from '../../src/errors.ts'
import {
  KIND_LAYOUTS,
  RECORD_BYTES_MAX,
  RECORD_CUT,
  RECORD_HEADER_BYTES,
  type FieldType,
  type KindLayout,
  type RecordKind
} from './record-layout.ts'

/** One event of a virtual server, as its kernel saw it. */
export interface LogRecord {
  /** Of a kind that this reader knows; `unknown` else: the rest of the log is read all the same. */
  kind: RecordKind | 'unknown'
  kindNumber: number
  /** Which boot of the server, from 0. */
  boot: number
  /** Counts within a boot. */
  number: bigint
  /** Nanoseconds since the boot, which the guest's root cannot set. */
  monotonicNs: bigint
  /** Nanoseconds since 1970 by the guest's clock, which its root can set. */
  realtimeNs: bigint
  /** Whose act it was; 0: the kernel's. */
  pid: number
  uid: number
  comm: string
  /** Some of its bytes were too many and are not here. */
  isCut: boolean
  /** Numbers; bytes of fixed length as hex. Names as in the layout, in camel case. */
  fields: Record<string, number | bigint | string>
  tails: Record<string, Buffer>
}

const LAYOUTS = new Map<number, KindLayout & { name: RecordKind }>(
  KIND_LAYOUTS.map((layout) => [layout.number, layout])
)

const READERS: Record<FieldType, (bytes: Buffer, offset: number) => number | bigint | string> = {
  u16: (bytes, offset) => bytes.readUInt16LE(offset),
  u32: (bytes, offset) => bytes.readUInt32LE(offset),
  u64: (bytes, offset) => bytes.readBigUInt64LE(offset),
  s64: (bytes, offset) => bytes.readBigInt64LE(offset),
  kernort_bytes16: (bytes, offset) => bytes.toString('hex', offset, offset + 16),
  kernort_bytes32: (bytes, offset) => bytes.toString('hex', offset, offset + 32)
}

/**
 * The records in `bytes`, one after the other.
 *
 * @throws ERR_LOG_FORMAT at the first record that is not one; those before it have been given out
 */
export function* parseRecords(bytes: Buffer, boot: number): Generator<LogRecord> {
  for (let at = 0; at < bytes.length;) {
    const rest = bytes.subarray(at)
    const size = rest.length < RECORD_HEADER_BYTES ? 0 : rest.readUInt32LE(0)
    if (size < RECORD_HEADER_BYTES || size > RECORD_BYTES_MAX || size % 8 !== 0 || size > rest.length)
      throw new LogError('ERR_LOG_FORMAT', `boot ${boot}: no record at byte ${at} of ${bytes.length}`)
    yield parseRecord(rest.subarray(0, size), boot)
    at += size
  }
}

function parseRecord(bytes: Buffer, boot: number): LogRecord {
  const kindNumber = bytes.readUInt16LE(4)
  const layout = LAYOUTS.get(kindNumber)
  const body = bytes.subarray(RECORD_HEADER_BYTES)
  return {
    kind: layout?.name ?? 'unknown',
    kindNumber,
    boot,
    number: bytes.readBigUInt64LE(8),
    monotonicNs: bytes.readBigUInt64LE(16),
    realtimeNs: bytes.readBigUInt64LE(24),
    pid: bytes.readUInt32LE(32),
    uid: bytes.readUInt32LE(36),
    comm: textUntilZero(bytes.subarray(40, 56)),
    isCut: (bytes.readUInt16LE(6) & RECORD_CUT) !== 0,
    fields: layout === undefined ? {} : parseFields(layout, body),
    tails: layout === undefined ? {} : parseTails(layout, body)
  }
}

function parseFields(layout: KindLayout, body: Buffer): LogRecord['fields'] {
  if (body.length < layout.size) throw shortRecord(layout)
  const fields = layout.fields.filter(([name]) => name !== 'reserved')
  return Object.fromEntries(fields.map(([name, type, offset]) => [camel(name), READERS[type](body, offset)]))
}

function parseTails(layout: KindLayout, body: Buffer): LogRecord['tails'] {
  const tails: LogRecord['tails'] = {}
  let at = layout.size
  for (const name of layout.tails) {
    if (at + 4 > body.length) throw shortRecord(layout)
    const end = at + 4 + body.readUInt32LE(at)
    if (end > body.length) throw shortRecord(layout)
    tails[camel(name)] = body.subarray(at + 4, end)
    at = end
  }
  return tails
}

function shortRecord({ name }: KindLayout): LogError {
  return new LogError('ERR_LOG_FORMAT', `a record of kind ${name} is shorter than what it holds`)
}

function camel(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase())
}

function textUntilZero(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
}
