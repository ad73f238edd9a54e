import { expect } from 'chai'
import {
  checkAcceptance,
  checkLease,
  checkReceipt,
  digestOf,
  type Limits
} from '../../../src/documents/index.ts'
import { createIdentity } from '../../../src/identity/index.ts'
import {
  sampleAcceptance,
  sampleLease,
  sampleLimits,
  sampleOffer,
  sampleReceipt,
  signed
} from '../../helpers/documents.ts'
import { errorOf } from '../../helpers/errors.ts'

async function agreement() {
  const [provider, consumer, stranger] = [
    await createIdentity(),
    await createIdentity(),
    await createIdentity()
  ]
  const offer = await signed('offer', sampleOffer(provider), provider)
  const acceptance = await signed('acceptance', sampleAcceptance(consumer, offer), consumer)
  const lease = await signed('lease', sampleLease(acceptance), provider)
  return { provider, consumer, stranger, offer, acceptance, lease }
}

describe('documents: what they say about each other', () => {
  it('holds for an honest chain', async () => {
    const { provider, offer, acceptance, lease } = await agreement()
    checkAcceptance(acceptance, offer)
    checkLease(lease, acceptance, offer)
    checkReceipt(await signed('receipt', sampleReceipt(lease), provider), lease)
  })

  it('finds an acceptance of something else', async () => {
    const { consumer, stranger, offer } = await agreement()
    const { request } = sampleAcceptance(consumer, offer)
    const cases: [Parameters<typeof sampleAcceptance>[2], RegExp][] = [
      [{ aud: stranger.id }, /aud/],
      [{ offerDigest: digestOf('another offer') }, /offerDigest/],
      [{ termsDigest: digestOf('other terms') }, /termsDigest/],
      [{ request: { ...request, image: 'debian' } }, /image debian/]
    ]
    for (const [changes, field] of cases) {
      const acceptance = await signed('acceptance', sampleAcceptance(consumer, offer, changes), consumer)
      const error = await errorOf(() => checkAcceptance(acceptance, offer))
      expect(error).to.have.property('code', 'ERR_DOCUMENT_MISMATCH')
      expect(error.message).to.match(field)
    }
  })

  it('finds a lease for another acceptance, run, consumer or from another provider', async () => {
    const { provider, stranger, acceptance } = await agreement()
    const cases: [Parameters<typeof sampleLease>[1], RegExp][] = [
      [{ aud: stranger.id }, /aud/],
      [{ acceptanceDigest: digestOf('another') }, /acceptanceDigest/],
      [{ nonce: 'A'.repeat(22) }, /nonce/],
      [{ runId: '1'.repeat(26) }, /runId/]
    ]
    for (const [changes, field] of cases) {
      const lease = await signed('lease', sampleLease(acceptance, changes), provider)
      const error = await errorOf(() => checkLease(lease, acceptance))
      expect(error).to.have.property('code', 'ERR_DOCUMENT_MISMATCH')
      expect(error.message).to.match(field)
    }
    const foreign = await signed('lease', sampleLease(acceptance, { iss: stranger.id }), stranger)
    expect((await errorOf(() => checkLease(foreign, acceptance))).message).to.match(/iss/)
  })

  it('finds a lease that grants something else than was asked, whatever the limit', async () => {
    const { provider, offer, acceptance } = await agreement()
    const limits = sampleLimits()
    const names = Object.keys(limits) as (keyof Limits)[]
    const changed = names.map((name): [object, RegExp] => [
      { limits: { ...limits, [name]: limits[name] + 1 } },
      new RegExp(`limits\\.${name}`)
    ])
    const now = acceptance.payload.iat
    const cases: [object, RegExp][] = [
      ...changed,
      [{ image: { name: 'debian', digest: digestOf('an image') } }, /image/],
      [{ image: { name: 'tiny', digest: digestOf('a trojan') } }, /image\.digest/],
      [{ egress: { kind: 'internet' } }, /egress/],
      [{ inboundPorts: [22] }, /inboundPorts/],
      [{ restart: { policy: 'always' } }, /restart/],
      [{ warning: { seconds: 1 } }, /warning/],
      [{ iat: now, exp: now + limits.durationSeconds - 1 }, /exp/]
    ]
    for (const [changes, field] of cases) {
      const lease = await signed('lease', sampleLease(acceptance, changes), provider)
      const error = await errorOf(() => checkLease(lease, acceptance, offer))
      expect(error).to.have.property('code', 'ERR_LEASE_MISMATCH')
      expect(error.message).to.match(field)
    }
  })

  it('finds a receipt of another lease', async () => {
    const { provider, stranger, lease } = await agreement()
    const iat = lease.payload.iat
    const cases: [Parameters<typeof sampleReceipt>[1], RegExp][] = [
      [{ aud: stranger.id }, /aud/],
      [{ runId: '1'.repeat(26) }, /runId/],
      [{ leaseDigest: digestOf('another') }, /leaseDigest/],
      [{ startedAt: iat - 61 }, /startedAt/],
      [{ startedAt: iat - 100, endedAt: iat - 90 }, /startedAt/]
    ]
    for (const [changes, field] of cases) {
      const receipt = await signed('receipt', sampleReceipt(lease, changes), provider)
      const error = await errorOf(() => checkReceipt(receipt, lease))
      expect(error).to.have.property('code', 'ERR_DOCUMENT_MISMATCH')
      expect(error.message).to.match(field)
    }
    const foreign = await signed('receipt', sampleReceipt(lease, { iss: stranger.id }), stranger)
    expect((await errorOf(() => checkReceipt(foreign, lease))).message).to.match(/iss/)
  })
})
