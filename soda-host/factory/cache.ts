/**
 * The cache folder: what was downloaded or built, found again by digest.
 *
 * Invariant: whatever stands under its final name is complete, because it was made under `work/` and renamed.
 * Half-made things are thrown away by the next owner of the lock that guards their kind. Nothing is synced to the
 * disk: what a power cut damages fails its digest at the next use and is made again.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'

/** SHA-256 of a file's bytes, in hex. */
export async function fileSha256(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash, { ...(signal && { signal }) })
  return hash.digest('hex')
}

/** SHA-256, in hex, of named values; every name and every length counts, the order of the names does not. */
export function inputsSha256(inputs: Record<string, string>): string {
  const entries = Object.entries(inputs).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(entries)).digest('hex')
}

/** A fresh directory under `work/<kind>-…`; removed at the end of the scope. */
export async function workDirectory(
  cacheDir: string,
  kind: string
): Promise<AsyncDisposable & { path: string }> {
  const path = join(cacheDir, 'work', `${kind}-${randomUUID()}`)
  await mkdir(path, { recursive: true, mode: 0o700 })
  return { path, [Symbol.asyncDispose]: () => removeTree(path) }
}

/** Throw away what interrupted work of this kind left. Call it only while holding the lock of the kind. */
export async function sweepWork(cacheDir: string, kind: string): Promise<void> {
  const work = join(cacheDir, 'work')
  const names = await readdir(work).catch(() => [])
  await Promise.all(
    names.filter((name) => name.startsWith(`${kind}-`)).map((name) => removeTree(join(work, name)))
  )
}

async function removeTree(path: string): Promise<void> {
  // Programs that die a moment later than we do may still be writing.
  await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
}

/** Write a small file so that readers see the old one or the new one, never a part. */
export async function writeFileAtomically(path: string, data: string | Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}`)
  await mkdir(dirname(path), { recursive: true })
  try {
    await writeFile(temporary, data)
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
}

/** Move a finished file to its final name. Both are on one file system. */
export async function publishFile(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  await rename(from, to)
}
