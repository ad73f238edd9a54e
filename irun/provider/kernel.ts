/**
 * The kernel of one run: made by the factory that both agreed on, checked, and put to the host.
 *
 * The attacker is the factory, or whoever stands between: what it sends is compared with what was agreed on, and the
 * host takes the kernel only if its digest is the manifest's.
 */
import { checkManifest, verifyDocument, verifyKeptDocument } from '../../src/documents/index.ts'
import { FactoryError, isIShareError, RunError, type IShareError } from '../../src/errors.ts'
import type { RunHost } from '../host.ts'
import type { ProviderLimits } from '../limits.ts'
import type { KernelFactory } from '../types.ts'
import { unlessAborted } from '../waiting.ts'
import type { ProviderRun } from './record.ts'

export interface KernelContext {
  host: RunHost
  factories: readonly KernelFactory[]
  limits: ProviderLimits
  signal: AbortSignal
}

/**
 * @returns the manifest of the kernel that the host has now
 * @throws ERR_FACTORY_* as the factory answers, ERR_MANIFEST_*, ERR_DOCUMENT_* when its manifest does not hold,
 * ERR_KERNEL_DIGEST when the kernel is not the manifest's
 */
export async function fetchKernel(
  { kernel, lease: leaseToken, serverId, runId }: ProviderRun,
  { host, factories, limits, signal }: KernelContext
): Promise<string> {
  if (kernel === undefined || leaseToken === undefined)
    throw new RunError('ERR_RUN_STATE', `run ${runId} has no lease, or boots a base kernel`)
  const factory = factories.find(({ id }) => id === kernel.factory)
  if (factory === undefined)
    throw new FactoryError('ERR_MANIFEST_UNTRUSTED', `factory ${kernel.factory} is not used any more`)
  const { offer, acceptance } = kernel
  const patience = AbortSignal.any([signal, AbortSignal.timeout(limits.kernelMs)])
  const issuing = factory.issue({ offer, acceptance, lease: leaseToken }, patience)
  await using issued = await unlessAborted(issuing, patience)
  const manifest = await verifyDocument('kernel-manifest', issued.manifest, { issuer: factory.id })
  const agreement = {
    offer: await verifyKeptDocument('offer', offer),
    acceptance: await verifyKeptDocument('acceptance', acceptance),
    lease: await verifyKeptDocument('lease', leaseToken)
  }
  checkManifest(manifest, agreement, Date.now())
  const { digest } = manifest.payload.kernel
  await host.putKernel(serverId, { digest, chunks: issued.chunks }, patience)
  return manifest.token
}

/** The same factory would answer the same again. */
export function isForGood(error: unknown): error is IShareError {
  return (
    isIShareError(error) &&
    (error.code === 'ERR_FACTORY_REFUSED' || /^ERR_(MANIFEST_|DOCUMENT_|KERNEL_DIGEST$)/.test(error.code))
  )
}
