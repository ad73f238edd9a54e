/**
 * What documents say about each other: acceptance to offer, lease to acceptance, receipt to lease.
 *
 * Each one was verified by itself; the attacker here is its honest signer's counterpart, who signs something
 * else than was agreed. Each check names the field.
 */
import { isDeepStrictEqual } from 'node:util'
import { CLOCK_SKEW_SECONDS } from '../constants.ts'
import { DocumentError, RunError } from '../errors.ts'
import type { Acceptance } from './acceptance.ts'
import type { Lease } from './lease.ts'
import type { Offer } from './offer.ts'
import type { Receipt } from './receipt.ts'
import type { Verified } from './jws.ts'

/**
 * Does this acceptance answer this offer?
 *
 * @throws ERR_DOCUMENT_MISMATCH when it names another provider, offer or terms, or an image that is not offered
 */
export function checkAcceptance(acceptance: Verified<Acceptance>, offer: Verified<Offer>): void {
  const said = acceptance.payload
  same('acceptance', 'aud', said.aud, offer.payload.iss)
  same('acceptance', 'offerDigest', said.offerDigest, offer.digest)
  same('acceptance', 'termsDigest', said.termsDigest, offer.payload.terms.digest)
  if (offeredImage(offer.payload, said.request.image) === undefined)
    throw new DocumentError('ERR_DOCUMENT_MISMATCH', `acceptance: image ${said.request.image} is not offered`)
}

/** The image of an offer by name or digest. */
export function offeredImage(offer: Offer, image: string): Offer['images'][number] | undefined {
  return offer.images.find(({ name, digest }) => name === image || digest === image)
}

/**
 * Does this lease grant what this acceptance asked for, for long enough?
 *
 * @throws ERR_DOCUMENT_MISMATCH when it answers another acceptance, run, consumer or nonce, or comes from
 * another provider
 * @throws ERR_LEASE_MISMATCH when it answers this one, but grants other limits, another image, another factory's
 * kernel, something else outside than the offer's rules, or too short a time
 */
export function checkLease(
  lease: Verified<Lease>,
  acceptance: Verified<Acceptance>,
  offer?: Verified<Offer>
): void {
  const [granted, asked] = [lease.payload, acceptance.payload]
  same('lease', 'iss', granted.iss, asked.aud)
  same('lease', 'aud', granted.aud, asked.iss)
  same('lease', 'acceptanceDigest', granted.acceptanceDigest, acceptance.digest)
  same('lease', 'nonce', granted.nonce, asked.nonce)
  same('lease', 'runId', granted.runId, asked.runId)
  for (const name of Object.keys(asked.request.limits) as (keyof Lease['limits'])[])
    if (granted.limits[name] !== asked.request.limits[name])
      lied(`limits.${name}`, granted.limits[name], asked.request.limits[name])
  for (const name of ['restart', 'warning', 'rulesetBytes'] as const)
    if (!isDeepStrictEqual(granted[name], asked.request[name]))
      lied(name, JSON.stringify(granted[name] ?? null), JSON.stringify(asked.request[name] ?? null))
  checkLeasedImage(granted, asked.request.image, offer)
  if (offer !== undefined) checkLeasedOutside(granted, offer.payload)
  checkLeasedFactory(granted, asked, offer)
  const needed = granted.iat + asked.request.limits.durationSeconds
  if (granted.exp < needed) lied('exp', granted.exp, `${needed} or later`)
}

/** A name is resolved by the accepted offer, so that the provider cannot put another image under it. */
function checkLeasedImage(lease: Lease, asked: string, offer: Verified<Offer> | undefined): void {
  const { name, digest } = lease.image
  if (asked !== name && asked !== digest) lied('image', `${name} ${digest}`, asked)
  const offered = offer === undefined ? undefined : offeredImage(offer.payload, asked)
  if (offered !== undefined && offered.digest !== digest) lied('image.digest', digest, offered.digest)
}

/** The accepted rules say what a server has outside: a lease says the same, no less and no more. */
function checkLeasedOutside(lease: Lease, { rules }: Offer): void {
  for (const name of ['egress', 'inboundPorts'] as const)
    if (!isDeepStrictEqual(lease[name], rules[name]))
      lied(name, JSON.stringify(lease[name]), JSON.stringify(rules[name]))
}

/** One that the consumer believes and the offer named, or none where none was asked for. */
function checkLeasedFactory(
  { factory }: Lease,
  { kernel }: Acceptance,
  offer: Verified<Offer> | undefined
): void {
  if (kernel === undefined && factory === undefined) return
  const isAgreed =
    factory !== undefined &&
    kernel?.factories.includes(factory) === true &&
    offer?.payload.factories.includes(factory) !== false
  if (!isAgreed) lied('factory', factory ?? 'absent', kernel?.factories.join(' or ') ?? 'none')
}

/**
 * Is this the receipt of this lease?
 *
 * @throws ERR_DOCUMENT_MISMATCH when it comes from another provider, is for another consumer, run or lease, or
 * speaks of a time before the lease
 */
export function checkReceipt(receipt: Verified<Receipt>, lease: Verified<Lease>): void {
  const [said, granted] = [receipt.payload, lease.payload]
  same('receipt', 'iss', said.iss, granted.iss)
  same('receipt', 'aud', said.aud, granted.aud)
  same('receipt', 'runId', said.runId, granted.runId)
  same('receipt', 'leaseDigest', said.leaseDigest, lease.digest)
  for (const name of ['startedAt', 'endedAt'] as const) {
    const time = said[name]
    if (time !== undefined && time < granted.iat - CLOCK_SKEW_SECONDS)
      throw new DocumentError(
        'ERR_DOCUMENT_MISMATCH',
        `receipt: ${name} ${time} is before the lease, ${granted.iat}`
      )
  }
}

function same(document: string, field: string, got: string, expected: string): void {
  if (got !== expected)
    throw new DocumentError('ERR_DOCUMENT_MISMATCH', `${document}: ${field} is ${got}, expected ${expected}`)
}

function lied(field: string, got: string | number, expected: string | number): never {
  throw new RunError('ERR_LEASE_MISMATCH', `lease: ${field} is ${got}, asked for was ${expected}`)
}
