import { expect } from 'chai'
import fc from 'fast-check'
import { signDocument, verifyDocument, verifyKeptDocument, digestOf } from '../../../src/documents/index.ts'
import { createIdentity } from '../../../src/identity/index.ts'
import { sampleAcceptance, sampleLease, sampleOffer, sampleReceipt, signed } from '../../helpers/documents.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'

describe('documents: signing and verifying', () => {
  it('gives back what was said, for every kind, with the digest of the token', async () => {
    const [provider, consumer] = [await createIdentity(), await createIdentity()]
    const offer = await signed('offer', sampleOffer(provider), provider)
    const acceptance = await signed('acceptance', sampleAcceptance(consumer, offer), consumer)
    const lease = await signed('lease', sampleLease(acceptance), provider)
    const receipt = await signed('receipt', sampleReceipt(lease), provider)
    expect(offer.payload).to.deep.include({ iss: provider.id, labels: ['physics', 'eu/de'] })
    expect(offer.payload.rules).to.deep.include({ windows: [], timeZone: 'UTC', inboundPorts: [] })
    expect(receipt.payload.leaseDigest).to.equal(lease.digest)
    for (const document of [offer, acceptance, lease, receipt])
      expect(document.digest).to.equal(digestOf(document.token))
  })

  it('names the type and the signer in the header, and nothing else', async () => {
    const provider = await createIdentity()
    const token = await signDocument('offer', sampleOffer(provider), provider)
    const header: unknown = JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString())
    expect(header).to.deep.equal({ alg: 'EdDSA', typ: 'ishare-offer+jws', kid: provider.id })
  })

  it('refuses to sign what a receiver would refuse', async () => {
    const [provider, other] = [await createIdentity(), await createIdentity()]
    const offer = sampleOffer(provider)
    expect(await codeOf(() => signDocument('offer', offer, other))).to.equal('ERR_DOCUMENT_ISSUER')
    expect(await codeOf(() => signDocument('offer', { ...offer, seq: -1 }, provider))).to.equal(
      'ERR_DOCUMENT_RANGE'
    )
    expect(await codeOf(() => signDocument('offer', { ...offer, exp: offer.iat }, provider))).to.equal(
      'ERR_DOCUMENT_RANGE'
    )
    const huge = {
      ...offer,
      images: [],
      addresses: Array.from({ length: 32 }, () => '\u{1f4a5}'.repeat(256))
    }
    const text = '\u{1f4a5}'.repeat(8192)
    const terms = { text, digest: digestOf(text) }
    expect(await codeOf(() => signDocument('offer', { ...huge, terms }, provider))).to.equal(
      'ERR_DOCUMENT_SIZE'
    )
  })

  it('lets clocks differ by a minute, and no more', async () => {
    const provider = await createIdentity()
    const offer = sampleOffer(provider)
    const token = await signDocument('offer', offer, provider)
    const at = (seconds: number) => codeOf(() => verifyDocument('offer', token, { nowMs: seconds * 1000 }))
    await verifyDocument('offer', token, { nowMs: (offer.iat - 60) * 1000 })
    await verifyDocument('offer', token, { nowMs: (offer.exp + 59) * 1000 })
    expect(await at(offer.iat - 61)).to.equal('ERR_DOCUMENT_NOT_YET_VALID')
    expect(await at(offer.exp + 60)).to.equal('ERR_DOCUMENT_EXPIRED')
  })

  it('reads a kept document after its expiry, but not one that was changed', async () => {
    const provider = await createIdentity()
    const token = await signDocument('offer', sampleOffer(provider, { iat: 1000, exp: 2000 }), provider)
    expect(await codeOf(() => verifyDocument('offer', token))).to.equal('ERR_DOCUMENT_EXPIRED')
    expect((await verifyKeptDocument('offer', token)).payload.exp).to.equal(2000)
    const changed = token.replace(/.{4}$/, 'AAAA')
    expect(await codeOf(() => verifyKeptDocument('offer', changed))).to.match(
      /^ERR_DOCUMENT_(FORMAT|SIGNATURE)$/
    )
  })

  it('names the field that is out of range, in bounded text', async () => {
    const provider = await createIdentity()
    const offer = sampleOffer(provider)
    const cases: [object, RegExp][] = [
      [{ slice: { ...offer.slice, cpu: 0 } }, /slice\.cpu/],
      [{ labels: ['ok', 'not ok'] }, /labels\.1/],
      [
        { rules: { ...offer.rules, perRun: { ...offer.rules.perRun, cpu: 3 } } },
        /rules\.perRun\.cpu: 3 is more than the slice has, 2/
      ],
      [{ rules: { ...offer.rules, timeZone: 'Mars/Olympus' } }, /rules\.timeZone/],
      [{ terms: { text: 'other', digest: digestOf('terms') } }, /terms\.digest/],
      [{ images: [offer.images[0], offer.images[0]] }, /images/],
      [{ surprise: 'x'.repeat(10_000) }, /surprise/],
      [{ ['y'.repeat(10_000)]: 1 }, /yyy/],
      [{ labels: Array.from({ length: 32 }, () => 'NO') }, /labels\.0.*and \d+ more/]
    ]
    for (const [changes, message] of cases) {
      const error = await errorOf(() => signDocument('offer', { ...offer, ...changes }, provider))
      expect(error).to.have.property('code', 'ERR_DOCUMENT_RANGE')
      expect(error.message).to.match(message)
      expect(error.message.length).to.be.below(600)
    }
  })

  it('survives any text', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.string().map((s) => `${s}.${s}.${s}`)
        ),
        async (text) => {
          expect(await codeOf(() => verifyDocument('lease', text))).to.match(
            /^ERR_DOCUMENT_(FORMAT|CRITICAL)$/
          )
        }
      )
    )
  })
})
