/**
 * Is this the kernel that was agreed on? Provider and consumer both ask before anything boots, and get the same answer.
 *
 * Every document was verified by itself before. The attackers: a factory that only one side believes; a landlord who
 * shows the manifest of another lease, of another tenant's kernel, or of one that seals to other keys; a tenant who
 * wants the landlord to boot what no factory has made.
 */
import { createHash } from 'node:crypto'
import { CLOCK_SKEW_SECONDS, SECOND_MS } from '../constants.ts'
import { DocumentError, FactoryError } from '../errors.ts'
import type { Acceptance } from './acceptance.ts'
import type { Verified } from './jws.ts'
import type { KernelManifest } from './kernel-manifest.ts'
import type { Lease } from './lease.ts'
import type { Offer } from './offer.ts'

const SERVER_ID_BYTES = 16

/** By what the sealed log names the server of a lease: 32 hex digits. @see docs/formats/stamp.md */
export function logServerId({ iss, aud, runId }: Pick<Lease, 'iss' | 'aud' | 'runId'>): string {
  const hash = createHash('sha256').update(`ishare server\n${iss}/${aud}/${runId}`)
  return hash.digest('hex').slice(0, 2 * SERVER_ID_BYTES)
}

/**
 * The factory that both believe, of several the one that the provider names first; undefined where neither side wants
 * one: a base kernel boots then, which seals nothing.
 *
 * @throws ERR_MANIFEST_UNTRUSTED when one side wants a factory and there is none that both believe
 */
export function agreedFactory(
  { factories }: Pick<Offer, 'factories'>,
  { kernel }: Pick<Acceptance, 'kernel'>
): string | undefined {
  if (factories.length === 0 && kernel === undefined) return undefined
  const agreed = factories.find((factory) => kernel?.factories.includes(factory) === true)
  if (agreed === undefined)
    throw new FactoryError(
      'ERR_MANIFEST_UNTRUSTED',
      `no factory is believed by both: the provider names ${list(factories)}, the consumer ${list(kernel?.factories)}`
    )
  return agreed
}

function list(factories: readonly string[] = []): string {
  return factories.length === 0 ? 'none' : factories.join(', ')
}

/** What was agreed on; each verified. */
export interface Agreement {
  offer: Verified<Offer>
  acceptance: Verified<Acceptance>
  lease: Verified<Lease>
}

/**
 * Does this manifest say of a factory trusted by both sides that the kernel was made for this lease, as the tenant has
 * asked for it?
 *
 * @throws ERR_MANIFEST_UNTRUSTED when its issuer is not the factory of the lease, or not one that both named
 * @throws ERR_DOCUMENT_EXPIRED, ERR_DOCUMENT_NOT_YET_VALID
 * @throws ERR_MANIFEST_MISMATCH when it is for another lease or server, or what is stamped was not asked for
 */
export function checkManifest(
  manifest: Verified<KernelManifest>,
  { offer, acceptance, lease }: Agreement,
  nowMs: number
): void {
  const said = manifest.payload
  const wanted = acceptance.payload.kernel
  const isTrusted =
    said.iss === lease.payload.factory &&
    offer.payload.factories.includes(said.iss) &&
    wanted?.factories.includes(said.iss) === true
  if (wanted === undefined || !isTrusted)
    throw new FactoryError(
      'ERR_MANIFEST_UNTRUSTED',
      `kernel manifest: factory ${said.iss} was not agreed on; the lease names ${lease.payload.factory ?? 'none'}`
    )
  checkTimes(said, lease.payload, nowMs)
  same('leaseDigest', said.leaseDigest, lease.digest)
  same('stamp.serverId', said.stamp.serverId, logServerId(lease.payload))
  same('stamp.logKeys', said.stamp.logKeys.join(), wanted.logKeys.join())
  same('stamp.showsSeverity', String(said.stamp.showsSeverity), String(wanted.showsSeverity))
  same('stamp.ruleset', said.stamp.ruleset, wanted.ruleset)
  same('stamp.policy', said.stamp.policy, wanted.policy)
}

function checkTimes({ iat, exp }: KernelManifest, lease: Lease, nowMs: number): void {
  const now = nowMs / SECOND_MS
  if (exp < now - CLOCK_SKEW_SECONDS)
    throw new DocumentError('ERR_DOCUMENT_EXPIRED', `kernel manifest: expired at ${exp}, it is ${now}`)
  if (iat > now + CLOCK_SKEW_SECONDS)
    throw new DocumentError('ERR_DOCUMENT_NOT_YET_VALID', `kernel manifest: signed at ${iat}, it is ${now}`)
  if (iat < lease.iat - CLOCK_SKEW_SECONDS) same('iat', String(iat), `${lease.iat} or later`)
}

function same(field: string, got: string | undefined, expected: string | undefined): void {
  if (got !== expected)
    throw new FactoryError(
      'ERR_MANIFEST_MISMATCH',
      `kernel manifest: ${field} is ${got ?? 'absent'}, expected ${expected ?? 'none'}`
    )
}
