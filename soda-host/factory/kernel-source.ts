/** The kernel's source: found in the cache or fetched from the Debian archive, and unpacked. */
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { FactoryError } from '../../src/errors.ts'
import { fileSha256, writeFileAtomically } from './cache.ts'
import { start } from './command.ts'
import type { PackageVersion } from './apt-output.ts'
import { DebianArchive } from './debian-archive.ts'
import { DEBIAN_BACKPORTS_SUITE, KERNEL_SOURCE, KERNEL_SOURCE_SERIES, UNPACK_TIMEOUT_MS } from './pins.ts'
import type { FactoryOptions } from './progress.ts'
import { bytesText } from './progress.ts'

/** A source package by name and digest; enough to know a kernel that was built from it. */
export const kernelSourceSchema = z.object({
  package: z.string().regex(/^linux-source-[\d.]{1,16}$/),
  version: z.string().min(1).max(100),
  sha256: z.string().regex(/^[0-9a-f]{64}$/)
})
export type KernelSource = z.infer<typeof kernelSourceSchema>

/** Name of the file that remembers which source stood in for the pinned one. */
const FALLBACK_FILE = 'kernel-source.json'

function debPath(cacheDir: string, source: KernelSource): string {
  return join(cacheDir, 'sources', `${source.sha256}.deb`)
}

/** The source that was used when the pinned one had left the archive, if that ever was so. */
export async function rememberedFallback(cacheDir: string): Promise<KernelSource | undefined> {
  try {
    return kernelSourceSchema.parse(
      JSON.parse(await readFile(join(cacheDir, 'sources', FALLBACK_FILE), 'utf8'))
    )
  } catch {
    return undefined
  }
}

/** True if the package file is here and whole. A damaged one is removed. */
async function isCached(cacheDir: string, source: KernelSource, signal?: AbortSignal): Promise<boolean> {
  const path = debPath(cacheDir, source)
  const actual = await fileSha256(path, signal).catch(() => undefined)
  signal?.throwIfAborted()
  if (actual === source.sha256) return true
  await rm(path, { force: true })
  return false
}

/**
 * Make sure that a kernel source package is in the cache: the pinned one, or if that has left the archive, the
 * newest of its series, which is said aloud.
 *
 * @throws ERR_SOURCE_FETCH when the archive cannot be read or has no such package
 * @throws ERR_SOURCE_DIGEST when what it sends under the pinned version is something else
 */
export async function fetchKernelSource(options: FactoryOptions): Promise<KernelSource> {
  const { cacheDir, progress, signal } = options
  if (await isCached(cacheDir, KERNEL_SOURCE, signal)) return KERNEL_SOURCE
  const fallback = await rememberedFallback(cacheDir)
  if (fallback !== undefined && (await isCached(cacheDir, fallback, signal))) return fallback

  const archive = await DebianArchive.open(options)
  const wanted = await chooseSource(archive)
  const source = { package: wanted.package, version: wanted.version, sha256: wanted.sha256 }
  const isPinned = source.version === KERNEL_SOURCE.version && source.package === KERNEL_SOURCE.package
  if (!isPinned) progress?.({ task: fallbackText(source), isWarning: true })

  const partial = join(cacheDir, 'sources', 'partial')
  const file = await archive.download(wanted, partial)
  await mkdir(join(cacheDir, 'sources'), { recursive: true })
  await rename(file, debPath(cacheDir, source))
  await rm(partial, { recursive: true, force: true })
  return isPinned ? source : await remember(cacheDir, source)
}

/** Said aloud whenever a kernel comes from another source than the pinned one. */
export function fallbackText(source: KernelSource): string {
  return (
    `${KERNEL_SOURCE.package} ${KERNEL_SOURCE.version} has left the Debian archive; ` +
    `building from ${source.package} ${source.version} instead, whose archive signature is checked`
  )
}

async function remember(cacheDir: string, source: KernelSource): Promise<KernelSource> {
  await writeFileAtomically(join(cacheDir, 'sources', FALLBACK_FILE), `${JSON.stringify(source, null, 2)}\n`)
  return source
}

interface SourceIndex {
  packageNames(prefix: string): Promise<string[]>
  versions(packageName: string): Promise<PackageVersion[]>
}

/**
 * The pinned version if the archive still has it, else the newest of the newest series.
 *
 * @throws ERR_SOURCE_FETCH when the archive has none
 * @throws ERR_SOURCE_DIGEST when it offers something else under the pinned version
 */
export async function chooseSource(archive: SourceIndex): Promise<PackageVersion> {
  const names = await archive.packageNames('linux-source-')
  if (names.includes(KERNEL_SOURCE.package)) {
    const versions = await archive.versions(KERNEL_SOURCE.package)
    const pinned = versions.find(({ version }) => version === KERNEL_SOURCE.version)
    if (pinned !== undefined) return checkedPin(pinned)
  }
  const minor = (name: string): number => Number(KERNEL_SOURCE_SERIES.exec(name)?.[1] ?? -1)
  const newest = names.filter((name) => minor(name) >= 0).toSorted((a, b) => minor(b) - minor(a))[0]
  const best = newest === undefined ? undefined : (await archive.versions(newest))[0]
  if (best !== undefined) return best
  const text = `${DEBIAN_BACKPORTS_SUITE} has no package of the kernel's 7.x source`
  throw new FactoryError('ERR_SOURCE_FETCH', text)
}

function checkedPin(offered: PackageVersion): PackageVersion {
  if (offered.sha256 === KERNEL_SOURCE.sha256) return offered
  const text = `${offered.package} ${offered.version}: expected sha256 ${KERNEL_SOURCE.sha256}, the archive offers ${offered.sha256}`
  throw new FactoryError('ERR_SOURCE_DIGEST', text)
}

/**
 * Unpack the source into `directory`, which is created; about 1.8 GB.
 *
 * @throws ERR_SOURCE_DIGEST when the package is damaged
 */
export async function unpackKernelSource(
  source: KernelSource,
  directory: string,
  { cacheDir, progress, signal }: FactoryOptions
): Promise<void> {
  await mkdir(directory, { recursive: true })
  const options = { code: 'ERR_SOURCE_DIGEST', signal, timeoutMs: UNPACK_TIMEOUT_MS } as const
  const task = 'unpacking the kernel source'
  const member = `./usr/src/${source.package}.tar.xz`
  const deb = start('dpkg-deb', ['--fsys-tarfile', debPath(cacheDir, source)], options)
  const inner = start('tar', ['--extract', '--to-stdout', member], options)
  const outer = start('tar', ['--extract', '--xz', '--strip-components=1', '--directory', directory], options)
  deb.stdin.end()
  outer.stdout.resume()
  // The package holds next to nothing but this archive, which is compressed already.
  const { size } = await stat(debPath(cacheDir, source))
  let bytes = 0
  const count = new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      bytes += chunk.length
      progress?.({
        task,
        fraction: Math.min(bytes / size, 1),
        detail: `${bytesText(bytes)} of ${bytesText(size)}`
      })
      callback(null, chunk)
    }
  })
  // The programs' own complaints say more than the broken pipes that follow from them.
  const pipes = Promise.allSettled([
    pipeline(deb.stdout, inner.stdin),
    pipeline(inner.stdout, count, outer.stdin)
  ])
  await Promise.all([outer.done, inner.done, deb.done])
  await pipes
  if ((await readdir(directory)).length === 0)
    throw new FactoryError('ERR_SOURCE_DIGEST', `${source.package}: ${member} is not in the package`)
  progress?.({ task, isDone: true })
}
