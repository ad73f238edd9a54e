import { z } from 'zod'
import { bytes, digest, peerId, runId, seconds } from './fields.ts'

/**
 * A provider says how far a run's sealed log had come: a log that does not hold this head later was cut, whoever shows it.
 *
 * @see docs/formats/sealed-log.md section 6
 */
export const logAnchor = z.strictObject({
  v: z.literal(1),
  /** The provider. */
  iss: peerId,
  /** The consumer. */
  aud: peerId,
  iat: seconds,
  exp: seconds,
  runId,
  /** SHA-256 of the lease's compact JWS. */
  leaseDigest: digest,
  /** Boots of a server count from 0, frames of a boot too. */
  boot: z
    .int()
    .min(0)
    .max(2 ** 32 - 1),
  frame: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  /** SHA-256 of the frame's header and tag, in hex. */
  head: z.string().regex(/^[0-9a-f]{64}$/),
  /** Offset behind that frame, or a later one, in bytes since the log began. */
  end: bytes
})
export type LogAnchor = z.infer<typeof logAnchor>
