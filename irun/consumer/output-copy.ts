/**
 * The consumer's own copy of a run's output: the same bytes as the provider's spool, so that its length is where
 * to go on, and `logs` needs nobody else.
 *
 * Only ever a prefix of the spool: a kill loses at most what was not written yet. Two processes of one consumer
 * may write it at once: each writes what the provider sent for an offset at that offset. A hostile provider can
 * fill no more of the disk than the lease's `outputBytesMax` allows.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { KIB, MIB } from '../../src/constants.ts'
import { RunError } from '../../src/errors.ts'
import { Bell } from '../waiting.ts'
import { SpoolParser } from './spool-parser.ts'

const READ_BYTES = 256 * KIB
const SCAN_BYTES = MIB
/** What the host's spool may have beside the data. */
const spoolBytesMax = (outputBytesMax: number): number => 2 * outputBytesMax + 64 * KIB

export class OutputCopy implements AsyncDisposable {
  readonly #path: string
  readonly #file: FileHandle
  readonly #outputBytesMax: number
  readonly #parser: SpoolParser
  /** Rings when there is more. */
  readonly grown = new Bell()
  #byteLength: number
  #isClosed = false

  static async open(path: string, outputBytesMax: number): Promise<OutputCopy> {
    const file = await open(path, 'a+', 0o600).then(async (created) => {
      await created.close()
      // Append mode would ignore the offset of a write.
      return open(path, 'r+')
    })
    try {
      const { parser, byteLength } = await scan(file)
      return new OutputCopy(path, file, outputBytesMax, parser, byteLength)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  private constructor(
    path: string,
    file: FileHandle,
    outputBytesMax: number,
    parser: SpoolParser,
    byteLength: number
  ) {
    this.#path = path
    this.#file = file
    this.#outputBytesMax = outputBytesMax
    this.#parser = parser
    this.#byteLength = byteLength
  }

  get byteLength(): number {
    return this.#byteLength
  }

  parserAtStart(): SpoolParser {
    return new SpoolParser()
  }

  /** A parser that stands at the end of what is here now. */
  parserAtEnd(): SpoolParser {
    return this.#parser.clone()
  }

  /** @throws ERR_PROVIDER_DISHONEST when it does not follow, is no spool or too much */
  async append(offset: number, data: Uint8Array): Promise<void> {
    if (offset !== this.#byteLength)
      throw new RunError('ERR_PROVIDER_DISHONEST', `output at ${offset}, expected ${this.#byteLength}`)
    this.#parser.push(data)
    if (
      this.#parser.dataBytes > this.#outputBytesMax ||
      offset + data.byteLength > spoolBytesMax(this.#outputBytesMax)
    )
      throw new RunError(
        'ERR_PROVIDER_DISHONEST',
        `more output than the lease's ${this.#outputBytesMax} bytes`
      )
    for (let written = 0; written < data.byteLength;) {
      const { bytesWritten } = await this.#file.write(
        data,
        written,
        data.byteLength - written,
        offset + written
      )
      written += bytesWritten
    }
    this.#byteLength += data.byteLength
    this.grown.ring()
  }

  /**
   * Up to READ_BYTES from `offset` on. When writing has ended the file is opened for each read: a reader may be
   * left alone at any time, and must not hold a file then.
   */
  async read(offset: number, end: number): Promise<Uint8Array> {
    if (!this.#isClosed) return readFrom(this.#file, offset, end)
    await using file = await open(this.#path, 'r')
    return await readFrom(file, offset, end)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    // Waits for reads that are under way.
    await this.#file.close()
  }
}

async function readFrom(file: FileHandle, offset: number, end: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, end - offset))
  const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, offset)
  if (bytesRead === 0) throw new RunError('ERR_RUN_STATE', 'the copy of the output was cut meanwhile')
  return buffer.subarray(0, bytesRead)
}

async function scan(file: FileHandle): Promise<{ parser: SpoolParser; byteLength: number }> {
  const parser = new SpoolParser()
  const buffer = Buffer.allocUnsafe(SCAN_BYTES)
  for (let byteLength = 0; ;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, byteLength)
    if (bytesRead === 0) return { parser, byteLength }
    parser.push(buffer.subarray(0, bytesRead))
    byteLength += bytesRead
  }
}
