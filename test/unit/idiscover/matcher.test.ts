import { expect } from 'chai'
import fc from 'fast-check'
import { mismatches, type OfferQuery } from '../../../idiscover/index.ts'
import type { Offer } from '../../../src/documents/index.ts'
import { facetsFor, facetsOf } from '../../../src/documents/offer-keys.ts'
import { createIdentity, type Identity } from '../../../src/identity/index.ts'
import { sampleOffer, signed } from '../../helpers/documents.ts'

describe('Matching an offer', () => {
  let identity: Identity
  let offer: Offer
  before(async () => {
    identity = await createIdentity()
    offer = (await signed('offer', sampleOffer(identity), identity)).payload
  })

  const reasons = (query: OfferQuery, of: Offer = offer) => mismatches(of, query, Date.now())
  const withRules = (rules: Partial<Offer['rules']>): Offer => ({
    ...offer,
    rules: { ...offer.rules, ...rules }
  })

  it('a query that asks for nothing fits', () => {
    expect(reasons({})).to.deep.equal([])
  })

  it('what is asked is compared with what one run may have, not with the whole slice', () => {
    expect(reasons({ cpu: 1, memoryBytes: 2 ** 30 })).to.deep.equal([])
    expect(reasons({ cpu: 2 })).to.have.length(1)
    expect(reasons({ cpu: 2 })[0]).to.match(/asked 2, allowed 1/)
  })

  it('every reason is given', () => {
    const query = {
      cpu: 3,
      memoryBytes: 2 ** 40,
      diskBytes: 2 ** 40,
      durationSeconds: 1e6,
      image: 'x',
      labels: ['y', 'physics']
    }
    expect(reasons(query)).to.have.length(6)
  })

  it('an image fits by name and by digest', () => {
    expect(reasons({ image: 'tiny' })).to.deep.equal([])
    expect(reasons({ image: offer.images[0]!.digest })).to.deep.equal([])
    expect(reasons({ image: 'fedora' })[0]).to.include('there is tiny')
  })

  it('kernels are of a factory that is asked for, or of any where none is named', () => {
    const own = { ...offer, factories: [identity.id] }
    const [none, other] = [
      { ...offer, factories: [] },
      { ...offer, factories: ['12D3KooWother'] }
    ]
    for (const query of [
      { factories: [identity.id] },
      { factories: ['12D3KooWx', identity.id] },
      { factories: [] }
    ])
      expect(reasons(query, own)).to.deep.equal([])
    expect(reasons({ factories: [] }, other)).to.deep.equal([])
    expect(reasons({}, none)).to.deep.equal([])
    expect(reasons({ factories: [] }, none)).to.have.length(1)
    expect(reasons({ factories: [identity.id] }, none)).to.have.length(1)
    expect(reasons({ factories: [identity.id] }, other)[0]).to.include('12D3KooWother')
  })

  it('who may come is asked only where it is known who will', () => {
    const closed = withRules({ who: { kind: 'peers', peers: [identity.id] } })
    expect(reasons({}, closed)).to.deep.equal([])
    expect(reasons({ peer: identity.id }, closed)).to.deep.equal([])
    expect(reasons({ peer: '12D3KooWother' }, closed)).to.have.length(1)
  })

  it('whether a token will do is left to the provider, that one is needed is not', () => {
    const x = 'A'.repeat(43)
    const closed = withRules({
      who: { kind: 'token', issuer: 'uni', jwk: { kty: 'OKP', crv: 'Ed25519', x }, claims: {} }
    })
    expect(reasons({ peer: identity.id }, closed)).to.have.length(1)
    expect(reasons({ peer: identity.id, hasToken: true }, closed)).to.deep.equal([])
  })

  it('an offer that fits is announced under every facet that the query asks for', () => {
    const size = fc.integer({ min: 32 * 2 ** 20, max: 2 ** 44 })
    fc.assert(
      fc.property(size, size, (memoryBytes, allowed) => {
        const { perRun } = offer.rules
        const sized = withRules({ perRun: { ...perRun, memoryBytes: allowed } })
        const query = { memoryBytes, labels: ['physics'], image: 'tiny' }
        fc.pre(reasons(query, sized).length === 0)
        expect(facetsOf(sized)).to.include.members(facetsFor(query))
      })
    )
  })
})
