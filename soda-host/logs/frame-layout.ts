/**
 * Frames as they lie in a log: the reader's twin of `soda-host/kernort/include/kernort_frame.h`, which a test compares
 * with it. Pure.
 *
 * @see docs/formats/sealed-log.md sections 2 to 4
 */

export const FRAME_HEADER_BYTES = 128
export const FRAME_MAGIC = Buffer.from('\x8bKRNTFR\n', 'latin1')
export const FRAME_VERSION = 1
export const FRAME_SEALED_BYTES_MAX = 65536
export const TAG_BYTES = 16
export const LINK_BYTES = 32
export const RECIPIENT_BYTES = 128
export const RECIPIENTS_MAX = 4

const CLEAR_BYTES_MAX = LINK_BYTES + RECIPIENTS_MAX * RECIPIENT_BYTES
export const FRAME_BYTES_MAX = FRAME_HEADER_BYTES + FRAME_SEALED_BYTES_MAX + TAG_BYTES

export const FRAME_KINDS = { epoch: 1, records: 2, end: 3 } as const
export type FrameKind = keyof typeof FRAME_KINDS

/** Name, offset and size in bytes of every field of the header. */
export const FRAME_FIELDS = [
  ['magic', 0, 8],
  ['version', 8, 1],
  ['kind', 9, 1],
  ['severity', 10, 1],
  ['reserved', 11, 1],
  ['clear_size', 12, 4],
  ['sealed_size', 16, 4],
  ['record_count', 20, 4],
  ['first_record', 24, 8],
  ['number', 32, 8],
  ['epoch', 40, 4],
  ['boot_number', 44, 4],
  ['server_id', 48, 16],
  ['boot_id', 64, 16],
  ['salt', 80, 16],
  ['previous', 96, 32]
] as const

export interface FrameHeader {
  kind: FrameKind
  /** Gravest alert inside, 1..4, 0 where there is none or it is not shown. */
  severity: number
  clearBytes: number
  sealedBytes: number
  recordCount: number
  firstRecord: bigint
  number: bigint
  epoch: number
  bootNumber: number
  /** Hex, as the next three. */
  serverId: string
  bootId: string
  /** Head of the chain before this frame. */
  previous: string
}

/** A frame that has the shape of one; nothing about it is proven yet. */
export interface Frame {
  header: FrameHeader
  /** Where it begins in the log, in bytes. */
  offset: number
  /** All of it: header, clear part, sealed part, tag. */
  bytes: Buffer
}

const KIND_NAMES: Readonly<Record<number, FrameKind>> = { 1: 'epoch', 2: 'records', 3: 'end' }

/** Read 128 bytes; undefined when they are not the header of a frame. */
export function parseFrameHeader(bytes: Buffer): FrameHeader | undefined {
  if (bytes.length < FRAME_HEADER_BYTES || !bytes.subarray(0, 8).equals(FRAME_MAGIC)) return undefined
  const kind = KIND_NAMES[bytes.readUInt8(9)]
  const header = {
    severity: bytes.readUInt8(10),
    clearBytes: bytes.readUInt32LE(12),
    sealedBytes: bytes.readUInt32LE(16),
    recordCount: bytes.readUInt32LE(20),
    firstRecord: bytes.readBigUInt64LE(24),
    number: bytes.readBigUInt64LE(32),
    epoch: bytes.readUInt32LE(40),
    bootNumber: bytes.readUInt32LE(44),
    serverId: bytes.toString('hex', 48, 64),
    bootId: bytes.toString('hex', 64, 80),
    previous: bytes.toString('hex', 96, 128)
  }
  const isKnown = bytes.readUInt8(8) === FRAME_VERSION && kind !== undefined && bytes.readUInt8(11) === 0
  return isKnown && hasSizes(kind, header) ? { kind, ...header } : undefined
}

function hasSizes(
  kind: FrameKind,
  { severity, clearBytes, sealedBytes }: Pick<FrameHeader, 'severity' | 'clearBytes' | 'sealedBytes'>
): boolean {
  if (severity > 4) return false
  if (kind !== 'epoch') return clearBytes === 0 && sealedBytes <= FRAME_SEALED_BYTES_MAX
  const recipients = (clearBytes - LINK_BYTES) / RECIPIENT_BYTES
  return sealedBytes === 0 && Number.isInteger(recipients) && recipients >= 1 && clearBytes <= CLEAR_BYTES_MAX
}

/** Length of a whole frame. */
export function frameBytes({ clearBytes, sealedBytes }: FrameHeader): number {
  return FRAME_HEADER_BYTES + clearBytes + sealedBytes + TAG_BYTES
}
