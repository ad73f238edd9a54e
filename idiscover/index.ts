/**
 * @packageDocumentation
 *
 * iDiscover: one stream of verified offers from pages, the DHT and peers.
 *
 * {@link discoverer} finds them; {@link mismatches} says why one does not fit.
 */
export { discoverer } from './discoverer.ts'
export { mismatches } from './matcher.ts'
export type * from './types.ts'
