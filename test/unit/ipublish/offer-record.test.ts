import { expect } from 'chai'
import { offerSelector, offerValidator } from '../../../ipublish/index.ts'
import { offerKey } from '../../../src/documents/offer-keys.ts'
import { createIdentity, type Identity } from '../../../src/identity/index.ts'
import { signedOffer } from '../../fixtures/offers.ts'
import { codeOf } from '../../helpers/errors.ts'

describe('Offers as records of the DHT', () => {
  let identity: Identity
  before(async () => {
    identity = await createIdentity()
  })

  const record = async (seq: number, changes = {}) =>
    Buffer.from(await signedOffer(identity, { seq, ...changes }))

  it('a newer one is taken, the same one again as well', async () => {
    const validate = offerValidator()
    const key = offerKey(identity.id)
    await validate(key, await record(1))
    const second = await record(2)
    await validate(key, second)
    await validate(key, second)
  })

  it('an older one is refused, though its signature is good', async () => {
    const validate = offerValidator()
    const key = offerKey(identity.id)
    await validate(key, await record(2))
    expect(await codeOf(async () => validate(key, await record(1)))).to.equal('ERR_DOCUMENT_REPLAYED')
  })

  it('of records that race the highest sequence stays', async () => {
    const validate = offerValidator()
    const key = offerKey(identity.id)
    const records = await Promise.all([5, 3, 9, 1, 7].map((seq) => record(seq)))
    await Promise.allSettled(records.map(async (value) => validate(key, value)))
    for (const older of [1, 3, 5, 7])
      expect(await codeOf(async () => validate(key, await record(older)))).to.equal('ERR_DOCUMENT_REPLAYED')
    await validate(key, await record(9))
  })

  it('the selector finds the highest sequence among good and bad records', async () => {
    const key = offerKey(identity.id)
    const other = await createIdentity()
    const records = [
      await record(1),
      Buffer.from('nonsense'),
      await record(8),
      Buffer.from(await signedOffer(other, { seq: 99 })),
      await record(3)
    ]
    expect(await offerSelector(key, records)).to.equal(2)
  })

  it('a key that is not of an offer is refused', async () => {
    const value = await record(1)
    for (const key of ['/pk/x', '/ishare', `/ishare/${identity.id}x`, `/ishare/x/${identity.id}`])
      expect(await codeOf(() => offerValidator()(Buffer.from(key), value))).to.equal('ERR_DOCUMENT_ISSUER')
  })
})
