/** Everything that a virtual server needs of this machine: system packages, guest kernel, init and images. */
import { ensureArtifacts } from '../../soda-host/factory/index.ts'
import { readConfig } from '../config/index.ts'
import { ensurePackages } from './packages.ts'
import { progressLine } from './progress-line.ts'

/**
 * Install and build what is missing, showing progress.
 *
 * @returns path of the file that lists kernel, initrd and images
 * @throws ERR_PACKAGES_MISSING, ERR_PACKAGES_INSTALL, and the errors of the factory
 */
export async function prepare(signal: AbortSignal): Promise<string> {
  const progress = progressLine()
  const { cacheDir } = await readConfig()
  await ensurePackages({ progress, signal })
  const { path } = await ensureArtifacts({ cacheDir, progress, signal })
  return path
}
