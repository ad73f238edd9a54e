/**
 * Documents as compact JWS (RFC 7515), signed with the Ed25519 key that is the issuer's peer id (RFC 8037).
 *
 * Goal: whatever comes out of {@link verifyDocument} was said by its issuer, is meant now, and has the shape of
 * its type. The attacker sends any bytes and can see and repeat any document. The steps stand in one order, the
 * cheap ones first, and each failure has a code of its own: size → form (canonical base64url, a header of
 * exactly `alg`, `typ`, `kid`) → signature → issuer → type → times → schema. No key is ever taken from the
 * document or fetched: `kid` is the peer id, and the peer id is the key.
 *
 * The digest of a document is that of its compact form. Base64url must be canonical, so that nobody can give
 * one signed document a second digest.
 */
import { CompactSign, compactVerify, importJWK } from 'jose'
import { CLOCK_SKEW_SECONDS, DOCUMENT_BYTES_MAX, SECOND_MS } from '../constants.ts'
import { DocumentError } from '../errors.ts'
import { publicJwkOf, type Identity } from '../identity/index.ts'
import { digestOf } from './digest.ts'
import { KINDS, typeOf, type DocumentKind, type Payload, type PayloadInput } from './kinds.ts'
import { describeIssues, shorten } from './issues.ts'

/** A document whose signature, times and shape have been checked. */
export interface Verified<P> {
  readonly payload: P
  /** The compact JWS. */
  readonly token: string
  /** `sha256:…` of the token. */
  readonly digest: string
}

export interface VerifyOptions {
  /** Milliseconds since the epoch. @default the clock */
  nowMs?: number
  /** Only a document of this peer will do. */
  issuer?: string
  /** Only a document for this peer will do. */
  audience?: string
}

/** Fields that every payload has. */
interface Claims extends Record<string, unknown> {
  iss: string
}

interface Header {
  alg: string
  typ: string
  kid: string
}

/**
 * Sign `payload`, after checking it as a receiver would.
 *
 * @throws ERR_DOCUMENT_RANGE when a field is missing or out of range
 * @throws ERR_DOCUMENT_ISSUER when `payload.iss` is not the identity's id
 * @throws ERR_DOCUMENT_SIZE when the document would be larger than DOCUMENT_BYTES_MAX
 */
export async function signDocument<K extends DocumentKind>(
  kind: K,
  payload: PayloadInput<K>,
  identity: Identity
): Promise<string> {
  const checked = parsePayload(kind, payload)
  if (checked.iss !== identity.id)
    throw new DocumentError(
      'ERR_DOCUMENT_ISSUER',
      `${kind}: iss is ${checked.iss}, the signer ${identity.id}`
    )
  checkLifetime(kind, checked.iat, checked.exp)
  const token = await new CompactSign(Buffer.from(JSON.stringify(checked)))
    .setProtectedHeader({ alg: 'EdDSA', typ: typeOf(kind), kid: identity.id })
    .sign(identity.signingKey)
  checkSize(kind, token)
  return token
}

/**
 * Check everything that one document says about itself.
 *
 * @param token - compact JWS, at most DOCUMENT_BYTES_MAX long
 * @throws ERR_DOCUMENT_SIZE, ERR_DOCUMENT_FORMAT, ERR_DOCUMENT_CRITICAL (a header field that is not ours),
 * ERR_DOCUMENT_SIGNATURE, ERR_DOCUMENT_ISSUER, ERR_DOCUMENT_TYPE, ERR_DOCUMENT_NOT_YET_VALID,
 * ERR_DOCUMENT_EXPIRED, ERR_DOCUMENT_RANGE, ERR_DOCUMENT_MISMATCH (another audience), in this order
 */
export async function verifyDocument<K extends DocumentKind>(
  kind: K,
  token: string,
  options: VerifyOptions = {}
): Promise<Verified<Payload<K>>> {
  checkSize(kind, token)
  const { header, claims } = decode(kind, token)
  await checkSignature(kind, token, header)
  checkIssuer(kind, header, claims, options.issuer)
  if (header.typ !== typeOf(kind))
    throw new DocumentError('ERR_DOCUMENT_TYPE', `expected ${typeOf(kind)}, got ${shorten(header.typ)}`)
  checkTimes(kind, claims, options.nowMs ?? Date.now())
  const payload = parsePayload(kind, claims)
  if (options.audience !== undefined && 'aud' in payload && payload.aud !== options.audience)
    throw new DocumentError(
      'ERR_DOCUMENT_MISMATCH',
      `${kind}: aud is ${payload.aud}, not ${options.audience}`
    )
  return { payload, token, digest: digestOf(token) }
}

/**
 * Check a document that was verified before and has been kept since: all but its expiry.
 *
 * @throws as {@link verifyDocument}, without ERR_DOCUMENT_EXPIRED and ERR_DOCUMENT_NOT_YET_VALID
 */
export async function verifyKeptDocument<K extends DocumentKind>(
  kind: K,
  token: string,
  options: Omit<VerifyOptions, 'nowMs'> = {}
): Promise<Verified<Payload<K>>> {
  checkSize(kind, token)
  const { iat } = decode(kind, token).claims
  const nowMs = typeof iat === 'number' ? iat * SECOND_MS : 0
  return verifyDocument(kind, token, { ...options, nowMs })
}

function checkSize(kind: DocumentKind, token: string): void {
  // Characters, not bytes: a token with any character beyond ASCII fails in `decode`.
  if (token.length > DOCUMENT_BYTES_MAX)
    throw new DocumentError(
      'ERR_DOCUMENT_SIZE',
      `${kind}: ${token.length} bytes, at most ${DOCUMENT_BYTES_MAX}`
    )
}

function decode(kind: DocumentKind, token: string): { header: Header; claims: Claims } {
  const parts = token.split('.')
  const [header, payload, signature] = parts
  if (parts.length !== 3 || header === undefined || payload === undefined || signature === undefined)
    throw new DocumentError('ERR_DOCUMENT_FORMAT', `${kind}: not a compact JWS`)
  decodeBase64url(kind, signature)
  return {
    header: checkHeader(kind, parseObject(kind, decodeBase64url(kind, header))),
    claims: checkClaims(kind, parseObject(kind, decodeBase64url(kind, payload)))
  }
}

function decodeBase64url(kind: DocumentKind, text: string): Uint8Array {
  const data = Buffer.from(text, 'base64url')
  if (data.toString('base64url') !== text)
    throw new DocumentError('ERR_DOCUMENT_FORMAT', `${kind}: not canonical base64url`)
  return data
}

function parseObject(kind: DocumentKind, data: Uint8Array): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data))
  } catch {
    throw new DocumentError('ERR_DOCUMENT_FORMAT', `${kind}: not JSON in UTF-8`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new DocumentError('ERR_DOCUMENT_FORMAT', `${kind}: not a JSON object`)
  return value as Record<string, unknown>
}

/** Fields that we do not know may change what the document means: none is let pass, critical or not. */
function checkHeader(kind: DocumentKind, header: Record<string, unknown>): Header {
  const unknown = Object.keys(header).filter((name) => !['alg', 'typ', 'kid'].includes(name))
  if (unknown.length > 0)
    throw new DocumentError(
      'ERR_DOCUMENT_CRITICAL',
      `${kind}: unknown header field ${shorten(unknown.join(', '))}`
    )
  const { alg, typ, kid } = header
  if (typeof alg !== 'string' || typeof typ !== 'string' || typeof kid !== 'string')
    throw new DocumentError('ERR_DOCUMENT_FORMAT', `${kind}: the header needs alg, typ and kid`)
  return { alg, typ, kid }
}

function checkClaims(kind: DocumentKind, claims: Record<string, unknown>): Claims {
  if (typeof claims['iss'] !== 'string') throw new DocumentError('ERR_DOCUMENT_FORMAT', `${kind}: no issuer`)
  return { ...claims, iss: claims['iss'] }
}

async function checkSignature(kind: DocumentKind, token: string, { alg, kid }: Header): Promise<void> {
  if (alg !== 'EdDSA')
    throw new DocumentError('ERR_DOCUMENT_SIGNATURE', `${kind}: expected alg EdDSA, got ${shorten(alg)}`)
  try {
    await compactVerify(token, await importJWK({ ...publicJwkOf(kid) }, 'EdDSA'), { algorithms: ['EdDSA'] })
  } catch (error) {
    throw new DocumentError('ERR_DOCUMENT_SIGNATURE', `${kind}: not signed by ${shorten(kid)}`, {
      cause: error
    })
  }
}

function checkIssuer(
  kind: DocumentKind,
  { kid }: Header,
  { iss }: Claims,
  expected: string | undefined
): void {
  if (iss !== kid)
    throw new DocumentError(
      'ERR_DOCUMENT_ISSUER',
      `${kind}: signed by ${shorten(kid)} in the name of ${shorten(iss)}`
    )
  if (expected !== undefined && iss !== expected)
    throw new DocumentError('ERR_DOCUMENT_ISSUER', `${kind}: of ${shorten(iss)}, expected one of ${expected}`)
}

function checkTimes(kind: DocumentKind, { iat, exp }: Claims, nowMs: number): void {
  if (!Number.isSafeInteger(iat) || !Number.isSafeInteger(exp))
    throw new DocumentError('ERR_DOCUMENT_RANGE', `${kind}: iat and exp must be whole seconds`)
  const [issued, expires, now] = [iat as number, exp as number, nowMs / SECOND_MS]
  if (issued > now + CLOCK_SKEW_SECONDS)
    throw new DocumentError(
      'ERR_DOCUMENT_NOT_YET_VALID',
      `${kind}: issued ${Math.round(issued - now)} s in the future; is a clock wrong?`
    )
  if (expires <= now - CLOCK_SKEW_SECONDS)
    throw new DocumentError('ERR_DOCUMENT_EXPIRED', `${kind}: expired ${Math.round(now - expires)} s ago`)
  checkLifetime(kind, issued, expires)
}

function checkLifetime(kind: DocumentKind, iat: number, exp: number): void {
  const max = KINDS[kind].lifetimeSecondsMax
  if (exp <= iat || exp - iat > max)
    throw new DocumentError(
      'ERR_DOCUMENT_RANGE',
      `${kind}: exp must be 1 to ${max} s after iat, is ${exp - iat}`
    )
}

function parsePayload<K extends DocumentKind>(kind: K, value: unknown): Payload<K> {
  const result = KINDS[kind].schema.safeParse(value)
  if (result.success) return result.data as Payload<K>
  throw new DocumentError('ERR_DOCUMENT_RANGE', `${kind}: ${describeIssues(result.error)}`)
}
