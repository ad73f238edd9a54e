import type { Startable, StreamHandler, StreamHandlerOptions } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import type { Offer, Verified } from '../src/documents/index.ts'
import type { PayloadInput } from '../src/documents/kinds.ts'
import type { Identity } from '../src/identity/index.ts'

/** What is offered, before it becomes a signed document. */
export interface OfferDescription extends Pick<
  PayloadInput<'offer'>,
  'slice' | 'images' | 'rules' | 'labels' | 'factories' | 'addresses'
> {
  /** What the consumer agrees to, as plain text. */
  terms: { text: string }
}

/** One way for an offer to reach others: page, DHT or direct protocol. None waits for another. */
export interface OfferOutlet extends Startable {
  /** The newest offer, from now on in place of the one before. Returns at once; never throws. */
  publish(offer: Verified<Offer>): void
}

/** Told what goes wrong behind the scenes; `error.code` says which way failed. */
export type OnError = (error: unknown) => void

export interface OfferPublisherComponents {
  identity: Identity
  /** What is offered now; asked at the start, at `refresh()` and every `checkIntervalMs`. */
  describe(signal: AbortSignal): Promise<OfferDescription> | OfferDescription
  outlets: readonly OfferOutlet[]
}

export interface OfferPublisherInit {
  /** How long an offer is valid, in seconds; signed anew at half of it. @default OFFER_LIFETIME_SECONDS */
  lifetimeSeconds?: number
  /** How often the description is looked at. @default CHECK_INTERVAL_MS */
  checkIntervalMs?: number
  /** How long an offer may still be accepted after another description has taken its place. @default GRACE_MS */
  graceMs?: number
  onError?: OnError
  /** Milliseconds since the epoch. @default Date.now */
  now?: () => number
}

/** Signs the offer, keeps it fresh, and hands it to every outlet. Starts and stops the outlets. */
export interface OfferPublisher extends Startable {
  /** Tokens that may be accepted now, newest first. */
  current(): readonly string[]
  /** The newest offer, once there is one. */
  newest(): Verified<Offer> | undefined
  /** Look at the description now, and sign it if it has changed. */
  refresh(): Promise<void>
}

export interface PageServerInit {
  /** @default '127.0.0.1' */
  host?: string
  /** 0: any free port. @default 0 */
  port?: number
  /** The address under which others reach the page. @default `http://host:port/` */
  publicUrl?: string
  /** Pages of others to list as `<link rel="ishare">`, http(s) URLs. */
  links?: readonly string[]
  onError?: OnError
}

/** Serves `/` (the page), `/offer.jws` and `/.well-known/ishare`. `start` throws ERR_PUBLISH_PAGE. */
export interface PageServer extends OfferOutlet {
  /** The page's URL; known once started. */
  readonly url: string | undefined
}

/** The part of libp2p's registrar (or of a libp2p node) that is needed. */
export interface StreamRegistrar {
  handle(protocol: string, handler: StreamHandler, options?: StreamHandlerOptions): Promise<void>
  unhandle(protocol: string): Promise<void>
}

export interface OfferResponderInit {
  onError?: OnError
}

export interface DhtAnnouncerComponents {
  dht: Pick<KadDHT, 'put' | 'provide' | 'cancelReprovide'>
}

export interface DhtAnnouncerInit {
  /** How often everything is announced again. @default ANNOUNCE_INTERVAL_MS */
  intervalMs?: number
  /** For one value or provider record. @default ANNOUNCE_TIMEOUT_MS */
  timeoutMs?: number
  onError?: OnError
}

/** How much of others' records one peer keeps for the DHT. */
export interface DhtStoreLimits {
  recordsMax: number
  recordBytesMax: number
  /** Provider records in all. */
  providersMax: number
  providersPerFacetMax: number
  facetsPerProviderMax: number
}
