/**
 * The way from the switch to the outside: reverse firewall, names, uplinks.
 *
 * @see docs/decisions/0007-gateway.md
 * @packageDocumentation
 */
export type { EgressDenial } from './denials.ts'
export { Gateway, type GatewayInit } from './gateway.ts'
export type { Egress, InboundPort, ServerGrants } from './grants.ts'
export { ownerNameServers } from './owner-name-servers.ts'
export type { UplinkChoice } from './uplink.ts'
