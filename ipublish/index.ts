/**
 * @packageDocumentation
 *
 * iPublish: a provider's signed offer goes out by three ways, none of which needs another: a page, the DHT, and
 * the direct protocol PROTOCOL_OFFER.
 *
 * {@link offerPublisher} signs and renews the offer and hands it to its outlets: {@link pageServer},
 * {@link dhtAnnouncer}, {@link offerResponder}. Every node of the DHT, provider or not, is made with
 * {@link offerValidator} and {@link offerSelector}.
 */
export { dhtAnnouncer } from './dht/dht-announcer.ts'
export { dhtDatastore, type DhtDatastoreInit } from './dht/dht-datastore.ts'
export { offerSelector, offerValidator, type OfferValidatorInit } from './dht/offer-record.ts'
export { offerPublisher } from './offer-publisher.ts'
export { offerResponder } from './offer-responder.ts'
export { offerPage, type OfferPageInit } from './page/offer-page.ts'
export { pageServer } from './page/page-server.ts'
export type * from './types.ts'
