import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** In every temporary path of this test run, and of no other that goes on beside it. */
export const RUN_PREFIX = `ishare-test-${process.pid}-`

/** A directory that is removed with all it holds: `await using dir = await temporaryDirectory()`. */
export async function temporaryDirectory(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), RUN_PREFIX))
  // Virtual servers run under uids of their own and must be able to walk to their files.
  await chmod(path, 0o711)
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
