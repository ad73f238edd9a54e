import { open, type FileHandle } from 'node:fs/promises'
import { KIB } from '../../src/constants.ts'

/** Bytes that are read when they are asked for. */
export interface ImagePart {
  sizeBytes: number
  /** Exactly `sizeBytes`. */
  content: () => AsyncIterable<Uint8Array>
}

/** Read at a time. */
const CHUNK_BYTES = 256 * KIB

/** Bytes `from` up to `to` of a file; what it does not have is zeros. */
export async function* fileContent(file: FileHandle, from: number, to: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < to;) {
    const buffer = Buffer.alloc(Math.min(CHUNK_BYTES, to - at))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at)
    const piece = bytesRead === 0 ? buffer : buffer.subarray(0, bytesRead)
    yield piece
    at += piece.length
  }
}

export async function openFilePart(path: string): Promise<ImagePart & AsyncDisposable> {
  const file = await open(path)
  const { size: sizeBytes } = await file.stat()
  return {
    sizeBytes,
    content: () => fileContent(file, 0, sizeBytes),
    [Symbol.asyncDispose]: () => file.close()
  }
}
