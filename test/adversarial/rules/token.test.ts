/**
 * Attacker: a peer without a token of the issuer that the rules name, or with one that was made for somebody else.
 * Asset: the slice that only holders of such a token may use.
 * Expected: refused, whatever the token claims about itself; no key is taken from the token or fetched.
 */
import { expect } from 'chai'
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { createIdentity, publicJwkOf } from '../../../src/identity/index.ts'
import { accessRules, evaluate, verifyAccessToken, type AccessRules } from '../../../src/rules/index.ts'
import { sampleLimits } from '../../helpers/documents.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'

const ISSUER = 'https://lab.example'

function rulesFor(jwk: object): AccessRules {
  return accessRules.parse({
    who: { kind: 'token', issuer: ISSUER, jwk, claims: { group: 'physics' } },
    perRun: sampleLimits(),
    egress: { kind: 'none' },
    concurrentRunsPerPeer: 1,
    mayFreeze: false
  })
}

async function scene() {
  const [issuer, ann, bob, provider] = await Promise.all([
    createIdentity(),
    createIdentity(),
    createIdentity(),
    createIdentity()
  ])
  const rules = rulesFor(publicJwkOf(issuer.id))
  const holder = { peer: ann.id, provider: provider.id, nowMs: Date.now() }
  const token = (claims: Record<string, unknown>, key = issuer.signingKey, alg = 'EdDSA') => {
    const jwt = new SignJWT({ group: 'physics', ...claims }).setProtectedHeader({ alg })
    if (!('iss' in claims)) jwt.setIssuer(ISSUER)
    if (!('exp' in claims)) jwt.setExpirationTime('1h')
    return jwt.sign(key)
  }
  return { issuer, ann, bob, provider, rules, holder, token }
}

describe('adversarial: access tokens', () => {
  it('that hold let their holder in', async () => {
    const { ann, provider, rules, holder, token } = await scene()
    for (const bound of [
      { sub: ann.id },
      { sub: 'ann@lab', cnf: { kid: ann.id } },
      { sub: ann.id, aud: [provider.id] }
    ]) {
      const claims = await verifyAccessToken(rules, await token(bound), holder)
      const request = { peer: ann.id, limits: sampleLimits(), runsOfPeer: 0, ...(claims && { claims }) }
      expect(evaluate(rules, request, Date.now()).allowed).to.equal(true)
    }
  })

  it('of EC keys hold as well', async () => {
    const { ann, holder, token } = await scene()
    const pair = await generateKeyPair('ES256', { extractable: true })
    const { kty, crv, x, y } = await exportJWK(pair.publicKey)
    const rules = rulesFor({ kty, crv, x, y })
    const claims = await verifyAccessToken(
      rules,
      await token({ sub: ann.id }, pair.privateKey, 'ES256'),
      holder
    )
    expect(claims).to.have.property('group', 'physics')
  })

  it('are not asked for where the rules ask for none, and leave nobody in when missing', async () => {
    const { ann, rules, holder } = await scene()
    expect(await verifyAccessToken(rules, undefined, holder)).to.equal(undefined)
    expect(
      evaluate(rules, { peer: ann.id, limits: sampleLimits(), runsOfPeer: 0 }, Date.now()).allowed
    ).to.equal(false)
    expect(await verifyAccessToken({ ...rules, who: { kind: 'anyone' } }, 'rubbish', holder)).to.equal(
      undefined
    )
  })

  it('that do not hold are refused', async () => {
    const { ann, bob, provider, rules, holder, token } = await scene()
    const mallory = await createIdentity()
    const unsecured = new UnsecuredJWT({ group: 'physics', sub: ann.id })
      .setIssuer(ISSUER)
      .setExpirationTime('1h')
      .encode()
    const ownKey = new SignJWT({ group: 'physics', sub: ann.id })
      .setIssuer(ISSUER)
      .setExpirationTime('1h')
      .setProtectedHeader({ alg: 'EdDSA', jwk: { ...publicJwkOf(mallory.id) } })
      .sign(mallory.signingKey)
    const bad: Record<string, string> = {
      'of another key': await token({ sub: ann.id }, mallory.signingKey),
      'with its own key': await ownKey,
      unsecured,
      'of another issuer': await token({ sub: ann.id, iss: 'https://other' }),
      'without an issuer': await token({ sub: ann.id, iss: undefined }),
      expired: await token({ sub: ann.id, exp: 1000 }),
      'that never expires': await token({ sub: ann.id, exp: undefined }),
      'of tomorrow': await token({ sub: ann.id, nbf: Math.floor(Date.now() / 1000) + 86_400 }),
      'of somebody else': await token({ sub: bob.id }),
      'bound to somebody else': await token({ sub: 'ann', cnf: { kid: bob.id } }),
      'bound to nobody': await token({}),
      'for another provider': await token({ sub: ann.id, aud: bob.id }),
      'for other providers': await token({ sub: ann.id, aud: [bob.id, `${provider.id}x`] }),
      empty: '',
      rubbish: 'a.b.c',
      long: 'a'.repeat(1_000_000)
    }
    for (const [name, text] of Object.entries(bad)) {
      expect(await codeOf(() => verifyAccessToken(rules, text, holder)), name).to.equal('ERR_RULES_REFUSED')
      expect((await errorOf(() => verifyAccessToken(rules, text, holder))).reasons, name).to.have.lengthOf(1)
    }
  })
})
