/** What the daemon and its resolver process say to each other, over the channel that Node gives a child. */
import { z } from 'zod'

const grantedPort = z.strictObject({ protocol: z.enum(['tcp', 'udp']), port: z.int() })
const namePolicy = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('internet') }),
  z.strictObject({ kind: z.literal('names'), names: z.record(z.string(), z.array(grantedPort)) })
])

/** Names of linked servers, as one server knows them: their addresses on the switch. */
const linkedNames = z.record(z.string(), z.string())

/** To the resolver. Those with a number are answered when they are in force. */
export const order = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('configure'),
    upstreams: z.array(z.string()),
    forbidden: z.array(z.strictObject({ first: z.number(), last: z.number() })),
    /** By address on the switch. */
    clients: z.record(z.string(), namePolicy),
    names: z.record(z.string(), linkedNames)
  }),
  z.strictObject({ kind: z.literal('names'), number: z.int(), client: z.string(), names: linkedNames }),
  z.strictObject({ kind: z.literal('admitted'), number: z.int(), addresses: z.array(z.string()) })
])
export type Order = z.infer<typeof order>

/** From the resolver, which may be a liar: it reads what guests and strangers write. */
export const report = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('listening') }),
  z.strictObject({ kind: z.literal('named'), number: z.int() }),
  z.strictObject({
    kind: z.literal('admit'),
    number: z.int(),
    client: z.string().max(15),
    name: z.string().max(253),
    addresses: z
      .array(z.strictObject({ address: z.string().max(15), ttl: z.int().min(0).max(86_400) }))
      .max(64)
  }),
  z.strictObject({
    kind: z.literal('denied'),
    client: z.string().max(15),
    name: z.string().max(253),
    reason: z.enum(['not-granted', 'private-name', 'forbidden-address'])
  })
])
export type Report = z.infer<typeof report>
