/**
 * What the two sides say to each other on PROTOCOL_FACTORY: one stream for one kernel. The provider sends the three
 * documents, each in a message of its own since each may be as long as a document can be; the factory answers with the
 * manifest and then with the kernel, in data frames on one channel, or with a code.
 */
import { z } from 'zod'
import { DOCUMENT_BYTES_MAX, KERNEL_BYTES_MAX } from '../src/constants.ts'

export const CHANNEL_KERNEL = 0

const token = z.string().min(1).max(DOCUMENT_BYTES_MAX)

/** In this order. */
export const REQUEST_PARTS = ['offer', 'acceptance', 'lease'] as const

export const requestMessage = z.strictObject({ type: z.enum(REQUEST_PARTS), token })
export type RequestMessage = z.infer<typeof requestMessage>

export const answerMessage = z.discriminatedUnion('type', [
  /** The kernel follows: so many bytes. */
  z.strictObject({
    type: z.literal('issued'),
    manifest: token,
    sizeBytes: z.int().min(1).max(KERNEL_BYTES_MAX)
  }),
  z.strictObject({ type: z.literal('error'), code: z.string().regex(/^ERR_[A-Z_]{1,60}$/) })
])
export type AnswerMessage = z.infer<typeof answerMessage>
