/**
 * What the peer uses of a SODA host: the daemon's API as functions.
 *
 * @packageDocumentation
 */
export type { Link } from '../daemon/api.ts'
export { grantableDiskBytes } from '../daemon/limits.ts'
export { hostClient, type HostClient, type HostClientInit } from './host-client.ts'
