/**
 * What the two sides say to each other on PROTOCOL_LOG: one stream brings the sealed log of one run from an offset on, in
 * data frames as fast as the stream takes them, and with them signed heads as the log grows. Frames of a log come when
 * they are pushed out of the guest, so that an alert is with its tenant at once.
 */
import { z } from 'zod'
import { runId } from '../src/documents/fields.ts'
import { DOCUMENT_BYTES_MAX } from '../src/constants.ts'
import { code, offset } from './messages.ts'

export const CHANNEL_LOG = 0

/** `offset`: bytes of the log since it began. With `follow` it goes on until the run has ended. */
export const logRequest = z.strictObject({
  type: z.literal('log'),
  runId,
  offset,
  follow: z.boolean()
})
export type LogRequest = z.infer<typeof logRequest>

export const logAnswer = z.discriminatedUnion('type', [
  /** The first message: bytes from here on follow. Later than asked for where the older ones are not kept any more. */
  z.strictObject({ type: z.literal('from'), offset }),
  z.strictObject({ type: z.literal('anchor'), token: z.string().min(1).max(DOCUMENT_BYTES_MAX) }),
  /** All there is was sent, and its head. */
  z.strictObject({ type: z.literal('end'), offset }),
  z.strictObject({ type: z.literal('error'), code })
])
export type LogAnswer = z.infer<typeof logAnswer>
