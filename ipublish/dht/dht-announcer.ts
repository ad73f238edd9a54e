/**
 * Keeps an offer in the DHT: its value under the peer's own key, and a provider record under each facet.
 *
 * kad-dht says neither whether a PUT was taken by anybody (`put` resolves even if every peer refuses) nor
 * republishes values, so this counts the peers that took it, tries again soon while nobody has, and repeats
 * everything by a timer with jitter, lest all providers of a net that started together call at once.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KadDHT } from '@libp2p/kad-dht'
import PQueue from 'p-queue'
import type { Offer, Verified } from '../../src/documents/index.ts'
import { facetCid, facetsOf, offerKey } from '../../src/documents/offer-keys.ts'
import { PublishError } from '../../src/errors.ts'
import {
  ANNOUNCE_CONCURRENCY,
  ANNOUNCE_INTERVAL_MS,
  ANNOUNCE_RETRY_MAX_MS,
  ANNOUNCE_RETRY_MS,
  ANNOUNCE_TIMEOUT_MS
} from '../defaults.ts'
import type { DhtAnnouncerComponents, DhtAnnouncerInit, OfferOutlet } from '../types.ts'

type Dht = DhtAnnouncerComponents['dht']

/** Announces every offer that is published, until stopped. */
export function dhtAnnouncer(components: DhtAnnouncerComponents, init: DhtAnnouncerInit = {}): OfferOutlet {
  return new DhtAnnouncer(components.dht, init)
}

class DhtAnnouncer implements OfferOutlet {
  readonly #dht: Dht
  readonly #intervalMs: number
  readonly #timeoutMs: number
  readonly #init: DhtAnnouncerInit
  readonly #announced = new Set<string>()
  #offer: Verified<Offer> | undefined
  #stopped = new AbortController()
  /** Aborted when there is a reason not to wait any longer: another offer, or the end. */
  #wake = new AbortController()
  #work: Promise<void> | undefined

  constructor(dht: Dht, init: DhtAnnouncerInit) {
    this.#dht = dht
    this.#intervalMs = init.intervalMs ?? ANNOUNCE_INTERVAL_MS
    this.#timeoutMs = init.timeoutMs ?? ANNOUNCE_TIMEOUT_MS
    this.#init = init
  }

  start(): void {
    if (this.#work !== undefined) return
    this.#stopped = new AbortController()
    this.#work = this.#run(this.#stopped.signal)
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    this.#wake.abort()
    await this.#work
    this.#work = undefined
    await this.#withdraw(this.#announced)
  }

  publish(offer: Verified<Offer>): void {
    this.#offer = offer
    this.#wake.abort()
  }

  async #run(stopped: AbortSignal): Promise<void> {
    let retryMs = ANNOUNCE_RETRY_MS
    while (!stopped.aborted) {
      this.#wake = new AbortController()
      const offer = this.#offer
      let waitMs = this.#intervalMs
      if (offer !== undefined) {
        const isTaken = await this.#announce(offer, stopped)
        if (!isTaken) waitMs = Math.min(retryMs, this.#intervalMs)
        retryMs = isTaken ? ANNOUNCE_RETRY_MS : Math.min(retryMs * 2, ANNOUNCE_RETRY_MAX_MS)
      }
      // Another offer, or the end, while announcing: the wake-up has been aborted, so this returns at once.
      await sleep(withJitter(waitMs), undefined, { signal: this.#wake.signal }).catch(() => undefined)
    }
  }

  /** @returns whether at least one other peer has the offer now */
  async #announce(offer: Verified<Offer>, stopped: AbortSignal): Promise<boolean> {
    const signal = () => AbortSignal.any([stopped, AbortSignal.timeout(this.#timeoutMs)])
    const facets = facetsOf(offer.payload)
    await this.#withdraw([...this.#announced].filter((facet) => !facets.includes(facet)))
    const queue = new PQueue({ concurrency: ANNOUNCE_CONCURRENCY })
    const [takers] = await Promise.all([
      this.#attempt(() => putOffer(this.#dht, offer, signal())),
      ...facets.map((facet) => {
        this.#announced.add(facet)
        return queue.add(() => this.#attempt(() => provideFacet(this.#dht, facet, signal())))
      })
    ])
    if (takers === 0) this.#fail(`no peer has taken offer ${offer.payload.seq}`)
    return takers !== undefined && takers > 0
  }

  async #withdraw(facets: Iterable<string>): Promise<void> {
    for (const facet of facets) {
      this.#announced.delete(facet)
      await this.#attempt(() => this.#dht.cancelReprovide(facetCid(facet)))
    }
  }

  async #attempt<T>(task: () => Promise<T>): Promise<T | undefined> {
    try {
      return await task()
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#fail('a query failed', error)
      return undefined
    }
  }

  #fail(reason: string, cause?: unknown): void {
    this.#init.onError?.(new PublishError('ERR_PUBLISH_DHT', `the DHT: ${reason}`, { cause }))
  }
}

/** @returns how many peers have confirmed the very value */
async function putOffer(dht: Dht, offer: Verified<Offer>, signal: AbortSignal): Promise<number> {
  const takers = new Set<string>()
  for await (const event of dht.put(offerKey(offer.payload.iss), Buffer.from(offer.token), { signal })) {
    if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') takers.add(event.from.toString())
    // What answered with another value comes a second time, as an error.
    if (event.name === 'QUERY_ERROR') takers.delete(event.from.toString())
  }
  return takers.size
}

async function provideFacet(dht: Pick<KadDHT, 'provide'>, facet: string, signal: AbortSignal): Promise<void> {
  // Consuming the events is what drives the query.
  for await (const _event of dht.provide(facetCid(facet), { signal }));
}

/** Between 80 and 100 percent of it. */
function withJitter(ms: number): number {
  return ms * (1 - Math.random() / 5)
}
