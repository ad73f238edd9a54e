/** Fields that more than one document carries. All sizes are bytes, all `iat`/`exp` seconds since the epoch. */
import { z } from 'zod'
import { RULESET_BYTES_MAX } from '../constants.ts'

/** `sha256:` and 64 lower-case hex digits. */
export const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/)
/** A libp2p Ed25519 peer id in base58. */
export const peerId = z.string().regex(/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/)
export const seconds = z.int().min(0).max(253_402_300_799)
export const bytes = z
  .int()
  .min(0)
  .max(2 ** 50)
/** 16 random bytes in base64url. */
export const nonce = z.string().regex(/^[A-Za-z0-9_-]{22}$/)
/** Run id: chosen by the consumer, 26 characters of Crockford base32 in lower case (128 bit). */
export const runId = z.string().regex(/^[0-9a-hjkmnp-tv-z]{26}$/)
export const imageName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/)
/** The public half of an X25519 key: 32 bytes in canonical base64url. */
const publicKey = z.string().regex(/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/)

/**
 * What of a guest kernel is a tenant's own, and stamped into it.
 *
 * @see docs/formats/stamp.md
 */
export const stamped = {
  /** X25519 public keys, base64url: who may read what the kernel seals. */
  logKeys: z
    .array(publicKey)
    .min(1)
    .max(4)
    .refine((keys) => new Set(keys).size === keys.length, 'the same key twice'),
  /** The provider sees how grave alerts are, not what they say. */
  showsSeverity: z.boolean(),
  /** Digest of the compiled rules that the kernel takes, as docs/formats/ruleset.md has it. */
  ruleset: digest.optional(),
  /** At most 16176 bytes, base64url; absent: none. */
  policy: z
    .string()
    .regex(/^[A-Za-z0-9_-]{2,21568}$/)
    .optional()
}

/** Size of a compiled rule set, which the provider's machine keeps beside the server's disk. */
export const rulesetBytes = z.int().min(1).max(RULESET_BYTES_MAX)

export const label = z.string().regex(/^[a-z0-9][a-z0-9._/-]{0,62}$/)

/** What one virtual server gets. The names are those of the kernel's limits. */
export const limits = z.strictObject({
  /** Guaranteed share of one CPU. */
  cpu: z.number().min(0.05).max(64),
  memoryBytes: bytes.min(32 * 2 ** 20),
  diskBytes: bytes.min(16 * 2 ** 20),
  processesMax: z.int().min(8).max(65_536),
  outboundBitsPerSecond: z
    .int()
    .min(0)
    .max(2 ** 40),
  /** Standard output and error kept; the rest is counted and thrown away. */
  outputBytesMax: bytes,
  durationSeconds: z
    .int()
    .min(1)
    .max(366 * 86_400)
})
export type Limits = z.infer<typeof limits>

/**
 * When a program that has ended, or whose guest was lost, is started again: never beyond its lease, and not once
 * somebody has stopped it.
 */
export const restart = z
  .strictObject({
    policy: z.enum(['never', 'on-failure', 'always']),
    /** How often at most; only with `on-failure`. */
    maximum: z.int().min(1).max(1000).exactOptional()
  })
  .refine(
    ({ policy, maximum }) => maximum === undefined || policy === 'on-failure',
    'a maximum is for on-failure'
  )
export type Restart = z.infer<typeof restart>

/** What comes before the end of the lease: a notice to the consumer and, if asked for, a signal to the program. */
export const warning = z.strictObject({
  /** So long before. */
  seconds: z.int().min(1).max(86_400),
  signal: z.int().min(1).max(64).exactOptional()
})
export type Warning = z.infer<typeof warning>
