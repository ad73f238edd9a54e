import type { z } from 'zod'
import { DAY_MS, HOUR_MS, SECOND_MS } from '../constants.ts'
import { acceptance } from './acceptance.ts'
import { kernelManifest } from './kernel-manifest.ts'
import { lease } from './lease.ts'
import { logAnchor } from './log-anchor.ts'
import { offer } from './offer.ts'
import { receipt } from './receipt.ts'

/**
 * Every kind of document: the schema of its payload, and how long one may be valid at most. A stranger's
 * document cannot be kept alive for ever, nor fill the memory of what was seen before.
 */
export const KINDS = {
  offer: { schema: offer, lifetimeSecondsMax: (7 * DAY_MS) / SECOND_MS },
  acceptance: { schema: acceptance, lifetimeSecondsMax: HOUR_MS / SECOND_MS },
  lease: { schema: lease, lifetimeSecondsMax: (400 * DAY_MS) / SECOND_MS },
  'kernel-manifest': { schema: kernelManifest, lifetimeSecondsMax: (400 * DAY_MS) / SECOND_MS },
  'log-anchor': { schema: logAnchor, lifetimeSecondsMax: (3660 * DAY_MS) / SECOND_MS },
  /** A proof that both sides keep. */
  receipt: { schema: receipt, lifetimeSecondsMax: (3660 * DAY_MS) / SECOND_MS }
} as const

export type DocumentKind = keyof typeof KINDS
/** What a verified document of the kind says. */
export type Payload<K extends DocumentKind> = z.output<(typeof KINDS)[K]['schema']>
/** What is given to sign one: fields with a default may be left out. */
export type PayloadInput<K extends DocumentKind> = z.input<(typeof KINDS)[K]['schema']>

/** `typ` of the JWS header. @see RFC 7515 section 4.1.9 */
export function typeOf(kind: DocumentKind): string {
  return `ishare-${kind}+jws`
}
