import { z } from 'zod'
import { accessRules } from '../rules/schema.ts'
import { digestOf } from './digest.ts'
import { bytes, digest, imageName, label, peerId, seconds } from './fields.ts'

const fields = z.strictObject({
  v: z.literal(1),
  iss: peerId,
  iat: seconds,
  exp: seconds,
  /** Grows with every new offer of this provider; the highest one counts. */
  seq: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  /** All of the slice, shared by the servers on it. */
  slice: z.strictObject({
    architecture: z.literal('x86_64'),
    cpu: z.number().min(0.05).max(4096),
    memoryBytes: bytes,
    diskBytes: bytes,
    outboundBitsPerSecond: z
      .int()
      .min(0)
      .max(2 ** 40),
    /** Virtual servers at the same time. */
    count: z.int().min(1).max(4096)
  }),
  images: z.array(z.strictObject({ name: imageName, digest, sizeBytes: bytes })).max(64),
  labels: z.array(label).max(32),
  rules: accessRules,
  terms: z.strictObject({
    /** What the consumer agrees to, as plain text. */
    text: z.string().min(1).max(16_384),
    /** SHA-256 of the text's UTF-8 bytes. */
    digest
  }),
  /** Peer ids of factories whose kernels this provider boots. */
  factories: z.array(peerId).max(16),
  /** Multiaddrs at which the provider listens. */
  addresses: z.array(z.string().max(512)).max(32)
})

/** A provider's offer: a slice of a machine, and the rules under which it is lent. */
export const offer = fields.superRefine((value, context) => {
  const complain = (path: (string | number)[], message: string) =>
    context.addIssue({ code: 'custom', path, message })
  if (value.terms.digest !== digestOf(value.terms.text))
    complain(['terms', 'digest'], 'is not that of the text')
  for (const name of ['cpu', 'memoryBytes', 'diskBytes', 'outboundBitsPerSecond'] as const) {
    const [one, all] = [value.rules.perRun[name], value.slice[name]]
    if (one > all) complain(['rules', 'perRun', name], `${one} is more than the slice has, ${all}`)
  }
  const names = value.images.map(({ name }) => name)
  if (new Set(names).size < names.length) complain(['images'], 'a name stands for two images')
})
export type Offer = z.infer<typeof offer>
