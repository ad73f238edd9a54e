import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** In every temporary path of this test run, and of no other that goes on beside it. */
export const RUN_PREFIX = `ishare-test-${process.pid}-`

/** A directory that is removed with all it holds: `await using dir = await temporaryDirectory()`. */
export async function temporaryDirectory(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), RUN_PREFIX))
  // Virtual servers run under uids of their own and must be able to walk to their files.
  await chmod(path, 0o711)
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await remember(path, PLACES_DEPTH)
      await rm(path, { recursive: true, force: true })
    }
  }
}

/** Directories that were in temporary ones: each may have been the state of a host, whose switch is named after it. */
export const placesUsed = new Set<string>()
const PLACES_DEPTH = 3

async function remember(path: string, depth: number): Promise<void> {
  placesUsed.add(path)
  if (depth === 0) return
  const entries = await readdir(path, { withFileTypes: true }).catch(() => [])
  for (const entry of entries) if (entry.isDirectory()) await remember(join(path, entry.name), depth - 1)
}
