import { newestSequence, type NewestSequence } from '../src/documents/index.ts'
import { Channel } from './channel.ts'
import { DEFAULT_LIMITS, RESULTS_WAITING_MAX } from './limits.ts'
import { mismatches } from './matcher.ts'
import { searchDht } from './network/dht-source.ts'
import type { OfferLookup } from './network/offer-lookup.ts'
import { searchPeers } from './network/peer-source.ts'
import { searchPages } from './pages/page-source.ts'
import type { Report, Sighting } from './source.ts'
import type {
  Discoverer,
  DiscovererComponents,
  DiscovererInit,
  DiscoverLimits,
  DiscoverOptions,
  Discovery,
  OfferQuery
} from './types.ts'

/** Finds offers on pages, in the DHT and at peers. */
export function discoverer(components: DiscovererComponents, init: DiscovererInit = {}): Discoverer {
  const limits = { ...DEFAULT_LIMITS, ...init.limits }
  return {
    discover: (options) => {
      if (options.dht === true && components.dht === undefined)
        throw new TypeError('discover: there is no DHT')
      return discover(components, { ...init, limits }, options)
    }
  }
}

async function* discover(
  components: DiscovererComponents,
  init: DiscovererInit & { limits: DiscoverLimits },
  options: DiscoverOptions
): AsyncGenerator<Discovery> {
  options.signal?.throwIfAborted()
  const over = new AbortController()
  const signal = AbortSignal.any([over.signal, ...(options.signal === undefined ? [] : [options.signal])])
  const channel = new Channel<Sighting>(RESULTS_WAITING_MAX)
  const end = () => channel.end()
  signal.addEventListener('abort', end)
  const search = searchAll(components, init, options, (sighting) => channel.write(sighting), signal).finally(
    end
  )
  try {
    const newest = newestSequence()
    for await (const sighting of channel) {
      options.signal?.throwIfAborted()
      const discovery = judge(sighting, options.query ?? {}, newest)
      if (discovery !== undefined) yield discovery
    }
    options.signal?.throwIfAborted()
    await search
  } finally {
    over.abort()
    await search.catch(() => undefined)
  }
}

async function searchAll(
  components: DiscovererComponents,
  { limits, allowPrivateAddresses = false, resolve }: DiscovererInit & { limits: DiscoverLimits },
  { pages = [], peers = [], dht = false, query = {} }: DiscoverOptions,
  report: Report,
  signal: AbortSignal
): Promise<void> {
  const lookup: OfferLookup = { components, limits, report, signal }
  const pageInit = { limits, allowPrivateAddresses, ...(resolve === undefined ? {} : { resolve }) }
  await Promise.all([
    pages.length > 0 ? searchPages(pages, pageInit, report, signal) : undefined,
    searchPeers(lookup, peers),
    dht ? searchDht(lookup, query) : undefined
  ])
}

/** An offer that was seen before, or an older one of the same peer, is nothing new. */
function judge(sighting: Sighting, query: OfferQuery, newest: NewestSequence): Discovery | undefined {
  const { source } = sighting
  if ('error' in sighting) return { kind: 'failure', error: sighting.error, source }
  const { offer } = sighting
  if (!isNew(newest, offer.payload.iss, offer.payload.seq)) return undefined
  const reasons = mismatches(offer.payload, query, Date.now())
  return reasons.length === 0
    ? { kind: 'offer', offer, source }
    : { kind: 'near-miss', offer, reasons, source }
}

function isNew(newest: NewestSequence, peer: string, sequence: number): boolean {
  try {
    return newest.note(peer, sequence)
  } catch {
    return false
  }
}
