import { execa } from 'execa'
import { chmod, chown, open } from 'node:fs/promises'
import { HostError } from '../../src/errors.ts'
import { MIB } from '../../src/constants.ts'
import { hostPath } from '../resources/host-programs.ts'
import { copySparse } from './layer-copy.ts'

const TIMEOUT_MS = 30_000

/**
 * With a journal: a copy that is made while the guest stands still is what a power cut would leave, and must be whole
 * when it is mounted. Tables and journal are left as the zeros that a new sparse file is, so that making it takes
 * milliseconds and no space at any size. How many files it may hold is settled here too, by its size.
 */
const OPTIONS = ['-q', '-F', '-m', '0']
const LAZY = 'lazy_itable_init=1,lazy_journal_init=1,nodiscard'
/** A 64th of the layer. 1 MiB is the least that mkfs takes, 4 MiB with the large blocks of a layer from 512 MiB on. */
const JOURNAL_FRACTION = 64
const JOURNAL_MIB_MAX = 64

export interface WritableLayerSpec {
  path: string
  sizeBytes: number
  /** Undefined: stays our own. */
  uid: number | undefined
  /** A copy of an earlier layer of the same size, to begin with. */
  copyOf?: string | undefined
}

/**
 * A fresh ext4 in a sparse file, or a copy of one: this is the server's disk quota.
 * @throws ERR_JAIL when it cannot be made (disk full, size below about 2 MiB)
 */
export async function createWritableLayer(spec: WritableLayerSpec): Promise<void> {
  const { path, sizeBytes, uid, copyOf } = spec
  try {
    await (copyOf === undefined ? makeLayer(path, sizeBytes) : copySparse(copyOf, path))
    await chmod(path, 0o600)
    if (uid !== undefined) await chown(path, uid, uid)
  } catch (cause) {
    throw new HostError('ERR_JAIL', `cannot make a writable layer of ${sizeBytes} bytes at ${path}`, {
      cause
    })
  }
}

async function makeLayer(path: string, sizeBytes: number): Promise<void> {
  await using file = await open(path, 'w', 0o600)
  await file.truncate(sizeBytes)
  // assume_storage_prezeroed came with e2fsprogs 1.47.
  const options = [...OPTIONS, '-J', `size=${journalMib(sizeBytes)}`, '-E']
  const fast = await makeFileSystem(path, [...options, `${LAZY},assume_storage_prezeroed=1`])
  if (!fast)
    await execa('mkfs.ext4', [...options, LAZY, path], {
      timeout: TIMEOUT_MS,
      env: { PATH: hostPath() }
    })
}

function journalMib(sizeBytes: number): number {
  return Math.min(JOURNAL_MIB_MAX, Math.max(1, Math.floor(sizeBytes / JOURNAL_FRACTION / MIB)))
}

async function makeFileSystem(path: string, options: readonly string[]): Promise<boolean> {
  const { exitCode } = await execa('mkfs.ext4', [...options, path], {
    timeout: TIMEOUT_MS,
    reject: false,
    env: { PATH: hostPath() }
  })
  return exitCode === 0
}
