import type { Stream, StreamHandler, StreamHandlerOptions } from '@libp2p/interface'
import type { KernelInputs, KernelManifest } from '../src/documents/index.ts'
import type { Identity } from '../src/identity/index.ts'
import type { FactoryLimits } from './limits.ts'

/** What was agreed on, as compact JWS. The tenant's own signature says which keys are stamped. */
export interface KernelRequest {
  offer: string
  acceptance: string
  lease: string
}

/** A kernel that was made for one lease. Disposing of it gives up what was not read. */
export interface IssuedKernel extends AsyncDisposable {
  /** Compact JWS of the kernel manifest. */
  readonly manifest: string
  readonly sizeBytes: number
  /** The kernel; to be read once. Whoever boots it compares its digest with the manifest's. */
  readonly chunks: AsyncIterable<Uint8Array>
}

/** A factory, in this process or at the other end of a stream. */
export interface KernelFactory {
  /** Its peer id, which signs its manifests. */
  readonly id: string
  /**
   * Make the kernel of a lease. The same lease again gives the same kernel, under a new manifest.
   *
   * @throws ERR_FACTORY_REFUSED when the documents do not agree, or the lease is another peer's or names another factory
   * @throws ERR_FACTORY_BUSY, ERR_FACTORY_UNREACHABLE
   */
  issue(request: KernelRequest, signal: AbortSignal): Promise<IssuedKernel>
}

/** What stamps: the workbench of the SODA host's factory. */
export interface Stamper {
  readonly base: { digest: string; inputs: KernelInputs }
  /** The file is there until it is disposed of. */
  stamp(
    stamp: KernelManifest['stamp']
  ): Promise<{ path: string; digest: string; sizeBytes: number } & AsyncDisposable>
}

export interface KernelFactoryInit {
  /** The factory's own key. */
  identity: Identity
  stamper: Stamper
  limits?: Partial<FactoryLimits>
}

/** The part of libp2p's registrar (or of a libp2p node) that is needed. */
export interface StreamRegistrar {
  handle(protocol: string, handler: StreamHandler, options?: StreamHandlerOptions): Promise<void>
  unhandle(protocol: string): Promise<void>
}

export interface FactoryServiceInit extends KernelFactoryInit {
  /** Told what goes wrong behind the scenes. */
  onError?: (error: unknown) => void
}

export interface RemoteFactoryComponents {
  /** Open a stream over a connection that is authenticated as `peer`. */
  openStream(
    peer: string,
    addresses: readonly string[],
    protocol: string,
    signal: AbortSignal
  ): Promise<Stream>
}
