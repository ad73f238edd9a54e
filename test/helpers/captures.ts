/** Capture files of tests: classic pcap, Ethernet. */
import { readFile } from 'node:fs/promises'

const MAGIC = 0xa1b2c3d4
const HEADER_BYTES = 24
const RECORD_BYTES = 16
const ETHERNET = 1

/** Its frames; undefined when the file is of another kind. */
export async function readFrames(path: string): Promise<Buffer[] | undefined> {
  const file = await readFile(path)
  const isLittle = file.length >= HEADER_BYTES && file.readUInt32LE(0) === MAGIC
  if (!isLittle && (file.length < HEADER_BYTES || file.readUInt32BE(0) !== MAGIC)) return undefined
  const word = (at: number): number => (isLittle ? file.readUInt32LE(at) : file.readUInt32BE(at))
  if (word(20) !== ETHERNET) return undefined
  const frames: Buffer[] = []
  for (let at = HEADER_BYTES; at + RECORD_BYTES <= file.length;) {
    const length = word(at + 8)
    frames.push(file.subarray(at + RECORD_BYTES, at + RECORD_BYTES + length))
    at += RECORD_BYTES + length
  }
  return frames
}

/** A capture of these frames, `apartMicroseconds` one after the other. */
export function captureOf(frames: readonly Buffer[], apartMicroseconds = 1): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(MAGIC, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(0xffff, 16)
  header.writeUInt32LE(ETHERNET, 20)
  const records = frames.flatMap((frame, index) => {
    const record = Buffer.alloc(RECORD_BYTES)
    const time = index * apartMicroseconds
    record.writeUInt32LE(Math.floor(time / 1e6), 0)
    record.writeUInt32LE(time % 1e6, 4)
    record.writeUInt32LE(frame.length, 8)
    record.writeUInt32LE(frame.length, 12)
    return [record, frame]
  })
  return Buffer.concat([header, ...records])
}
