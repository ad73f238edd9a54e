/**
 * @packageDocumentation
 *
 * The documents that cross the wire: what each says (zod schemas; JSON Schemas in docs/schemas), how it is
 * signed and verified, and how they bind to each other: offer ← acceptance ← lease ← receipt.
 */
export type { Acceptance } from './acceptance.ts'
export { checkAcceptance, checkLease, checkReceipt, offeredImage } from './agreement.ts'
export { digestOf } from './digest.ts'
export type { Limits, Restart, Warning } from './fields.ts'
export { signDocument, verifyDocument, verifyKeptDocument, type Verified, type VerifyOptions } from './jws.ts'
export type { DocumentKind, Payload, PayloadInput } from './kinds.ts'
export { agreedFactory, checkManifest, logServerId } from './kernel-agreement.ts'
export { kernelInputs, type KernelInputs, type KernelManifest } from './kernel-manifest.ts'
export type { Lease } from './lease.ts'
export type { Offer } from './offer.ts'
export type { Receipt } from './receipt.ts'
export type { LogAnchor } from './log-anchor.ts'
export { newestSequence, seenBefore, type NewestSequence, type SeenBefore } from './seen-before.ts'
