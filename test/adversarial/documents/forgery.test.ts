/**
 * Attacker: anyone on the network, with keys of its own, every document ever sent, and any bytes it likes.
 * Asset: the belief that a verified document was said by its issuer, now, and to us.
 * Expected: each forgery is refused with the code that says what is wrong, the first check that fails deciding.
 */
import { createHmac } from 'node:crypto'
import { expect } from 'chai'
import { CompactSign } from 'jose'
import { DOCUMENT_BYTES_MAX } from '../../../src/constants.ts'
import { signDocument, verifyDocument } from '../../../src/documents/index.ts'
import { createIdentity, publicJwkOf, type Identity } from '../../../src/identity/index.ts'
import { sampleAcceptance, sampleOffer, signed } from '../../helpers/documents.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** A correctly signed token of any header and payload. */
async function forge(signer: Identity, payload: unknown, header: object = {}): Promise<string> {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const input = `${encode({ alg: 'EdDSA', typ: 'ishare-offer+jws', kid: signer.id, ...header })}.${encode(text)}`
  const signature = await signer.privateKey.sign(Buffer.from(input))
  return `${input}.${Buffer.from(signature).toString('base64url')}`
}

describe('adversarial: forged documents', () => {
  let provider: Identity
  let mallory: Identity
  before(async () => {
    ;[provider, mallory] = [await createIdentity(), await createIdentity()]
  })
  const codeFor = async (token: string, kind: 'offer' | 'acceptance' = 'offer') =>
    codeOf(() => verifyDocument(kind, token))

  it('the helper of this test makes tokens that verify when nothing is wrong', async () => {
    await verifyDocument('offer', await forge(provider, sampleOffer(provider)))
  })

  it('of another key than the issuer named are refused', async () => {
    const offer = sampleOffer(provider)
    expect(await codeFor(await forge(mallory, offer))).to.equal('ERR_DOCUMENT_ISSUER')
    expect(await codeFor(await forge(mallory, offer, { kid: provider.id }))).to.equal(
      'ERR_DOCUMENT_SIGNATURE'
    )
    const error = await errorOf(async () =>
      verifyDocument('offer', await forge(mallory, sampleOffer(mallory)), { issuer: provider.id })
    )
    expect(error).to.have.property('code', 'ERR_DOCUMENT_ISSUER')
  })

  it('with one character changed anywhere are refused', async () => {
    const token = await signDocument('offer', sampleOffer(provider), provider)
    for (let at = 0; at < token.length; at += 7) {
      const other = token[at] === 'A' ? 'B' : 'A'
      const code = await codeFor(token.slice(0, at) + other + token.slice(at + 1))
      expect(code, `at ${at}`).to.match(/^ERR_DOCUMENT_(FORMAT|SIGNATURE|CRITICAL)$/)
    }
  })

  it('without a signature, or with the public key as an HMAC secret, are refused', async () => {
    const body = encode(sampleOffer(provider))
    const none = `${encode({ alg: 'none', typ: 'ishare-offer+jws', kid: provider.id })}.${body}.`
    expect(await codeFor(none)).to.equal('ERR_DOCUMENT_SIGNATURE')
    const input = `${encode({ alg: 'HS256', typ: 'ishare-offer+jws', kid: provider.id })}.${body}`
    const mac = createHmac('sha256', Buffer.from(publicJwkOf(provider.id).x, 'base64url'))
      .update(input)
      .digest('base64url')
    expect(await codeFor(`${input}.${mac}`)).to.equal('ERR_DOCUMENT_SIGNATURE')
    expect(
      await codeFor(`${encode({ alg: 'EdDSA', typ: 'ishare-offer+jws', kid: provider.id })}.${body}.`)
    ).to.equal('ERR_DOCUMENT_SIGNATURE')
  })

  it('that bring their own key, or any other header field, are refused', async () => {
    const offer = sampleOffer(provider)
    const jwk = publicJwkOf(mallory.id)
    for (const header of [
      { jwk },
      { jku: 'http://127.0.0.1/' },
      { crit: ['exp'], exp: 1 },
      { crit: [] },
      { b64: false },
      { zip: 'DEF' }
    ])
      expect(await codeFor(await forge(mallory, offer, { kid: provider.id, ...header }))).to.equal(
        'ERR_DOCUMENT_CRITICAL'
      )
    for (const kid of ['', '../../etc/passwd', '1'.repeat(20_000), `${provider.id} `])
      expect(await codeFor(await forge(mallory, offer, { kid }))).to.equal('ERR_DOCUMENT_SIGNATURE')
  })

  it('of one kind do not pass for another', async () => {
    const offer = await signed('offer', sampleOffer(provider), provider)
    expect(await codeFor(offer.token, 'acceptance')).to.equal('ERR_DOCUMENT_TYPE')
    expect(await codeFor(await forge(provider, sampleOffer(provider), { typ: 'JWT' }))).to.equal(
      'ERR_DOCUMENT_TYPE'
    )
  })

  it('for another peer are refused', async () => {
    const offer = await signed('offer', sampleOffer(provider), provider)
    const token = await signDocument('acceptance', sampleAcceptance(mallory, offer), mallory)
    await verifyDocument('acceptance', token, { audience: provider.id })
    expect(await codeOf(() => verifyDocument('acceptance', token, { audience: mallory.id }))).to.equal(
      'ERR_DOCUMENT_MISMATCH'
    )
  })

  it('that never expire, expired, or are of tomorrow are refused', async () => {
    const offer = sampleOffer(provider)
    const expectCode = async (changes: object, code: string) =>
      expect(
        await codeFor(await forge(provider, { ...offer, ...changes })),
        JSON.stringify(changes)
      ).to.equal(code)
    await expectCode({ exp: offer.iat + 366 * 86_400 }, 'ERR_DOCUMENT_RANGE')
    await expectCode({ exp: 1e300 }, 'ERR_DOCUMENT_RANGE')
    await expectCode({ exp: '2999' }, 'ERR_DOCUMENT_RANGE')
    await expectCode({ exp: undefined }, 'ERR_DOCUMENT_RANGE')
    await expectCode({ iat: offer.iat - 7200, exp: offer.iat - 3600 }, 'ERR_DOCUMENT_EXPIRED')
    await expectCode({ iat: offer.iat + 86_400, exp: offer.iat + 90_000 }, 'ERR_DOCUMENT_NOT_YET_VALID')
    await expectCode({ exp: offer.iat - 10 }, 'ERR_DOCUMENT_RANGE')
  })

  it('with a second spelling of the same bytes are refused, so that the digest stands for one document', async () => {
    const token = await signDocument('offer', sampleOffer(provider), provider)
    const last = token.at(-1)!
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    // 64 bytes leave 4 unused bits in the last character.
    const twin = token.slice(0, -1) + alphabet[alphabet.indexOf(last) + 1]!
    for (const spelling of [
      twin,
      `${token}=`,
      `${token}==`,
      ` ${token}`,
      `${token}\n`,
      token.replace('.', '.\n')
    ])
      expect(await codeFor(spelling)).to.equal('ERR_DOCUMENT_FORMAT')
  })

  it('too large are refused before they are looked at, deep ones do no harm', async () => {
    expect(await codeFor('A'.repeat(DOCUMENT_BYTES_MAX + 1))).to.equal('ERR_DOCUMENT_SIZE')
    expect(await codeFor('.'.repeat(DOCUMENT_BYTES_MAX))).to.equal('ERR_DOCUMENT_FORMAT')
    const depth = 10_000
    const deep = `{"iss":"x","labels":${'['.repeat(depth)}${']'.repeat(depth)}}`
    expect(await codeFor(await forge(mallory, deep))).to.equal('ERR_DOCUMENT_ISSUER')
    const offer = JSON.stringify(sampleOffer(mallory)).replace(
      '"labels":',
      `"labels":${'['.repeat(depth)}${']'.repeat(depth)},"x":`
    )
    expect(await codeFor(await forge(mallory, offer))).to.equal('ERR_DOCUMENT_RANGE')
  })

  it('that reach for the prototype leave it alone', async () => {
    const text = JSON.stringify(sampleOffer(mallory)).replace('{', '{"__proto__":{"polluted":true},')
    expect(await codeFor(await forge(mallory, text))).to.equal('ERR_DOCUMENT_RANGE')
    const who =
      '{"kind":"token","issuer":"i","jwk":{"kty":"OKP","crv":"Ed25519","x":"' +
      publicJwkOf(mallory.id).x +
      '"},"claims":{"__proto__":true,"constructor":"c"}}'
    const offer = JSON.stringify(sampleOffer(mallory)).replace('{"kind":"anyone"}', who)
    const { payload } = await verifyDocument('offer', await forge(mallory, offer))
    expect(Object.getPrototypeOf((payload.rules.who as { claims: object }).claims)).to.be.oneOf([
      null,
      Object.prototype
    ])
    expect(({} as Record<string, unknown>)['polluted']).to.equal(undefined)
  })

  it('in another encoding than UTF-8 are refused', async () => {
    const input = Buffer.concat([Buffer.from('{"iss":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')])
    const header = { alg: 'EdDSA', typ: 'ishare-offer+jws', kid: mallory.id }
    const token = await new CompactSign(input).setProtectedHeader(header).sign(mallory.signingKey)
    expect(await codeFor(token)).to.equal('ERR_DOCUMENT_FORMAT')
    expect(await codeFor(await forge(mallory, '\u{feff}{"iss":"x"}'))).to.equal('ERR_DOCUMENT_FORMAT')
    expect(await codeFor(await forge(mallory, '[]'))).to.equal('ERR_DOCUMENT_FORMAT')
    expect(await codeFor(await forge(mallory, 'null'))).to.equal('ERR_DOCUMENT_FORMAT')
    expect(await codeFor(await forge(mallory, '{"iss":1}'))).to.equal('ERR_DOCUMENT_FORMAT')
  })

  it('wrong in many ways are refused for the first of them', async () => {
    const wrong = { ...sampleOffer(provider), iat: 1, exp: 2, seq: -1 }
    expect(await codeFor(await forge(mallory, wrong, { kid: provider.id, typ: 'x' }))).to.equal(
      'ERR_DOCUMENT_SIGNATURE'
    )
    expect(await codeFor(await forge(mallory, wrong, { typ: 'x' }))).to.equal('ERR_DOCUMENT_ISSUER')
    expect(await codeFor(await forge(provider, wrong, { typ: 'x' }))).to.equal('ERR_DOCUMENT_TYPE')
    expect(await codeFor(await forge(provider, wrong))).to.equal('ERR_DOCUMENT_EXPIRED')
    const now = sampleOffer(provider)
    expect(await codeFor(await forge(provider, { ...now, seq: -1 }))).to.equal('ERR_DOCUMENT_RANGE')
  })

  it('never put control characters or long text of theirs into the message', async () => {
    const nasty = `\u001b[2J\u202e${'x'.repeat(5000)}`
    for (const token of [
      await forge(mallory, { iss: nasty }),
      await forge(mallory, { ...sampleOffer(mallory), [nasty]: 1 }),
      await forge(mallory, sampleOffer(mallory), { [nasty]: 1 }),
      await forge(mallory, sampleOffer(mallory), { typ: nasty })
    ]) {
      const { message } = await errorOf(() => verifyDocument('offer', token))
      expect(message).to.not.match(/\p{C}/u)
      expect(message.length).to.be.below(400)
    }
  })
})
