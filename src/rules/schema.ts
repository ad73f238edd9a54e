import { z } from 'zod'
import { RULESET_BYTES_MAX } from '../constants.ts'

const peer = z.string().regex(/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/)
const clock = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/)
const clockEnd = z.union([clock, z.literal('24:00')])
const base64url = z.string().regex(/^[A-Za-z0-9_-]{43}$/)

/** Only the public members that say which key it is: a private one (`d`) is refused with the whole offer. */
const issuerJwk = z.discriminatedUnion('kty', [
  z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: base64url }),
  z.strictObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: base64url, y: base64url })
])

/**
 * Access rules: only what the machine enforces. What people agree to is the offer's `terms`.
 * Absent limits are bounded by the slice itself.
 */
export const accessRules = z.strictObject({
  who: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('anyone') }),
    z.strictObject({ kind: z.literal('peers'), peers: z.array(peer).min(1).max(256) }),
    z.strictObject({
      kind: z.literal('token'),
      issuer: z.string().min(1).max(512),
      /** Public key of the issuer (JWK, OKP Ed25519 or EC P-256); no key is ever fetched. */
      jwk: issuerJwk,
      /** Claims that must be present with exactly these values. */
      claims: z
        .record(z.string().max(64), z.union([z.string().max(256), z.number(), z.boolean()]))
        .default({})
    })
  ]),
  /** The most that one run may ask for. */
  perRun: z.strictObject({
    cpu: z.number().min(0.05).max(64),
    memoryBytes: z
      .int()
      .min(32 * 2 ** 20)
      .max(2 ** 50),
    diskBytes: z
      .int()
      .min(16 * 2 ** 20)
      .max(2 ** 50),
    processesMax: z.int().min(8).max(65_536),
    outboundBitsPerSecond: z
      .int()
      .min(0)
      .max(2 ** 40),
    outputBytesMax: z
      .int()
      .min(0)
      .max(2 ** 50),
    durationSeconds: z
      .int()
      .min(1)
      .max(366 * 86_400),
    /** Size of the compiled detection rules that a tenant brings; 0: none are taken. */
    rulesetBytes: z.int().min(0).max(RULESET_BYTES_MAX).default(RULESET_BYTES_MAX)
  }),
  /** Weekly windows in which runs may start and go on; none means always. */
  windows: z
    .array(
      z
        .strictObject({
          days: z
            .array(z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']))
            .min(1)
            .max(7),
          from: clock,
          /** `24:00` is the end of the day; a `to` before `from` runs into the next day. */
          to: clockEnd
        })
        .refine(({ from, to }) => from !== to, {
          path: ['to'],
          error: 'equals from; write 00:00 to 24:00 for all day'
        })
    )
    .max(64)
    .default([]),
  /** IANA name; the windows are read in this zone. */
  timeZone: z.string().max(64).refine(isTimeZone, 'not a time zone of the IANA list').default('UTC'),
  egress: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('none') }),
    z.strictObject({
      kind: z.literal('allow'),
      to: z
        .array(
          z.strictObject({
            host: z.string().min(1).max(253),
            protocol: z.enum(['tcp', 'udp']),
            port: z.int().min(1).max(65_535)
          })
        )
        .min(1)
        .max(256)
    }),
    z.strictObject({ kind: z.literal('internet') })
  ]),
  inboundPorts: z.array(z.int().min(1).max(65_535)).max(256).default([]),
  concurrentRunsPerPeer: z.int().min(1).max(4096),
  /** The owner may freeze runs when they need the machine. */
  mayFreeze: z.boolean()
})
export type AccessRules = z.infer<typeof accessRules>

function isTimeZone(name: string): boolean {
  try {
    return Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}
