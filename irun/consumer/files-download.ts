import { open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { RunError } from '../../src/errors.ts'
import { FILES_ENTRIES_MAX, TAR_ENTRY_OVERHEAD_BYTES } from '../../src/constants.ts'
import type { AttachedRun } from './attached-run.ts'
import { extractFiles } from './extract.ts'

/** The tar of the output files on its way to the consumer's disk; goes on where an earlier session stopped. */
export class FilesDownload {
  readonly #run: AttachedRun
  readonly #path: string
  readonly #file: FileHandle
  readonly #totalBytes: number
  readonly #confirm: (offset: number) => void
  #byteLength: number

  /** @throws ERR_PROVIDER_DISHONEST when that is more than the lease's disk holds */
  static async open(
    run: AttachedRun,
    totalBytes: number,
    confirm: (offset: number) => void
  ): Promise<FilesDownload> {
    if (totalBytes > diskBytesOf(run) + FILES_ENTRIES_MAX * TAR_ENTRY_OVERHEAD_BYTES)
      throw new RunError(
        'ERR_PROVIDER_DISHONEST',
        `${totalBytes} bytes of files are more than the lease's disk`
      )
    const path = join(run.directory, 'files.tar')
    await (await open(path, 'a', 0o600)).close()
    const file = await open(path, 'r+')
    const { size } = await file.stat()
    if (size > totalBytes) await file.truncate(0)
    return new FilesDownload(run, path, file, totalBytes, confirm, size > totalBytes ? 0 : size)
  }

  private constructor(
    run: AttachedRun,
    path: string,
    file: FileHandle,
    totalBytes: number,
    confirm: (offset: number) => void,
    byteLength: number
  ) {
    this.#run = run
    this.#path = path
    this.#file = file
    this.#totalBytes = totalBytes
    this.#confirm = confirm
    this.#byteLength = byteLength
  }

  get byteLength(): number {
    return this.#byteLength
  }

  /** @throws ERR_PROVIDER_DISHONEST when it does not follow, or is more than was said */
  async append(offset: number, data: Uint8Array): Promise<void> {
    if (offset !== this.#byteLength || offset + data.byteLength > this.#totalBytes)
      throw new RunError(
        'ERR_PROVIDER_DISHONEST',
        `files at ${offset}: expected ${this.#byteLength} of ${this.#totalBytes}`
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
    this.#confirm(this.#byteLength)
    this.#run.emit({
      type: 'progress',
      phase: 'collecting',
      bytes: this.#byteLength,
      totalBytes: this.#totalBytes
    })
  }

  /** @throws ERR_PROVIDER_DISHONEST when it is not all there, ERR_RUN_FILES; the tar stays for another try */
  async extract(outDir: string): Promise<{ path: string; sizeBytes: number }[]> {
    if (this.#byteLength !== this.#totalBytes)
      throw new RunError(
        'ERR_PROVIDER_DISHONEST',
        `${this.#byteLength} bytes of files, ${this.#totalBytes} were said`
      )
    const { runId } = this.#run.record
    const files = await extractFiles({ tarPath: this.#path, outDir, runId, bytesMax: diskBytesOf(this.#run) })
    await rm(this.#path)
    return files
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

function diskBytesOf(run: AttachedRun): number {
  return run.lease?.payload.limits.diskBytes ?? 0
}
