import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readArtifacts } from '../../soda-host/factory/artifacts.ts'
import { stampKernel, type Stamp } from '../../soda-host/factory/stamp.ts'
import type { LogKey } from '../../src/identity/index.ts'

/** The set-up's kernel, stamped for the holder of `key`, below `directory`. @returns its path and digest */
export async function stampedKernel(
  directory: string,
  key: Pick<LogKey, 'publicKey'>,
  changes: Partial<Stamp> = {}
): Promise<{ path: string; digest: string }> {
  const { kernel } = await readArtifacts(process.env['ISHARE_ARTIFACTS'] ?? '')
  const path = join(directory, 'stamped')
  const { digest } = await stampKernel(kernel.path, path, {
    serverId: Buffer.alloc(16, 0x5a),
    recipients: [key.publicKey],
    showsSeverity: false,
    policy: Buffer.alloc(0),
    ...changes
  })
  return { path, digest }
}

/** An artifacts file of the set-up's artifacts with that kernel in the place of theirs. */
export async function stampedArtifacts(directory: string, key: Pick<LogKey, 'publicKey'>): Promise<string> {
  const artifacts = await readArtifacts(process.env['ISHARE_ARTIFACTS'] ?? '')
  const path = join(directory, 'stamped.json')
  await writeFile(path, JSON.stringify({ ...artifacts, kernel: await stampedKernel(directory, key) }))
  return path
}
