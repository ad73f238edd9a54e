import { createHash } from 'node:crypto'
import { join } from 'node:path'
import {
  keepBaseKernel,
  kernelStamper,
  type KernelStamper
} from '../../../soda-host/factory/kernel-stamper.ts'
import { describeFile } from '../../../soda-host/factory/result.ts'
import type { IssuedKernel, KernelRequest } from '../../../ifactory/index.ts'
import type { Acceptance, Lease, Offer, PayloadInput, Verified } from '../../../src/documents/index.ts'
import type { Identity } from '../../../src/identity/index.ts'
import {
  sampleAcceptance,
  sampleKernelWish,
  sampleLease,
  sampleOffer,
  SAMPLE_INPUTS,
  signed
} from '../documents.ts'
import { stampableKernel } from '../stampable-kernel.ts'

/** A real workbench, with a base kernel that is a small program. */
export async function openStamper(directory: string): Promise<KernelStamper> {
  const base = await describeFile(await stampableKernel(directory))
  await keepBaseKernel(join(directory, 'bench'), { ...base, inputs: SAMPLE_INPUTS })
  return kernelStamper(join(directory, 'bench'))
}

export interface Agreed {
  offer: Verified<Offer>
  acceptance: Verified<Acceptance>
  lease: Verified<Lease>
  request: KernelRequest
}

/** A lease that names a factory, and what led to it. */
export async function agree(
  { provider, consumer, factory }: { provider: Identity; consumer: Identity; factory: Identity },
  changes: Partial<PayloadInput<'acceptance'>> = {}
): Promise<Agreed> {
  const offer = await signed('offer', sampleOffer(provider, { factories: [factory.id] }), provider)
  const wish = { kernel: sampleKernelWish(factory), ...changes }
  const acceptance = await signed('acceptance', sampleAcceptance(consumer, offer, wish), consumer)
  const lease = await signed('lease', sampleLease(acceptance, { factory: factory.id }), provider)
  const request = { offer: offer.token, acceptance: acceptance.token, lease: lease.token }
  return { offer, acceptance, lease, request }
}

/** Its digest and length. */
export async function kernelFacts({ chunks }: IssuedKernel): Promise<{ digest: string; sizeBytes: number }> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const chunk of chunks) {
    hash.update(chunk)
    sizeBytes += chunk.byteLength
  }
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes }
}
