/** The factory that a command runs in its own process: key, base kernel and workbench below the state directory. */
import { join } from 'node:path'
import { keepBaseKernel, readArtifacts } from '../../soda-host/factory/index.ts'

export function factoryDirectory(stateDir: string): string {
  return join(stateDir, 'factory')
}

/**
 * Take the base kernel over while the files of whoever typed the command can still be read.
 *
 * @throws ERR_ARTIFACTS, ERR_KERNEL_FORMAT, ERR_STAMP when there is no base kernel that can be stamped
 */
export async function prepareFactory(stateDir: string, artifactsPath: string): Promise<void> {
  await keepBaseKernel(factoryDirectory(stateDir), (await readArtifacts(artifactsPath)).kernel)
}
