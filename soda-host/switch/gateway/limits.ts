/** What bounds a server's traffic to the outside, whatever it was granted. */

/** New connections a second, and how many at once. */
export const NEW_PER_SECOND = 50
export const NEW_BURST = 200
/** Packets outward a second, and how many at once: what fills 200 Mbit/s with full frames. */
export const PACKETS_PER_SECOND = 20_000
export const PACKETS_BURST = 10_000
/** Connections that a server may have open, in each direction. */
export const CONNECTIONS_MAX = 1024
/** From outside to one server. */
export const INBOUND_NEW_PER_SECOND = 200
export const INBOUND_NEW_BURST = 400
/** Questions to our resolver. */
export const DNS_PER_SECOND = 30
export const DNS_BURST = 60
/** Denied flows of which destination and port are kept: a scan must not fill the table at once. */
export const DENIED_FLOWS_PER_SECOND = 20
export const DENIED_FLOWS_MAX = 4096
/** Sets of one element a server. */
export const SERVERS_MAX = 65_536
