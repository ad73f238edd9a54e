/**
 * A factory's workbench: a base kernel of its own, and stamped ones that are gone when they have been handed over.
 *
 * The base is a copy, checked by digest when it is taken and when the bench is opened, so that nothing that is built or
 * changed later in the cache can slip under a signature.
 */
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, copyFile, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { kernelInputs, type KernelInputs, type KernelManifest } from '../../src/documents/index.ts'
import { FactoryError } from '../../src/errors.ts'
import type { Artifacts } from './artifacts.ts'
import { fileSha256, writeFileAtomically } from './cache.ts'
import { digestSchema } from './result.ts'
import { readStamp, stampKernel, type Stamp, type StampedKernel } from './stamp.ts'

const BASE = 'base-kernel'
const DESCRIPTION = 'base-kernel.json'
const WORK = 'work'
const OWNER_ONLY = 0o700

const description = z.object({ digest: digestSchema, inputs: kernelInputs })

/** Stamps one base kernel. */
export interface KernelStamper {
  readonly base: { digest: string; inputs: KernelInputs }
  /** The file is there until it is disposed of. @throws ERR_STAMP */
  stamp(stamp: KernelManifest['stamp']): Promise<StampedKernel & { path: string } & AsyncDisposable>
}

/**
 * Take a base kernel over into `directory`, in place of an earlier one.
 *
 * @throws ERR_ARTIFACTS when it is not what its digest says, or nobody knows what it was built from
 * @throws ERR_KERNEL_FORMAT when it has no place for a stamp, ERR_STAMP when it has a stamp already
 */
export async function keepBaseKernel(directory: string, kernel: Artifacts['kernel']): Promise<void> {
  const { path, digest, inputs } = kernel
  if (inputs === undefined)
    throw new FactoryError(
      'ERR_ARTIFACTS',
      `${path}: it is not written what this kernel was built from; ${AGAIN}`
    )
  await mkdir(directory, { recursive: true, mode: OWNER_ONLY })
  const part = join(directory, `.${BASE}.${randomUUID()}`)
  try {
    await copyFile(path, part, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
    await assertBase(part, digest)
    await chmod(part, 0o600)
    await rename(part, join(directory, BASE))
  } finally {
    await rm(part, { force: true })
  }
  await writeFileAtomically(join(directory, DESCRIPTION), `${JSON.stringify({ digest, inputs })}\n`)
}

const AGAIN = 'build it again (ishare factory build)'

async function assertBase(path: string, digest: string): Promise<void> {
  const found = `sha256:${await fileSha256(path)}`
  if (found !== digest)
    throw new FactoryError(
      'ERR_ARTIFACTS',
      `the base kernel has digest ${found}, expected ${digest}; ${AGAIN}`
    )
  if ((await readStamp(path)) !== undefined)
    throw new FactoryError('ERR_STAMP', 'the base kernel is stamped already')
}

/**
 * Open the bench in `directory`; what an earlier process left on it is thrown away.
 *
 * @throws ERR_ARTIFACTS when no whole base kernel lies there, ERR_KERNEL_FORMAT, ERR_STAMP
 */
export async function kernelStamper(directory: string): Promise<KernelStamper> {
  const base = await readDescription(join(directory, DESCRIPTION))
  await assertBase(join(directory, BASE), base.digest)
  await rm(join(directory, WORK), { recursive: true, force: true })
  await mkdir(join(directory, WORK), { mode: OWNER_ONLY })
  return {
    base,
    async stamp(stamp) {
      const path = join(directory, WORK, randomUUID())
      try {
        const made = await stampKernel(join(directory, BASE), path, stampOf(stamp))
        return { ...made, path, [Symbol.asyncDispose]: () => rm(path, { force: true }) }
      } catch (error) {
        await rm(path, { force: true })
        throw error
      }
    }
  }
}

async function readDescription(path: string): Promise<z.infer<typeof description>> {
  try {
    return description.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (cause) {
    throw new FactoryError('ERR_ARTIFACTS', `${path}: it does not describe a base kernel`, { cause })
  }
}

/** What a manifest says is stamped, as bytes. */
export function stampOf({
  serverId,
  logKeys,
  showsSeverity,
  ruleset,
  policy
}: KernelManifest['stamp']): Stamp {
  return {
    serverId: Buffer.from(serverId, 'hex'),
    recipients: logKeys.map((key) => Buffer.from(key, 'base64url')),
    showsSeverity,
    ...(ruleset === undefined ? {} : { rulesetSha256: Buffer.from(ruleset.slice('sha256:'.length), 'hex') }),
    policy: Buffer.from(policy ?? '', 'base64url')
  }
}
