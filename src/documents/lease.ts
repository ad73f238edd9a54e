import { z } from 'zod'
import { accessRules } from '../rules/schema.ts'
import {
  digest,
  imageName,
  limits,
  nonce,
  peerId,
  restart,
  rulesetBytes,
  runId,
  seconds,
  warning
} from './fields.ts'

const fields = z.strictObject({
  v: z.literal(1),
  iss: peerId,
  /** The consumer. */
  aud: peerId,
  iat: seconds,
  exp: seconds,
  /** The nonce of the acceptance that it answers. */
  nonce,
  runId,
  /** SHA-256 of the acceptance's compact JWS. */
  acceptanceDigest: digest,
  limits,
  image: z.strictObject({ name: imageName, digest }),
  /** What the server may reach outside; those of the accepted offer's rules. Absent: nothing. */
  egress: accessRules.shape.egress.default({ kind: 'none' }),
  /** TCP ports at which it may be reached from outside, where the provider publishes ports. */
  inboundPorts: accessRules.shape.inboundPorts,
  /** The factory, trusted by both, whose kernel boots; its manifest follows the lease. */
  factory: peerId.optional(),
  /** As asked for. */
  restart: restart.optional(),
  warning: warning.optional(),
  rulesetBytes: rulesetBytes.optional(),
  /** Results are kept for the consumer at least until then. */
  keepUntil: seconds
})

/** A provider grants a slice to one consumer's key until a time. */
export const lease = fields.superRefine((value, context) => {
  if (value.keepUntil < value.exp)
    context.addIssue({ code: 'custom', path: ['keepUntil'], message: 'must not be before exp' })
})
export type Lease = z.infer<typeof lease>
