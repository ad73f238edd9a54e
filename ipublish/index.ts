/**
 * @packageDocumentation
 *
 * iPublish: a provider's signed offer goes out by three ways, none of which needs another: a page, the DHT, and
 * the direct protocol PROTOCOL_OFFER.
 *
 * - `offerPage(offer, { url, links? }): string`: the page as HTML
 * - `pageServer(init): PageServer`
 * - `dhtAnnouncer({ dht: KadDHT }, init?): OfferOutlet`
 * - `offerResponder({ registrar }, init?): OfferOutlet`
 * - `offerPublisher({ identity, describe, outlets }, init?): OfferPublisher`
 * - for `kadDHT({ validators: { ishare: offerValidator() }, selectors: { ishare: offerSelector } })`:
 *   `offerValidator(init?: { datastore? }): ValidateFn`, `offerSelector: SelectFn`
 * - `dhtDatastore(inner: Datastore, { peerId }): Datastore`: bounds what strangers may store through the DHT
 */
export type * from './types.ts'
