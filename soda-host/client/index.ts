/**
 * What the peer uses of a SODA host: the daemon's API as functions.
 *
 * @packageDocumentation
 */
export { hostClient, type HostClient, type HostClientInit } from './host-client.ts'
