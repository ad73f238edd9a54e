import { execa } from 'execa'
import { chmod, chown, open } from 'node:fs/promises'
import { HostError } from '../../src/errors.ts'
import { hostPath } from '../resources/host-programs.ts'

const TIMEOUT_MS = 30_000

/**
 * A journal only where a further guest may have to take up what a dead one left. Tables are left as the zeros that a new sparse file is, so that
 * making it takes milliseconds and no space at any size.
 */
const OPTIONS = ['-q', '-F', '-m', '0']
const LAZY = 'lazy_itable_init=1,lazy_journal_init=1,nodiscard'

export interface WritableLayerSpec {
  path: string
  sizeBytes: number
  /** Undefined: stays our own. */
  uid: number | undefined
  /** It must survive the sudden death of its guest. Takes some MiB of the size. @default false */
  hasJournal?: boolean
}

/**
 * A fresh ext4 in a sparse file: this is the server's disk quota.
 * @throws ERR_JAIL when it cannot be made (disk full, size below about 64 KiB)
 */
export async function createWritableLayer({
  path,
  sizeBytes,
  uid,
  hasJournal = false
}: WritableLayerSpec): Promise<void> {
  const options = [...OPTIONS, '-O', hasJournal ? 'has_journal' : '^has_journal']
  try {
    await using file = await open(path, 'w', 0o600)
    await file.truncate(sizeBytes)
    // assume_storage_prezeroed came with e2fsprogs 1.47.
    const fast = await makeFileSystem(path, options, `${LAZY},assume_storage_prezeroed=1`)
    if (!fast)
      await execa('mkfs.ext4', [...options, '-E', LAZY, path], {
        timeout: TIMEOUT_MS,
        env: { PATH: hostPath() }
      })
    await chmod(path, 0o600)
    if (uid !== undefined) await chown(path, uid, uid)
  } catch (cause) {
    throw new HostError('ERR_JAIL', `cannot make a writable layer of ${sizeBytes} bytes at ${path}`, {
      cause
    })
  }
}

async function makeFileSystem(path: string, options: string[], extended: string): Promise<boolean> {
  const { exitCode } = await execa('mkfs.ext4', [...options, '-E', extended, path], {
    timeout: TIMEOUT_MS,
    reject: false,
    env: { PATH: hostPath() }
  })
  return exitCode === 0
}
