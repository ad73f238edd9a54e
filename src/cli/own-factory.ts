/** The factory that a command runs in its own process: key, base kernel and workbench below the state directory. */
import { join } from 'node:path'
import { localFactory, type KernelFactory } from '../../ifactory/index.ts'
import { keepBaseKernel, kernelStamper, readArtifacts } from '../../soda-host/factory/index.ts'
import { loadOrCreateIdentity } from '../identity/index.ts'

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

/** The factory of a provider, for the provider's own leases. */
export async function openOwnFactory(stateDir: string, provider: string): Promise<KernelFactory> {
  const directory = factoryDirectory(stateDir)
  const identity = await loadOrCreateIdentity(directory)
  return localFactory({ identity, stamper: await kernelStamper(directory) }, provider)
}
