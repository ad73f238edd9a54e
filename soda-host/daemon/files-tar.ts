/**
 * Trees of files as tar, at the two borders where they come in: from a client, and from a guest.
 *
 * Theory of operation: nothing that came from outside is kept as it came. Entries are read one by one, checked
 * (see file-rules.ts), and packed anew into a tar of our own making, which takes its name only when it is whole.
 * Contents stream through; what is held in memory does not grow with their size.
 */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import tar from 'tar-stream'
import { FILES_ENTRIES_MAX, TAR_ENTRY_OVERHEAD_BYTES } from '../../src/constants.ts'
import { HostError } from '../../src/errors.ts'
import type { GuestFile } from '../virtual-server/types.ts'
import { abortable, Bell } from './bell.ts'
import { writeDurably } from './durable-file.ts'
import { FileRules } from './file-rules.ts'

export interface StoreInit {
  /** Where the tar goes. */
  path: string
  /** For the contents of all files together. */
  bytesMax: number
  signal: AbortSignal
  mayTakeName?: () => void
}

/**
 * Check a tar from a client and store what is in it.
 *
 * @throws ERR_FILES_FORMAT when it is no tar, or holds anything but plain files and directories with decent names;
 * ERR_FILES_LIMIT when it is too much. Nothing is stored then.
 */
export async function storeTar(source: AsyncIterable<Uint8Array>, init: StoreInit): Promise<void> {
  await pack(init, async (into, signal) => {
    const extract = tar.extract()
    // Whatever goes wrong in feeding ends the loop below with the same error.
    const feeding = pipeline(bounded(source, init.bytesMax), extract, { signal })
    feeding.catch(() => undefined)
    try {
      for await (const file of fromTar(extract, new FileRules(init.bytesMax))) await into(file)
      await feeding
    } catch (error) {
      throw isFromParser(error) ? badTar(error) : error
    } finally {
      extract.destroy()
    }
  })
}

/**
 * Check the files that a guest hands over and store them.
 *
 * @throws ERR_FILES_FORMAT, ERR_FILES_LIMIT; what reading from the guest throws passes through
 */
export async function storeGuestFiles(source: AsyncIterable<GuestFile>, init: StoreInit): Promise<void> {
  const rules = new FileRules(init.bytesMax)
  await pack(init, async (into) => {
    for await (const file of source) {
      const path = rules.admit(file)
      if (path !== undefined) await into({ ...file, path })
    }
  })
}

/** The entries of a tar that we stored. Each content must be read before the next entry is asked for. */
export async function* storedFiles(path: string, signal: AbortSignal): AsyncGenerator<GuestFile> {
  const extract = tar.extract()
  const feeding = pipeline(createReadStream(path), extract, { signal })
  try {
    yield* fromTar(extract, new FileRules(Number.MAX_SAFE_INTEGER))
  } finally {
    extract.destroy()
    await feeding.catch(() => undefined)
  }
}

async function* fromTar(extract: tar.Extract, rules: FileRules): AsyncGenerator<GuestFile> {
  for await (const entry of extract) {
    const { name, type, mode, size } = entry.header
    const kind = type === 'file' || type === 'contiguous-file' ? 'file' : type
    if (kind !== 'file' && kind !== 'directory')
      throw new HostError(
        'ERR_FILES_FORMAT',
        `${JSON.stringify(name.slice(0, 200))} is a ${type}: only files and directories are taken`
      )
    const sizeBytes = kind === 'file' ? size : 0
    const path = rules.admit({ path: name, kind, sizeBytes })
    if (path !== undefined)
      yield { path, mode: mode & 0o777, sizeBytes, kind, content: entry as AsyncIterable<Uint8Array> }
    entry.resume()
  }
}

type Into = (file: GuestFile) => Promise<void>

async function pack(
  init: StoreInit,
  fill: (into: Into, signal: AbortSignal) => Promise<void>
): Promise<void> {
  await writeDurably({
    path: init.path,
    ...(init.mayTakeName && { mayTakeName: init.mayTakeName }),
    async write(partPath) {
      // Opened before anything can fail: a stream that is given up while it opens its file makes it all the same.
      const handle = await open(partPath, 'wx', 0o600)
      const packer = new PacedPacker()
      const failed = new AbortController()
      const signal = AbortSignal.any([init.signal, failed.signal])
      // Who waits for the packer, to read from it or to write to it, waits no longer then.
      signal.addEventListener('abort', () => packer.destroy(signal.reason as Error))
      const file = handle.createWriteStream({ flush: true })
      file.once('error', (error) => failed.abort(error))
      const writing = pipeline(packer.chunks(), file, { signal })
      writing.catch(() => undefined)
      try {
        await fill((entry) => packer.add(entry, signal), signal)
        packer.finish()
        await writing
      } catch (error) {
        // A no-op if the disk or the caller was first: everything else is a consequence then.
        failed.abort(error)
        await writing.catch(() => undefined)
        throw signal.reason
      } finally {
        // The stream closes it too, but tells of its end before it has.
        await handle.close()
      }
    }
  })
}

/** tar-stream's packer takes any number of headers without being read: here the next entry waits for that. */
class PacedPacker {
  readonly #pack = tar.pack()
  readonly #read = new Bell()
  #isFull = false

  constructor() {
    // Told by the rejections of who reads and writes.
    this.#pack.on('error', () => undefined)
    const push = this.#pack.push.bind(this.#pack)
    this.#pack.push = (chunk: unknown) => {
      const hasRoom = push(chunk)
      this.#isFull = !hasRoom
      return hasRoom
    }
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.#pack) {
      this.#isFull = false
      this.#read.ring()
      yield chunk as Uint8Array
    }
  }

  async add(file: GuestFile, signal: AbortSignal): Promise<void> {
    const { path: name, mode, kind: type, sizeBytes: size } = file
    const header = { name, mode: mode & 0o777, type, size, mtime: new Date(0) }
    if (type === 'file' && size > 0) await pipeline(exactly(file), this.#pack.entry(header), { signal })
    else this.#pack.entry(header, '').on('error', () => undefined)
    for (let read = this.#read.next(); this.#isFull; read = this.#read.next()) await abortable(read, signal)
  }

  finish(): void {
    this.#pack.finalize()
  }

  destroy(error: Error): void {
    this.#pack.destroy(error)
  }
}

async function* exactly(file: GuestFile): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of file.content) {
    bytes += chunk.length
    if (bytes > file.sizeBytes) break
    yield chunk
  }
  if (bytes !== file.sizeBytes)
    throw new HostError(
      'ERR_FILES_FORMAT',
      `${JSON.stringify(file.path)} is not as long as it was said to be`
    )
}

/** Headers and padding are bounded too: a tar of nothing but extended headers would never end. */
async function* bounded(source: AsyncIterable<Uint8Array>, bytesMax: number): AsyncGenerator<Uint8Array> {
  const tarBytesMax = bytesMax + (FILES_ENTRIES_MAX + 2) * TAR_ENTRY_OVERHEAD_BYTES
  let bytes = 0
  for await (const chunk of source) {
    bytes += chunk.length
    if (bytes > tarBytesMax)
      throw new HostError('ERR_FILES_LIMIT', `the tar is larger than ${tarBytesMax} bytes`)
    yield chunk
  }
}

/** tar-stream throws bare errors; ours, the system's, and an abort all carry a code. */
function isFromParser(error: unknown): boolean {
  return error instanceof Error && !('code' in error)
}

function badTar(error: unknown): HostError {
  return new HostError('ERR_FILES_FORMAT', 'this is not a tar archive, or it is broken', { cause: error })
}
