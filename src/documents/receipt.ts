import { z } from 'zod'
import { bytes, digest, peerId, runId, seconds } from './fields.ts'

const fields = z.strictObject({
  v: z.literal(1),
  iss: peerId,
  aud: peerId,
  iat: seconds,
  exp: seconds,
  runId,
  /** SHA-256 of the lease's compact JWS. */
  leaseDigest: digest,
  startedAt: seconds.optional(),
  endedAt: seconds,
  outcome: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('status'), status: z.int().min(0).max(255) }),
    z.strictObject({ kind: z.literal('signal'), signal: z.int().min(1).max(64) }),
    z.strictObject({ kind: z.literal('failed'), code: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/) })
  ]),
  /** Why a program was ended before its time, if it was. */
  cut: z.enum(['lease-expired', 'stopped', 'output-limit']).optional(),
  used: z.strictObject({
    cpuSeconds: z.number().min(0),
    memoryPeakBytes: bytes,
    outputBytes: bytes,
    outputDiscardedBytes: bytes,
    filesBytes: bytes,
    bytesOut: bytes
  })
})

/** A provider says what a run used and how it ended. */
export const receipt = fields.superRefine((value, context) => {
  if (value.startedAt !== undefined && value.startedAt > value.endedAt)
    context.addIssue({ code: 'custom', path: ['startedAt'], message: 'must not be after endedAt' })
})
export type Receipt = z.infer<typeof receipt>
