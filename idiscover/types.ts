import type { Stream } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import type { Offer, Verified } from '../src/documents/index.ts'
import type { Resolve } from './pages/addresses.ts'

/** What is looked for. What is absent does not matter. */
export interface OfferQuery {
  /** Share of one CPU. */
  cpu?: number
  memoryBytes?: number
  diskBytes?: number
  durationSeconds?: number
  outboundBitsPerSecond?: number
  /** Image name or digest. */
  image?: string
  /** All of them must be there. */
  labels?: readonly string[]
  /** The consumer's own peer id, to know whether it may run there. */
  peer?: string
  /** The consumer has a token: whether it will do, the provider says. */
  hasToken?: boolean
  /** Peer ids of factories, one of which the offer must name; any at all if there is none among them. */
  factories?: readonly string[]
  /** Only offers of this peer id. */
  provider?: string
}

/** Where an offer came from. */
export type OfferSource =
  { kind: 'page'; url: string } | { kind: 'dht'; provider?: string } | { kind: 'peer'; peer: string }

/**
 * `near-miss`: a good offer that does not fit; `reasons` are for people.
 * `failure`: a source, or one document of it, could not be used; `error` has a code of DiscoverErrorCode or
 * DocumentErrorCode.
 */
export type Discovery =
  | { kind: 'offer'; offer: Verified<Offer>; source: OfferSource }
  | { kind: 'near-miss'; offer: Verified<Offer>; reasons: readonly string[]; source: OfferSource }
  | { kind: 'failure'; source: OfferSource; error: unknown }

export interface DiscoverOptions {
  /** URLs of pages. Their hosts may have private addresses, since the user named them. */
  pages?: readonly string[]
  /** Multiaddrs that end in `/p2p/<peer id>`, or peer ids. */
  peers?: readonly string[]
  /** Look in the DHT. @default false */
  dht?: boolean
  /** @default {}: every offer */
  query?: OfferQuery
  signal?: AbortSignal
}

export interface DiscovererComponents {
  /**
   * Open a stream over a connection that is authenticated as `peer`. Needed for `peers` and `dht`.
   *
   * @param addresses - multiaddrs to try; where it is connected already they are not needed
   */
  openStream?(
    peer: string,
    addresses: readonly string[],
    protocol: string,
    signal: AbortSignal
  ): Promise<Stream>
  /** Needed for `dht`; asked for `peers` too, where it is there. */
  dht?: Pick<KadDHT, 'findProviders' | 'get'>
}

export interface DiscovererInit {
  /** Pages that links lead to may have private addresses. @default false */
  allowPrivateAddresses?: boolean
  /** Resolves host names of pages. @default the system's */
  resolve?: Resolve
  limits?: Partial<DiscoverLimits>
}

/** Bounds of one call of `discover`. */
export interface DiscoverLimits {
  /** One page from request to last byte. */
  pageTimeoutMs: number
  pagesMax: number
  /** How many `<link rel="ishare">` away from a named page. */
  linkDepthMax: number
  redirectsMax: number
  /** All facet queries in the DHT. */
  dhtTimeoutMs: number
  /** One value from the DHT. */
  valueTimeoutMs: number
  /** One direct question to a peer. */
  askTimeoutMs: number
  providersMax: number
  /** Pages, values or peers being asked at a time, each. */
  concurrency: number
}

export interface Discoverer {
  /**
   * Verified offers as they come, from all sources at once. An offer of a peer is given again only when it is a
   * newer one. Ends when all sources have been heard; breaking off ends everything that is under way. A source
   * that fails is one `failure` among the results; only an abort throws.
   */
  discover(options: DiscoverOptions): AsyncIterable<Discovery>
}
