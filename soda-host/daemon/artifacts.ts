/**
 * Kernel, initrd and images, as this daemon runs them: files in its own state directory, named by digest.
 *
 * They are linked from where the factory put them (copied if that is another file system, or not readable for the
 * guests' uids) and their digests are checked at every start: a guest kernel that is not the one that was built is
 * not booted. What no living server needs any more is removed.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, copyFile, constants, link, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { SECOND_MS } from '../../src/constants.ts'
import { HostError } from '../../src/errors.ts'
import type { Artifacts } from '../factory/index.ts'
import type { Image } from './api.ts'

export interface InstalledArtifacts {
  kernelPath: string
  initrdPath: string
  images: (Image & { path: string })[]
}

export interface InstallInit {
  artifacts: Artifacts
  /** Directory of the installed files. */
  directory: string
  /** Digests that living servers were created with; their files stay even if the factory has newer ones. */
  inUse: readonly string[]
  /** Told what is being checked once all of it has taken more than a second. */
  onProgress: (message: string) => void
}

/** @throws ERR_IMAGE_FORMAT when a file is missing or is not what its digest says */
export async function installArtifacts(init: InstallInit): Promise<InstalledArtifacts> {
  const { artifacts, directory } = init
  const startedAtMs = Date.now()
  const install = async (path: string, digest: string, modeBits = 0o444): Promise<string> => {
    if (Date.now() - startedAtMs > SECOND_MS) init.onProgress(`checking ${basename(path)}`)
    return installFile(path, digest, directory, modeBits)
  }
  const kernelPath = await install(artifacts.kernel.path, artifacts.kernel.digest, 0o555)
  const initrdPath = await install(artifacts.initrd.path, artifacts.initrd.digest)
  const images: InstalledArtifacts['images'] = []
  for (const { name, digest, sizeBytes, path } of artifacts.images)
    images.push({ name, digest, sizeBytes, path: await install(path, digest) })
  const wanted = [artifacts.kernel.digest, artifacts.initrd.digest, ...images.map((image) => image.digest)]
  await removeOthers(directory, new Set([...wanted, ...init.inUse].map(fileName)))
  return { kernelPath, initrdPath, images }
}

/** Where the file of that digest is, if it is installed. */
export function installedPath(directory: string, digest: string): string {
  return join(directory, fileName(digest))
}

function fileName(digest: string): string {
  return digest.replace(':', '-')
}

async function installFile(
  source: string,
  digest: string,
  directory: string,
  modeBits: number
): Promise<string> {
  const target = installedPath(directory, digest)
  if ((await digestOf(target)) === digest) return target
  const part = `${target}.part`
  await rm(part, { force: true })
  await takeFile(source, part, modeBits)
  const found = await digestOf(part)
  if (found !== digest) {
    await rm(part, { force: true })
    throw new HostError(
      'ERR_IMAGE_FORMAT',
      `${source} has digest ${found ?? 'none: it is missing'}, expected ${digest}; build it again (ishare factory build)`
    )
  }
  await rename(part, target)
  return target
}

async function takeFile(source: string, target: string, modeBits: number): Promise<void> {
  try {
    const { mode } = await stat(source)
    // A link shares the mode: what others may not use stays as its owner made it, and is copied.
    if ((mode & modeBits) === modeBits) {
      await link(source, target)
      return
    }
  } catch {
    // Another file system, or a file that is not there: the copy tells which.
  }
  try {
    await copyFile(source, target, constants.COPYFILE_FICLONE)
    await chmod(target, modeBits)
  } catch (error) {
    throw new HostError(
      'ERR_IMAGE_FORMAT',
      `cannot install ${source}: build it again (ishare factory build)`,
      {
        cause: error
      }
    )
  }
}

async function digestOf(path: string): Promise<string | undefined> {
  const hash = createHash('sha256')
  try {
    await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hash)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  return `sha256:${hash.digest('hex')}`
}

async function removeOthers(directory: string, wanted: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(directory))
    if (!wanted.has(name)) await rm(join(directory, name), { force: true })
}
