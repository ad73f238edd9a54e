import { DAY_MS, DOCUMENT_BYTES_MAX, HOUR_MS, KIB, MINUTE_MS, SECOND_MS } from '../src/constants.ts'
import type { DhtStoreLimits } from './types.ts'

/** Defaults and bounds of iPublish. */

/** A day: a provider that has gone is believed no longer than that. */
export const OFFER_LIFETIME_SECONDS = DAY_MS / SECOND_MS
export const CHECK_INTERVAL_MS = 30 * SECOND_MS
/** For the answer to what is offered now. */
export const DESCRIBE_TIMEOUT_MS = 10 * SECOND_MS
/** Long enough for a person who is just reading the rules. */
export const GRACE_MS = 10 * MINUTE_MS
/** Offers kept at a time that may still be accepted. */
export const OFFERS_KEPT_MAX = 16

/** The DHT forgets after a day or two, and faster when peers come and go. */
export const ANNOUNCE_INTERVAL_MS = HOUR_MS
export const ANNOUNCE_RETRY_MS = SECOND_MS
export const ANNOUNCE_RETRY_MAX_MS = 5 * MINUTE_MS
/** One value or provider record. */
export const ANNOUNCE_TIMEOUT_MS = 30 * SECOND_MS
export const ANNOUNCE_CONCURRENCY = 4

/** One answer on PROTOCOL_OFFER. */
export const ANSWER_TIMEOUT_MS = 10 * SECOND_MS
/** Answers under way at a time on one connection. */
export const ANSWERS_PER_CONNECTION_MAX = 4

export const PAGE_HOST = '127.0.0.1'
export const PAGE_CONNECTIONS_MAX = 256
/** One request, from its first byte to the last of the answer. */
export const PAGE_REQUEST_TIMEOUT_MS = 15 * SECOND_MS
export const PAGE_IDLE_TIMEOUT_MS = 5 * SECOND_MS
export const PAGE_HEADER_BYTES_MAX = 8192

/** At most some 70 MB, if every record is as long as a document can be; ordinary offers have 2 to 4 kB. */
export const DHT_STORE_LIMITS: Readonly<DhtStoreLimits> = {
  recordsMax: 1024,
  // A document, and kad-dht's envelope of its key and time.
  recordBytesMax: DOCUMENT_BYTES_MAX + KIB,
  providersMax: 8192,
  providersPerFacetMax: 256,
  facetsPerProviderMax: 192
}
