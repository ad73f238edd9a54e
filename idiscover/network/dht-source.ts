/**
 * Offers found through the DHT: providers of the facets that the query names, then the offer of each.
 *
 * kad-dht gives at most k providers or so for a key, and anybody may say to be one. So all facets are asked, the
 * rarer ones first; a provider costs a look-up before it is believed, and their number, the look-ups at a time and
 * the time of each are bounded.
 */
import type { PeerInfo } from '@libp2p/interface'
import PQueue from 'p-queue'
import { facetCid, facetsFor } from '../../src/documents/offer-keys.ts'
import { DiscoverError } from '../../src/errors.ts'
import type { OfferQuery } from '../types.ts'
import { askAndReport, lookUpValue, type OfferLookup } from './offer-lookup.ts'
import { eventsUntil } from './query-events.ts'

/** Report every offer that the DHT leads to. */
export async function searchDht(lookup: OfferLookup, query: OfferQuery): Promise<void> {
  const queue = new PQueue({ concurrency: lookup.limits.concurrency })
  const seen = new Set<string>()
  const visit = (provider: string, addresses: readonly string[]) => {
    if (seen.has(provider) || seen.size >= lookup.limits.providersMax) return
    seen.add(provider)
    void queue.add(() => reportProvider(lookup, provider, addresses))
  }
  if (query.provider === undefined)
    await Promise.all(facetsFor(query).map((facet) => searchFacet(lookup, facet, visit)))
  else visit(query.provider, [])
  await queue.onIdle()
}

async function searchFacet(
  { components: { dht }, limits, report, signal }: OfferLookup,
  facet: string,
  visit: (provider: string, addresses: readonly string[]) => void
): Promise<void> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.dhtTimeoutMs)])
  try {
    const query = dht?.findProviders(facetCid(facet), { signal: bounded }) ?? []
    for await (const event of eventsUntil(
      query as AsyncIterable<{ name: string; providers?: PeerInfo[] }>,
      bounded
    ))
      for (const { id, multiaddrs } of event.providers ?? []) visit(id.toString(), multiaddrs.map(String))
  } catch (error) {
    const failure = new DiscoverError('ERR_OFFER_NOT_FOUND', `the DHT could not be asked for ${facet}`, {
      cause: error
    })
    await report({ error: failure, source: { kind: 'dht' } })
  }
}

async function reportProvider(
  lookup: OfferLookup,
  provider: string,
  addresses: readonly string[]
): Promise<void> {
  if (lookup.signal.aborted) return
  const source = { kind: 'dht' as const, provider }
  try {
    const isFound = await lookUpValue(lookup, provider, source).catch(() => false)
    if (!isFound) await askAndReport(lookup, provider, addresses, source)
  } catch (error) {
    await lookup.report({ error, source })
  }
}
