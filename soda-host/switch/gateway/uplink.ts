/** The ways from the gateway to the outside. */
import { z } from 'zod'
import type { Place } from './place.ts'
import type { Ipv4Range } from './ipv4.ts'
import type { ServerGrants } from './grants.ts'

/** What the owner chose. */
export const uplinkChoice = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none') }),
  /** Through a veth and the machine's own forwarding, hidden behind its address. */
  z.strictObject({ kind: z.literal('nat') }),
  /** An interface of the machine's that the machine gives away: it has no address there any more. */
  z.strictObject({ kind: z.literal('dedicated'), interface: z.string().regex(/^[\w.:@-]{1,15}$/) }),
  /** Through sockets of a process without privileges. */
  z.strictObject({ kind: z.literal('pasta') })
])
export type UplinkChoice = z.infer<typeof uplinkChoice>

/** What an uplink must be undone by, also by a daemon that did not make it. */
export const uplinkRecord = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none') }),
  z.strictObject({ kind: z.literal('nat'), hostAddress: z.string(), gatewayAddress: z.string() }),
  z.strictObject({
    kind: z.literal('dedicated'),
    interface: z.string(),
    addresses: z.array(z.strictObject({ address: z.string(), prefixLength: z.int() })),
    routes: z.array(z.strictObject({ dst: z.string(), gateway: z.string().exactOptional() }))
  }),
  z.strictObject({ kind: z.literal('pasta') })
])
export type UplinkRecord = z.infer<typeof uplinkRecord>

export interface UplinkContext {
  /** Names what is ours on the owner's machine: interface and table. */
  name: string
  /** Namespace of the gateway. */
  gateway: Place
  host: Place
  /** Absolute; files of ours are kept there. */
  stateDir: string
}

/** What changes while an uplink stands. */
export interface UplinkState {
  forbidden: readonly Ipv4Range[]
  upstreams: readonly string[]
  grants: readonly ServerGrants[]
}

export interface Uplink {
  readonly record: UplinkRecord
  /** The address in the gateway's namespace where a published connection arrives. */
  arriving(publishedAddress: string): string
  /** Bring what is on the owner's side up to date. */
  update(state: UplinkState): Promise<void>
}
