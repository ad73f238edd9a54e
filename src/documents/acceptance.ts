import { z } from 'zod'
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
  stamped,
  warning
} from './fields.ts'

const fields = z.strictObject({
  v: z.literal(1),
  iss: peerId,
  /** The provider it is meant for. */
  aud: peerId,
  iat: seconds,
  exp: seconds,
  nonce,
  runId,
  /** SHA-256 of the offer's compact JWS. */
  offerDigest: digest,
  termsDigest: digest,
  request: z.strictObject({
    limits,
    image: z.union([imageName, digest]),
    /** JWT of an issuer that the rules name, if they ask for one. */
    token: z.string().max(8192).optional(),
    /** When the program is started again after an end. Absent: never. */
    restart: restart.optional(),
    /** Absent: as the provider does it. */
    warning: warning.optional(),
    /** Size of the rule set that its kernel takes, which the consumer sends; absent: it takes none. */
    rulesetBytes: rulesetBytes.optional()
  }),
  /** The kernel that it wants to run under; absent: it takes the provider's word for it, and has no sealed log. */
  kernel: z
    .strictObject({
      /** Peer ids of factories that the consumer believes. */
      factories: z.array(peerId).min(1).max(16),
      ...stamped
    })
    .optional()
})
/** A consumer accepts an offer's rules and terms, and says what it asks for. */
export const acceptance = fields.superRefine(({ request, kernel }, context) => {
  if ((request.rulesetBytes === undefined) !== (kernel?.ruleset === undefined))
    context.addIssue({
      code: 'custom',
      path: ['request', 'rulesetBytes'],
      message: 'a rule set has a digest and a size, or there is none'
    })
})
export type Acceptance = z.infer<typeof acceptance>
