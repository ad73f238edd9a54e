/** From an archive that nobody vouches for to one of our own making, entry by entry, as a stream. */
import { pipeline } from 'node:stream/promises'
import { extract } from 'tar-stream'
import { HostError, isIShareError } from '../../src/errors.ts'
import { ImageEntries } from './image-entries.ts'
import { IMAGE_ARCHIVE_BYTES_MAX } from './pins.ts'
import type { ProgressListener } from './progress.ts'
import { bytesText } from './progress.ts'
import { TAR_END, tarHeader, tarPadding } from './tar-writer.ts'

/** The bytes of a tar archive: any readable stream will do. */
export type TarStream = AsyncIterable<Uint8Array>

export interface CheckOptions {
  /** Name of the image, for messages. */
  name: string
  progress?: ProgressListener | undefined
  signal: AbortSignal
}

/**
 * The same archive with every entry judged by {@link ImageEntries} and every header written anew.
 *
 * @throws ERR_IMAGE_FORMAT when the archive is damaged, empty, too large or breaks a rule
 */
export async function* checkedArchive(tar: TarStream, { name, progress, signal }: CheckOptions): TarStream {
  const task = `packing the image ${name}`
  const entries = new ImageEntries()
  const parser = extract()
  const read = pipeline(
    bounded(tar, name, (bytes) => progress?.({ task, detail: bytesText(bytes) })),
    parser,
    {
      signal
    }
  )
  read.catch(() => undefined)
  try {
    for await (const source of parser) {
      for (const entry of entries.accept(source.header)) {
        yield tarHeader(entry)
        if (entry.type === 'file') yield* source as AsyncIterable<Uint8Array>
        yield tarPadding(entry.size)
      }
      source.resume()
    }
    await read
    for (const entry of entries.finish()) yield tarHeader(entry)
    yield TAR_END
  } catch (error) {
    signal.throwIfAborted()
    throw isFromParser(error) ? damaged(name, error) : error
  } finally {
    parser.destroy()
    await read.catch(() => undefined)
  }
  progress?.({
    task,
    isDone: true,
    detail: `${entries.count} entries, ${entries.dropped} device nodes left out`
  })
}

/** tar-stream throws bare errors; ours, the system's, and an abort carry a code. */
function isFromParser(error: unknown): boolean {
  return !isIShareError(error) && error instanceof Error && !('code' in error)
}

function damaged(name: string, cause: unknown): HostError {
  return new HostError('ERR_IMAGE_FORMAT', `image ${name}: not a tar archive, or a damaged one`, { cause })
}

/** Extended headers belong to no entry's size: without this bound an archive of them would never end. */
async function* bounded(tar: TarStream, name: string, report: (bytes: number) => void): TarStream {
  let bytes = 0
  for await (const chunk of tar) {
    bytes += chunk.length
    if (bytes > IMAGE_ARCHIVE_BYTES_MAX)
      throw new HostError('ERR_IMAGE_FORMAT', `image ${name}: more than ${IMAGE_ARCHIVE_BYTES_MAX} bytes`)
    report(bytes)
    yield chunk
  }
}
