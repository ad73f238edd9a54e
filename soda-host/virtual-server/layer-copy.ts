import { execa } from 'execa'
import { open, stat } from 'node:fs/promises'
import { HostError } from '../../src/errors.ts'
import { hostPath } from '../resources/host-programs.ts'

/** @see stat(2), st_blocks */
const STAT_BLOCK_BYTES = 512

/** What a file takes on the disk: its holes take nothing. */
export async function allocatedBytes(path: string): Promise<number> {
  return (await stat(path)).blocks * STAT_BLOCK_BYTES
}

/**
 * The same bytes in another file, mode 0600: blocks are shared where the file system can do that (reflink), holes
 * stay holes. Not forced to the disk.
 * @throws ERR_JAIL with the system's words as its message; the signal's reason
 */
export async function copySparse(from: string, to: string, signal?: AbortSignal): Promise<void> {
  // Ours, and closed to others, before anything is in it.
  await (await open(to, 'w', 0o600)).close()
  const { failed, stderr } = await execa('cp', ['--reflink=auto', '--sparse=auto', '--', from, to], {
    env: { PATH: hostPath(), LC_ALL: 'C' },
    reject: false,
    ...(signal && { cancelSignal: signal })
  })
  signal?.throwIfAborted()
  if (!failed) return
  if (stderr.includes('No space left')) throw Object.assign(new Error(stderr), { code: 'ENOSPC' })
  throw new HostError('ERR_JAIL', `cannot copy a writable layer: ${stderr}`)
}
