import { SECOND_MS } from '../src/constants.ts'
import { digestOf, signDocument, verifyDocument, type Offer, type Verified } from '../src/documents/index.ts'
import {
  CHECK_INTERVAL_MS,
  DESCRIBE_TIMEOUT_MS,
  GRACE_MS,
  OFFERS_KEPT_MAX,
  OFFER_LIFETIME_SECONDS
} from './defaults.ts'
import type {
  OfferDescription,
  OfferOutlet,
  OfferPublisher,
  OfferPublisherComponents,
  OfferPublisherInit
} from './types.ts'

/**
 * The publisher of one peer's offer.
 *
 * `start` signs the first offer and starts the outlets; what they or `describe` throw there is passed on, and
 * nothing is left running. Later failures go to `onError`, and the offer stays until it expires.
 */
export function offerPublisher(
  components: OfferPublisherComponents,
  init: OfferPublisherInit = {}
): OfferPublisher {
  return new Publisher(components, init)
}

interface Kept {
  offer: Verified<Offer>
  /** Digest of the description. */
  meaning: string
  /** Milliseconds since the epoch; not later than its expiry. */
  acceptableUntilMs: number
}

class Publisher implements OfferPublisher {
  readonly #components: OfferPublisherComponents
  readonly #init: OfferPublisherInit
  readonly #lifetimeSeconds: number
  readonly #now: () => number
  /** Newest first. */
  #kept: Kept[] = []
  #stopped = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #refreshing: Promise<void> = Promise.resolve()

  constructor(components: OfferPublisherComponents, init: OfferPublisherInit) {
    this.#components = components
    this.#init = init
    this.#lifetimeSeconds = init.lifetimeSeconds ?? OFFER_LIFETIME_SECONDS
    this.#now = init.now ?? Date.now
  }

  async start(): Promise<void> {
    this.#stopped = new AbortController()
    const started: OfferOutlet[] = []
    try {
      await this.refresh()
      for (const outlet of this.#components.outlets) {
        await outlet.start()
        started.push(outlet)
      }
    } catch (error) {
      await stopAll(started).catch(() => undefined)
      throw error
    }
    this.#schedule()
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    clearTimeout(this.#timer)
    await this.#refreshing.catch(() => undefined)
    await stopAll(this.#components.outlets)
  }

  current(): readonly string[] {
    const now = this.#now()
    return this.#kept
      .filter(({ acceptableUntilMs }) => acceptableUntilMs > now)
      .map(({ offer }) => offer.token)
  }

  newest(): Verified<Offer> | undefined {
    return this.#kept[0]?.offer
  }

  /** One at a time, so that sequences are published in order. */
  refresh(): Promise<void> {
    this.#refreshing = this.#refreshing.catch(() => undefined).then(() => this.#refresh())
    return this.#refreshing
  }

  async #refresh(): Promise<void> {
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(DESCRIBE_TIMEOUT_MS)])
    const description = await this.#components.describe(signal)
    signal.throwIfAborted()
    const meaning = digestOf(JSON.stringify(description))
    const newest = this.#kept[0]
    if (newest?.meaning === meaning && this.#now() < this.#renewAtMs(newest)) return
    const offer = await this.#sign(description, newest)
    this.#keep({ offer, meaning, acceptableUntilMs: offer.payload.exp * SECOND_MS })
    for (const outlet of this.#components.outlets) outlet.publish(offer)
  }

  /** The sequence is the time, so that it grows over restarts without anything being stored. */
  async #sign(description: OfferDescription, before: Kept | undefined): Promise<Verified<Offer>> {
    const { identity } = this.#components
    const now = this.#now()
    const iat = Math.floor(now / SECOND_MS)
    const payload = {
      ...description,
      v: 1 as const,
      iss: identity.id,
      iat,
      exp: iat + this.#lifetimeSeconds,
      seq: Math.max(now, (before?.offer.payload.seq ?? 0) + 1),
      terms: { text: description.terms.text, digest: digestOf(description.terms.text) }
    }
    const token = await signDocument('offer', payload, identity)
    return verifyDocument('offer', token, { nowMs: now })
  }

  /** An offer that said the same stays acceptable to its end, another one for the time of grace. */
  #keep(kept: Kept): void {
    const now = this.#now()
    const graceEndsMs = now + (this.#init.graceMs ?? GRACE_MS)
    for (const older of this.#kept)
      if (older.meaning !== kept.meaning)
        older.acceptableUntilMs = Math.min(older.acceptableUntilMs, graceEndsMs)
    const alive = this.#kept.filter(({ acceptableUntilMs }) => acceptableUntilMs > now)
    this.#kept = [kept, ...alive].slice(0, OFFERS_KEPT_MAX)
  }

  #renewAtMs({ offer }: Kept): number {
    return offer.payload.iat * SECOND_MS + (this.#lifetimeSeconds * SECOND_MS) / 2
  }

  #schedule(): void {
    const newest = this.#kept[0]
    const untilRenewalMs =
      newest === undefined ? Infinity : Math.max(this.#renewAtMs(newest) - this.#now(), 0)
    const intervalMs = this.#init.checkIntervalMs ?? CHECK_INTERVAL_MS
    this.#timer = setTimeout(() => void this.#check(), Math.min(intervalMs, untilRenewalMs + SECOND_MS))
  }

  async #check(): Promise<void> {
    try {
      await this.refresh()
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#init.onError?.(error)
    }
    if (!this.#stopped.signal.aborted) this.#schedule()
  }
}

/** Stops every one of them, then throws the first failure. */
async function stopAll(outlets: readonly OfferOutlet[]): Promise<void> {
  const results = await Promise.allSettled(outlets.map(async (outlet) => outlet.stop()))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
