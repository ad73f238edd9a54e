/**
 * The offer of one known peer: its value in the DHT, or its own answer.
 *
 * kad-dht's `get` keeps values back until every peer that answered with an older one has been corrected, and
 * throws if one of them will not be. So values are taken from the answers of single peers, as they come.
 */
import type { QueryEvent } from '@libp2p/kad-dht'
import { verifyDocument, type Offer, type Verified } from '../../src/documents/index.ts'
import { offerKey } from '../../src/documents/offer-keys.ts'
import { DiscoverError } from '../../src/errors.ts'
import type { Report } from '../source.ts'
import type { DiscovererComponents, DiscoverLimits, OfferSource } from '../types.ts'
import { askOffer } from './ask-offer.ts'
import { eventsUntil } from './query-events.ts'

/** So many peers of the DHT are heard, lest the first one holds back the newest offer. */
const ANSWERS_WANTED = 3

export interface OfferLookup {
  components: DiscovererComponents
  limits: DiscoverLimits
  report: Report
  signal: AbortSignal
}

/**
 * Report each newer offer of `peer` that the DHT holds.
 *
 * @returns whether there was one
 * @throws ERR_OFFER_NOT_FOUND when the query fails, and nothing was found before
 */
export async function lookUpValue(
  { components, limits, report, signal }: OfferLookup,
  peer: string,
  source: OfferSource
): Promise<boolean> {
  const { dht } = components
  if (dht === undefined) return false
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.valueTimeoutMs)])
  let newest: Verified<Offer> | undefined
  let answers = 0
  try {
    for await (const event of eventsUntil(dht.get(offerKey(peer), { signal: bounded }), bounded)) {
      const offer = await offerIn(event, peer)
      if (offer === undefined) continue
      if (offer.payload.seq > (newest?.payload.seq ?? -1)) await report({ offer, source })
      if (newest === undefined || offer.payload.seq > newest.payload.seq) newest = offer
      if (++answers === ANSWERS_WANTED) break
    }
  } catch (error) {
    if (newest === undefined)
      throw new DiscoverError('ERR_OFFER_NOT_FOUND', `the DHT could not be asked for the offer of ${peer}`, {
        cause: error
      })
  }
  return newest !== undefined
}

/** What another peer claims to be the offer is left out unless it is. */
async function offerIn(event: QueryEvent, issuer: string): Promise<Verified<Offer> | undefined> {
  const value =
    event.name === 'VALUE' ? event.value : event.name === 'PEER_RESPONSE' ? event.record?.value : undefined
  if (value === undefined) return undefined
  return verifyDocument('offer', Buffer.from(value).toString('latin1'), { issuer }).catch(() => undefined)
}

/** Report the peer's own answer. @throws ERR_OFFER_NOT_FOUND, and what `verifyDocument` throws */
export async function askAndReport(
  { components, limits, report, signal }: OfferLookup,
  peer: string,
  addresses: readonly string[],
  source: OfferSource
): Promise<void> {
  const openStream = components.openStream?.bind(components)
  if (openStream === undefined)
    throw new DiscoverError('ERR_OFFER_NOT_FOUND', `${peer}: not in the DHT, and there is no way to ask it`)
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.askTimeoutMs)])
  const token = await askOffer(openStream, peer, addresses, bounded)
  await report({ offer: await verifyDocument('offer', token, { issuer: peer }), source })
}
