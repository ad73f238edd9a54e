/**
 * Attacker: a landlord, a tenant or a factory who shows some kernel manifest in place of the one that was agreed on.
 * Asset: that the kernel which boots was made for this lease by a factory that both believe, and seals to the tenant.
 * Expected: each is refused with the code that says what is wrong, whoever of the two asks.
 */
import { expect } from 'chai'
import {
  agreedFactory,
  checkLease,
  checkManifest,
  digestOf,
  signDocument,
  type PayloadInput
} from '../../../src/documents/index.ts'
import { createIdentity, type Identity } from '../../../src/identity/index.ts'
import {
  sampleAcceptance,
  sampleKernelWish,
  sampleLease,
  sampleManifest,
  sampleOffer,
  signed
} from '../../helpers/documents.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'

const NOW = () => Date.now()

describe('adversarial: kernel manifests', () => {
  let provider: Identity
  let consumer: Identity
  let factory: Identity
  let other: Identity
  before(async () => {
    ;[provider, consumer, factory, other] = (await Promise.all(
      Array.from({ length: 4 }, () => createIdentity())
    )) as [Identity, Identity, Identity, Identity]
  })

  async function agreement(named: { offered?: Identity[]; trusted?: Identity[]; leased?: Identity } = {}) {
    const { offered = [factory], trusted = [factory], leased = factory } = named
    const factories = offered.map(({ id }) => id)
    const offer = await signed('offer', sampleOffer(provider, { factories }), provider)
    const wish = { kernel: sampleKernelWish(...trusted) }
    const acceptance = await signed('acceptance', sampleAcceptance(consumer, offer, wish), consumer)
    const lease = await signed('lease', sampleLease(acceptance, { factory: leased.id }), provider)
    return { offer, acceptance, lease }
  }
  const manifestOf = async (
    { acceptance, lease }: Awaited<ReturnType<typeof agreement>>,
    changes: Partial<PayloadInput<'kernel-manifest'>> = {},
    signer = factory
  ) => signed('kernel-manifest', sampleManifest(acceptance, lease, changes), signer)

  it('an honest one is what was agreed on', async () => {
    const agreed = await agreement()
    checkLease(agreed.lease, agreed.acceptance, agreed.offer)
    checkManifest(await manifestOf(agreed), agreed, NOW())
    expect(agreedFactory(agreed.offer.payload, agreed.acceptance.payload)).to.equal(factory.id)
  })

  it('of a factory that only one of them believes, or that the lease does not name, are refused', async () => {
    const theirs = { iss: other.id }
    for (const named of [
      { offered: [other], leased: other },
      { trusted: [other], leased: other },
      { offered: [factory, other], trusted: [factory, other] }
    ]) {
      const agreed = await agreement(named)
      const manifest = await manifestOf(agreed, theirs, other)
      expect(await codeOf(() => checkManifest(manifest, agreed, NOW()))).to.equal('ERR_MANIFEST_UNTRUSTED')
    }
  })

  it('signed by somebody else in the name of the factory are refused', async () => {
    const { acceptance, lease } = await agreement()
    const payload = sampleManifest(acceptance, lease)
    expect(await codeOf(() => signDocument('kernel-manifest', payload, other))).to.equal(
      'ERR_DOCUMENT_ISSUER'
    )
  })

  it('of another lease, even of the same two, are refused', async () => {
    const [agreed, another] = [await agreement(), await agreement()]
    const error = await errorOf(async () => {
      const manifest = await manifestOf({ ...another, acceptance: agreed.acceptance })
      checkManifest(manifest, agreed, NOW())
    })
    expect(error).to.have.property('code', 'ERR_MANIFEST_MISMATCH')
    expect(error.message).to.contain('leaseDigest')
  })

  it('that seal to other keys, fewer or more of them, or show more than the tenant allows, are refused', async () => {
    const agreed = await agreement()
    const { stamp } = sampleManifest(agreed.acceptance, agreed.lease)
    const [own = ''] = stamp.logKeys
    const [foreign = ''] = sampleKernelWish(factory).logKeys
    const cases: [Partial<typeof stamp>, RegExp][] = [
      [{ logKeys: [foreign] }, /logKeys/],
      [{ logKeys: [own, foreign] }, /logKeys/],
      [{ serverId: 'ab'.repeat(16) }, /serverId/],
      [{ showsSeverity: false }, /showsSeverity/],
      [{ ruleset: digestOf('no rules') }, /ruleset/],
      [{ policy: 'bm90aGluZw' }, /policy/]
    ]
    for (const [changes, field] of cases) {
      const manifest = await manifestOf(agreed, { stamp: { ...stamp, ...changes } })
      const error = await errorOf(() => checkManifest(manifest, agreed, NOW()))
      expect(error).to.have.property('code', 'ERR_MANIFEST_MISMATCH')
      expect(error.message).to.match(field)
    }
  })

  it('that have expired, are of tomorrow, or are older than the lease are refused', async () => {
    const agreed = await agreement()
    const manifest = await manifestOf(agreed)
    const { iat, exp } = manifest.payload
    const codeAt = (seconds: number) => codeOf(() => checkManifest(manifest, agreed, seconds * 1000))
    expect(await codeAt(exp + 61)).to.equal('ERR_DOCUMENT_EXPIRED')
    expect(await codeAt(iat - 61)).to.equal('ERR_DOCUMENT_NOT_YET_VALID')
    const old = await manifestOf(agreed, { iat: iat - 3600 })
    expect(await codeOf(() => checkManifest(old, agreed, NOW()))).to.equal('ERR_MANIFEST_MISMATCH')
  })

  it('that call the base kernel a stamped one are no manifests', async () => {
    const agreed = await agreement()
    const base = sampleManifest(agreed.acceptance, agreed.lease).base
    const kernel = { digest: base.digest, sizeBytes: 1 }
    expect(await codeOf(() => manifestOf(agreed, { kernel }))).to.equal('ERR_DOCUMENT_RANGE')
  })

  it('a lease that names another factory, or none, is a lie', async () => {
    const { offer, acceptance } = await agreement()
    for (const leased of [other.id, undefined]) {
      const changes = leased === undefined ? {} : { factory: leased }
      const lease = await signed('lease', sampleLease(acceptance, changes), provider)
      expect(await codeOf(() => checkLease(lease, acceptance, offer))).to.equal('ERR_LEASE_MISMATCH')
    }
  })

  it('no factory is agreed on where only one side wants one', async () => {
    const { offer, acceptance } = await agreement()
    const none = { factories: [] }
    expect(await codeOf(() => agreedFactory(none, acceptance.payload))).to.equal('ERR_MANIFEST_UNTRUSTED')
    expect(await codeOf(() => agreedFactory(offer.payload, {}))).to.equal('ERR_MANIFEST_UNTRUSTED')
    expect(agreedFactory(none, {})).to.equal(undefined)
  })
})
