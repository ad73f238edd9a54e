import { z } from 'zod'
import { digest, imageName, limits, nonce, peerId, runId, seconds } from './fields.ts'

/** A consumer accepts an offer's rules and terms, and says what it asks for. */
export const acceptance = z.strictObject({
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
    token: z.string().max(8192).optional()
  })
})
export type Acceptance = z.infer<typeof acceptance>
