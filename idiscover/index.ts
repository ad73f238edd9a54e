/**
 * @packageDocumentation
 *
 * iDiscover: one stream of verified offers from pages, the DHT and peers.
 *
 * - `discoverer(components: DiscovererComponents, init?: DiscovererInit): Discoverer`
 * - `mismatches(offer: Offer, query: OfferQuery, nowMs: number): string[]`: pure; empty when it fits
 */
export type * from './types.ts'
