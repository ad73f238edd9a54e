/** Images as squashfs files, kept by digest and shared read-only by all servers: `images/<hex>.squashfs`. */
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { HostError } from '../../src/errors.ts'
import { publishFile, sweepWork, workDirectory, writeFileAtomically } from './cache.ts'
import { start } from './command.ts'
import type { TarStream } from './image-archive.ts'
import { checkedArchive } from './image-archive.ts'
import { withLock } from './lock.ts'
import { IMAGE_BUILD_TIMEOUT_MS, SOURCE_DATE_EPOCH } from './pins.ts'
import type { FactoryOptions } from './progress.ts'
import { describeFile, digestSchema } from './result.ts'

/** An image in the store. */
export interface StoredImage {
  name: string
  /** `sha256:<hex>` of the squashfs. */
  digest: string
  path: string
  sizeBytes: number
}

const SQUASHFS_ARGS = [
  ...['-comp', 'zstd', '-no-xattrs', '-no-progress', '-quiet'],
  ...['-root-mode', '0755', '-root-uid', '0', '-root-gid', '0']
]

/** What, besides the archive, decides over the bytes of an image. */
export const IMAGE_FORMAT_TEXT = `${SQUASHFS_ARGS.join(' ')} ${SOURCE_DATE_EPOCH}`

const IMAGE_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/

function imagePath(cacheDir: string, digest: string): string {
  return join(cacheDir, 'images', `${digest.replace('sha256:', '')}.squashfs`)
}

/**
 * Put an image into the store from an archive that nobody vouches for. Owners, permissions, times and links are
 * kept; extended attributes are not.
 *
 * @param tar - an uncompressed tar archive: ustar, pax or GNU
 * @throws ERR_IMAGE_FORMAT when the archive is damaged or breaks a rule, see image-entries.ts
 * @throws ERR_IMAGE_BUILD when the squashfs cannot be written
 */
export async function importImage(
  name: string,
  tar: TarStream,
  options: FactoryOptions
): Promise<StoredImage> {
  return await withImageLock(options, () => importTar(name, tar, options))
}

/** The lock under which images are made. */
export function withImageLock<T>(
  { cacheDir, progress, signal }: FactoryOptions,
  body: () => Promise<T>
): Promise<T> {
  const onWait = (): void => progress?.({ task: 'waiting for another process that builds an image' })
  return withLock(join(cacheDir, 'images.lock'), { signal, onWait }, async () => {
    await sweepWork(cacheDir, 'image')
    return await body()
  })
}

/** {@link importImage} for callers that hold the lock. */
export async function importTar(name: string, tar: TarStream, options: FactoryOptions): Promise<StoredImage> {
  const { cacheDir, signal } = options
  if (!IMAGE_NAME.test(name))
    throw new HostError('ERR_IMAGE_FORMAT', `not a name for an image: ${JSON.stringify(name)}`)
  await using work = await workDirectory(cacheDir, 'image')
  const path = join(work.path, 'image.squashfs')
  await writeSquashfs(name, tar, path, options)
  signal?.throwIfAborted()
  const { digest, sizeBytes } = await describeFile(path)
  const final = imagePath(cacheDir, digest)
  await publishFile(path, final)
  return { name, digest, path: final, sizeBytes }
}

async function writeSquashfs(
  name: string,
  tar: TarStream,
  path: string,
  options: FactoryOptions
): Promise<void> {
  const failed = new AbortController()
  const signal =
    options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal])
  const sqfstar = start('sqfstar', [...SQUASHFS_ARGS, path], {
    code: 'ERR_IMAGE_BUILD',
    signal,
    timeoutMs: IMAGE_BUILD_TIMEOUT_MS,
    env: { SOURCE_DATE_EPOCH: String(SOURCE_DATE_EPOCH) }
  })
  sqfstar.stdout.resume()
  const archive = checkedArchive(tar, { name, progress: options.progress, signal })
  const written = pipeline(archive, sqfstar.stdin, { signal }).catch((error: unknown) => {
    if (!isBrokenPipe(error)) failed.abort(error)
    throw error
  })
  const [reading, packing] = await Promise.allSettled([written, sqfstar.done])
  options.signal?.throwIfAborted()
  // A broken pipe only says that the other end has gone: why is for sqfstar to tell.
  if (reading.status === 'rejected' && !isBrokenPipe(reading.reason)) throw reading.reason
  if (packing.status === 'rejected') throw packing.reason
  if (reading.status === 'rejected') throw reading.reason
}

function isBrokenPipe(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ERR_STREAM_DESTROYED'
}

const recordSchema = z.object({ name: z.string().regex(IMAGE_NAME), digest: digestSchema })

function recordPath(cacheDir: string, name: string, inputs: string): string {
  return join(cacheDir, 'images', `${name}-${inputs}.json`)
}

/** The image that this recipe made, if it is here and whole. */
export async function findImage(
  cacheDir: string,
  name: string,
  inputs: string
): Promise<StoredImage | undefined> {
  try {
    const record = recordSchema.parse(JSON.parse(await readFile(recordPath(cacheDir, name, inputs), 'utf8')))
    const file = await describeFile(imagePath(cacheDir, record.digest))
    return file.digest === record.digest ? { name, ...file } : undefined
  } catch {
    return undefined
  }
}

/** Remember that this recipe made this image. */
export async function recordImage(cacheDir: string, inputs: string, image: StoredImage): Promise<void> {
  const record = { name: image.name, digest: image.digest }
  await mkdir(join(cacheDir, 'images'), { recursive: true })
  await writeFileAtomically(recordPath(cacheDir, image.name, inputs), `${JSON.stringify(record, null, 2)}\n`)
}
