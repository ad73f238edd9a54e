import { importJWK, jwtVerify, type JWTPayload } from 'jose'
import { CLOCK_SKEW_SECONDS } from '../constants.ts'
import { RulesError } from '../errors.ts'
import type { AccessRules } from './schema.ts'

/** What a verified token says. */
export type AccessClaims = JWTPayload

export interface TokenHolder {
  /** Who shows the token. */
  peer: string
  /** To whom: the provider's peer id. */
  provider: string
  nowMs: number
}

const TOKEN_LENGTH_MAX = 8192

/**
 * Check the signature, times, issuer and holder of an access token (JWT, RFC 7519), so that `evaluate` can go
 * on with what it says. Resolves with `undefined` where the rules ask for no token, or none was given.
 *
 * The token must be bound to the peer that shows it: `sub` is its peer id, or `cnf.kid` is (RFC 7800).
 * Otherwise a provider could take it to the next one and pass for its holder. `exp` must be there; `aud`, where
 * present, must name the provider.
 *
 * @throws ERR_RULES_REFUSED when the token does not hold; `reasons` says why
 */
export async function verifyAccessToken(
  rules: AccessRules,
  token: string | undefined,
  holder: TokenHolder
): Promise<AccessClaims | undefined> {
  if (rules.who.kind !== 'token' || token === undefined) return undefined
  const { issuer, jwk } = rules.who
  const claims = await verifyToken(token, issuer, jwk, holder.nowMs)
  if (claims.sub !== holder.peer && confirmedKey(claims) !== holder.peer)
    throw refused('the token is not bound to this peer: sub or cnf.kid must be its peer id')
  const { aud } = claims
  if (aud !== undefined && ![aud].flat().includes(holder.provider))
    throw refused('the token is for another audience')
  return claims
}

async function verifyToken(
  token: string,
  issuer: string,
  jwk: (AccessRules['who'] & { kind: 'token' })['jwk'],
  nowMs: number
): Promise<JWTPayload> {
  if (token.length > TOKEN_LENGTH_MAX) throw refused('the token is too long')
  // The key says the algorithm; the token does not choose.
  const algorithm = jwk.kty === 'OKP' ? 'EdDSA' : 'ES256'
  try {
    const { payload } = await jwtVerify(token, await importJWK({ ...jwk }, algorithm), {
      issuer,
      algorithms: [algorithm],
      requiredClaims: ['exp'],
      clockTolerance: CLOCK_SKEW_SECONDS,
      currentDate: new Date(nowMs)
    })
    return payload
  } catch (error) {
    throw refused(`the token does not hold (${codeOf(error)})`, error)
  }
}

function confirmedKey({ cnf }: JWTPayload): unknown {
  return typeof cnf === 'object' && cnf !== null && 'kid' in cnf ? cnf.kid : undefined
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'not a JWT'
}

function refused(reason: string, cause?: unknown): RulesError {
  return new RulesError('ERR_RULES_REFUSED', reason, [reason], { cause })
}
