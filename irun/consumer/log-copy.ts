/**
 * The consumer's own copy of a run's sealed log, and the heads that the provider has signed while it grew.
 *
 * `sealed.klog` holds the bytes as they came. `sealed.json` says how many bytes of the log are not in it, because they
 * were not kept any more when they were asked for; it is written before bytes from behind such a gap are. `anchors.json`
 * holds the newest head of each boot. Several processes of one consumer may write the same bytes at the same place.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { KIB } from '../../src/constants.ts'
import {
  verifyDocument,
  verifyKeptDocument,
  type LogAnchor,
  type Verified
} from '../../src/documents/index.ts'
import { LogError, RunError } from '../../src/errors.ts'
import { ANCHORS_KEPT_MAX } from '../limits.ts'

const READ_BYTES = 64 * KIB
const BYTES = 'sealed.klog'
const GAPS = 'sealed.json'
const ANCHORS = 'anchors.json'

const gapsSchema = z.strictObject({ missingBytes: z.int().min(0) })
const anchorsSchema = z.array(z.string())

export interface LogCopyInit {
  /** The folder of the run; made if absent. */
  directory: string
  bytesMax: number
  provider: string
  consumer: string
  runId: string
  leaseDigest: string
}

export class LogCopy implements AsyncDisposable {
  readonly #init: LogCopyInit
  readonly #file: FileHandle
  #byteLength: number
  #missingBytes: number

  static async open(init: LogCopyInit): Promise<LogCopy> {
    await mkdir(init.directory, { recursive: true, mode: 0o700 })
    const path = join(init.directory, BYTES)
    await (await open(path, 'a', 0o600)).close()
    const gaps = await readJson(join(init.directory, GAPS), gapsSchema)
    const file = await open(path, 'r+')
    return new LogCopy(init, file, (await stat(path)).size, gaps?.missingBytes ?? 0)
  }

  private constructor(init: LogCopyInit, file: FileHandle, byteLength: number, missingBytes: number) {
    this.#init = init
    this.#file = file
    this.#byteLength = byteLength
    this.#missingBytes = missingBytes
  }

  get byteLength(): number {
    return this.#byteLength
  }

  /** Where the log goes on, in bytes since it began. */
  get offset(): number {
    return this.#byteLength + this.#missingBytes
  }

  /** What comes next begins here. @throws ERR_PROVIDER_DISHONEST when that was here already */
  async goOnFrom(offset: number): Promise<void> {
    if (offset < this.offset)
      throw new RunError(
        'ERR_PROVIDER_DISHONEST',
        `the log goes on at ${offset}, asked for was ${this.offset}`
      )
    if (offset === this.offset) return
    this.#missingBytes = offset - this.#byteLength
    await this.#write(GAPS, { missingBytes: this.#missingBytes })
  }

  /** @throws ERR_PROVIDER_DISHONEST when it does not follow, ERR_LOG_LIMIT when it is too much */
  async append(offset: number, data: Uint8Array): Promise<void> {
    if (offset !== this.offset)
      throw new RunError('ERR_PROVIDER_DISHONEST', `the log at ${offset}, expected ${this.offset}`)
    if (this.#byteLength + data.byteLength > this.#init.bytesMax)
      throw new LogError(
        'ERR_LOG_LIMIT',
        `the sealed log of run ${this.#init.runId} has more than ${this.#init.bytesMax} bytes`
      )
    for (let written = 0; written < data.byteLength;) {
      const { bytesWritten } = await this.#file.write(
        data,
        written,
        data.byteLength - written,
        this.#byteLength + written
      )
      written += bytesWritten
    }
    this.#byteLength += data.byteLength
  }

  /** On the disk, whatever happens. */
  async sync(): Promise<void> {
    await this.#file.datasync()
  }

  /** What is here from `at` on, of this copy's own bytes. */
  async *read(at: number): AsyncGenerator<Uint8Array, void, undefined> {
    const end = this.#byteLength
    while (at < end) {
      const buffer = Buffer.alloc(Math.min(READ_BYTES, end - at))
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.byteLength, at)
      if (bytesRead === 0) return
      at += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  }

  /**
   * Keep a head that the provider has signed. Older ones than those that are kept change nothing.
   * @throws DocumentError codes, ERR_PROVIDER_DISHONEST when it is for another run, or contradicts one that is kept
   */
  async takeAnchor(token: string): Promise<void> {
    const { provider, consumer, runId, leaseDigest } = this.#init
    const said = await verifyDocument('log-anchor', token, { issuer: provider, audience: consumer })
    if (said.payload.runId !== runId || said.payload.leaseDigest !== leaseDigest)
      throw new RunError('ERR_PROVIDER_DISHONEST', `the provider anchors the log of another run`)
    const kept = await this.anchors()
    const before = kept.find(({ payload }) => payload.boot === said.payload.boot)
    if (before !== undefined && before.payload.frame >= said.payload.frame) {
      if (before.payload.frame === said.payload.frame && before.payload.head !== said.payload.head)
        throw new RunError('ERR_PROVIDER_DISHONEST', `the provider has signed two heads for one frame`)
      return
    }
    const newest = [...kept.filter((anchor) => anchor !== before), said]
      .sort((a, b) => a.payload.boot - b.payload.boot)
      .slice(-ANCHORS_KEPT_MAX)
    await this.#write(
      ANCHORS,
      newest.map((anchor) => anchor.token)
    )
  }

  /** By boot. */
  async anchors(): Promise<Verified<LogAnchor>[]> {
    const tokens = (await readJson(join(this.#init.directory, ANCHORS), anchorsSchema)) ?? []
    return Promise.all(
      tokens.map((token) => verifyKeptDocument('log-anchor', token, { issuer: this.#init.provider }))
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
  }

  /** There whole or not at all, and there to stay. */
  async #write(name: string, value: unknown): Promise<void> {
    const path = join(this.#init.directory, name)
    const part = `${path}.${randomUUID()}`
    try {
      await using file = await open(part, 'wx', 0o600)
      await file.writeFile(JSON.stringify(value))
      await file.sync()
      await rename(part, path)
    } finally {
      await rm(part, { force: true })
    }
  }
}

/** Undefined when there is no such file. */
async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  try {
    return schema.parse(JSON.parse(text))
  } catch (cause) {
    throw new LogError('ERR_LOG_ACCESS', `${path}: not what was written there`, { cause })
  }
}
