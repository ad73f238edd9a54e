/**
 * From what two parties have agreed on to a kernel and its manifest.
 *
 * The attacker is whoever asks, with any documents that were ever signed: for another's lease, with keys that the tenant
 * did not name, for a factory that the tenant does not believe, or very often. What is stamped comes out of the
 * tenant's own acceptance and nowhere else, so a landlord cannot have a kernel made that seals to other keys.
 */
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import PQueue from 'p-queue'
import { DATA_FRAME_BYTES_MAX, MINUTE_MS, SECOND_MS } from '../src/constants.ts'
import {
  checkAcceptance,
  checkLease,
  logServerId,
  signDocument,
  verifyDocument,
  verifyKeptDocument,
  type Acceptance,
  type KernelManifest,
  type Lease,
  type Verified
} from '../src/documents/index.ts'
import { FactoryError, isIShareError } from '../src/errors.ts'
import { FACTORY_LIMITS, PEERS_COUNTED_MAX, type FactoryLimits } from './limits.ts'
import type { IssuedKernel, KernelFactory, KernelFactoryInit, KernelRequest } from './types.ts'

export class KernelIssuer {
  readonly id: string
  readonly limits: FactoryLimits
  readonly #init: KernelFactoryInit
  readonly #queue: PQueue
  /** Times of each peer's requests within the last minute. */
  readonly #requests = new Map<string, number[]>()

  constructor(init: KernelFactoryInit) {
    this.id = init.identity.id
    this.limits = { ...FACTORY_LIMITS, ...init.limits }
    this.#init = init
    this.#queue = new PQueue({ concurrency: this.limits.atATime })
  }

  /** @param requester - the peer that the connection is authenticated as @throws as {@link KernelFactory.issue} */
  async issue(request: KernelRequest, requester: string, signal: AbortSignal): Promise<IssuedKernel> {
    this.#count(requester, Date.now())
    if (this.#queue.size >= this.limits.atATime * this.limits.waitingPerTurn)
      throw new FactoryError('ERR_FACTORY_BUSY', `${this.#queue.size} kernels wait to be made`)
    const kernel = await this.#queue.add(async () => this.#make(await this.#agreed(request, requester)), {
      signal
    })
    return kernel
  }

  #count(requester: string, nowMs: number): void {
    for (const [other, times] of this.#requests)
      if ((times.at(-1) ?? 0) <= nowMs - MINUTE_MS) this.#requests.delete(other)
    const recent = (this.#requests.get(requester) ?? []).filter((time) => time > nowMs - MINUTE_MS)
    const isFull = !this.#requests.has(requester) && this.#requests.size >= PEERS_COUNTED_MAX
    if (isFull || recent.length >= this.limits.requestsPerMinute)
      throw new FactoryError(
        'ERR_FACTORY_BUSY',
        `${requester} has asked ${recent.length} times within a minute`
      )
    this.#requests.set(requester, [...recent, nowMs])
  }

  async #agreed(
    request: KernelRequest,
    requester: string
  ): Promise<{ lease: Verified<Lease>; wish: NonNullable<Acceptance['kernel']> }> {
    try {
      // The lease must hold now; what led to it may have expired since.
      const lease = await verifyDocument('lease', request.lease, { issuer: requester })
      const offer = await verifyKeptDocument('offer', request.offer, { issuer: requester })
      const acceptance = await verifyKeptDocument('acceptance', request.acceptance, {
        issuer: lease.payload.aud
      })
      checkAcceptance(acceptance, offer)
      checkLease(lease, acceptance, offer)
      const { kernel: wish } = acceptance.payload
      if (wish !== undefined && lease.payload.factory === this.id) return { lease, wish }
    } catch (cause) {
      if (!isIShareError(cause)) throw cause
      throw new FactoryError('ERR_FACTORY_REFUSED', `${requester}: ${cause.message}`, { cause })
    }
    throw new FactoryError('ERR_FACTORY_REFUSED', `${requester}: the lease does not name this factory`)
  }

  async #make({
    lease,
    wish
  }: {
    lease: Verified<Lease>
    wish: NonNullable<Acceptance['kernel']>
  }): Promise<IssuedKernel> {
    const { factories: _, ...wanted } = wish
    const stamp = { serverId: logServerId(lease.payload), ...wanted }
    const { stamper } = this.#init
    const made = await stamper.stamp(stamp)
    try {
      const { path, digest, sizeBytes } = made
      return {
        manifest: await this.#sign(lease, { kernel: { digest, sizeBytes }, base: stamper.base, stamp }),
        sizeBytes,
        chunks: bytesOf(path),
        [Symbol.asyncDispose]: () => made[Symbol.asyncDispose]()
      }
    } catch (error) {
      await made[Symbol.asyncDispose]()
      throw error
    }
  }

  #sign(lease: Verified<Lease>, made: Pick<KernelManifest, 'kernel' | 'base' | 'stamp'>): Promise<string> {
    return signDocument(
      'kernel-manifest',
      {
        v: 1,
        iss: this.id,
        iat: Math.floor(Date.now() / SECOND_MS),
        exp: lease.payload.exp,
        nonce: randomBytes(16).toString('base64url'),
        leaseDigest: lease.digest,
        ...made
      },
      this.#init.identity
    )
  }
}

/** A factory in this process, for the leases of one provider. */
export function localFactory(init: KernelFactoryInit, provider: string): KernelFactory {
  const issuer = new KernelIssuer(init)
  return { id: issuer.id, issue: (request, signal) => issuer.issue(request, provider, signal) }
}

/** Opened when it is read, so that what nobody reads holds nothing. */
async function* bytesOf(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of createReadStream(path, { highWaterMark: DATA_FRAME_BYTES_MAX }))
    yield chunk as Uint8Array
}
