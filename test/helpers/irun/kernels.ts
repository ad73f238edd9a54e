import { localFactory, type IssuedKernel, type KernelFactory } from '../../../ifactory/index.ts'
import type { KernelWish } from '../../../irun/types.ts'
import { createIdentity, createLogKey, type Identity } from '../../../src/identity/index.ts'
import { openStamper } from '../ifactory/workshop.ts'

/** A factory with a key and a real workbench of its own, for whichever provider. */
export interface Workshop {
  identity: Identity
  factory(provider: Identity): KernelFactory
}

export async function openWorkshop(directory: string): Promise<Workshop> {
  const [identity, stamper] = [await createIdentity(), await openStamper(directory)]
  return { identity, factory: ({ id }) => localFactory({ identity, stamper }, id) }
}

/** A wish for a kernel of these factories, that seals to a new key. */
export function wishFor(...factories: Identity[]): KernelWish {
  return { factories: factories.map(({ id }) => id), logKeys: [createLogKey().publicKey] }
}

/** A factory that answers something else than it should. */
export function dishonest(
  honest: KernelFactory,
  change: (kernel: IssuedKernel) => Partial<IssuedKernel> | Promise<Partial<IssuedKernel>>
): KernelFactory {
  return {
    id: honest.id,
    async issue(request, signal) {
      const kernel = await honest.issue(request, signal)
      return {
        manifest: kernel.manifest,
        sizeBytes: kernel.sizeBytes,
        chunks: kernel.chunks,
        ...(await change(kernel)),
        [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose]()
      }
    }
  }
}
