import { expect } from 'chai'
import { offerPublisher, type OfferDescription, type OfferOutlet } from '../../../ipublish/index.ts'
import { verifyDocument, type Offer, type Verified } from '../../../src/documents/index.ts'
import { createIdentity, type Identity } from '../../../src/identity/index.ts'
import { describedOffer } from '../../fixtures/offers.ts'
import { errorOf } from '../../helpers/errors.ts'

class Outlet implements OfferOutlet {
  readonly published: Verified<Offer>[] = []
  isStarted = false
  start(): void {
    this.isStarted = true
  }
  stop(): void {
    this.isStarted = false
  }
  publish(offer: Verified<Offer>): void {
    this.published.push(offer)
  }
}

describe('The offer publisher', () => {
  let identity: Identity
  let nowMs: number
  let description: OfferDescription
  let outlet: Outlet

  before(async () => {
    identity = await createIdentity()
  })
  beforeEach(() => {
    nowMs = Date.now()
    description = describedOffer(identity)
    outlet = new Outlet()
  })

  function publisher(outlets: OfferOutlet[] = [outlet], init = {}) {
    return offerPublisher(
      { identity, describe: () => description, outlets },
      { lifetimeSeconds: 1000, graceMs: 60_000, checkIntervalMs: 1e8, now: () => nowMs, ...init }
    )
  }

  it('hands out a signed offer with what was described', async () => {
    const service = publisher()
    await service.start()
    await service.stop()
    expect(outlet.published).to.have.length(1)
    const { payload } = await verifyDocument('offer', outlet.published[0]!.token, {
      issuer: identity.id,
      nowMs
    })
    expect(payload.slice).to.deep.equal(description.slice)
    expect(payload.exp - payload.iat).to.equal(1000)
    expect(service.current()).to.deep.equal([outlet.published[0]!.token])
  })

  it('signs nothing new while the description stays and half of the lifetime has not passed', async () => {
    const service = publisher()
    await service.refresh()
    nowMs += 499_000
    await service.refresh()
    expect(outlet.published).to.have.length(1)
  })

  it('renews the offer at half of its lifetime; both may be accepted until they expire', async () => {
    const service = publisher()
    await service.refresh()
    nowMs += 501_000
    await service.refresh()
    const [first, second] = outlet.published
    expect(second!.payload.seq).to.be.greaterThan(first!.payload.seq)
    expect(service.current()).to.deep.equal([second!.token, first!.token])
    nowMs += 500_000
    expect(service.current()).to.deep.equal([second!.token])
  })

  it('an offer with another description may be accepted for the time of grace only', async () => {
    const service = publisher()
    await service.refresh()
    description = describedOffer(identity, { labels: ['other'] })
    await service.refresh()
    const [first, second] = outlet.published
    expect(second!.payload.seq).to.be.greaterThan(first!.payload.seq)
    expect(service.current()).to.deep.equal([second!.token, first!.token])
    nowMs += 60_001
    expect(service.current()).to.deep.equal([second!.token])
  })

  it('the sequence grows even if the clock goes back', async () => {
    const service = publisher()
    await service.refresh()
    nowMs -= 50_000
    description = describedOffer(identity, { labels: ['other'] })
    await service.refresh()
    const [first, second] = outlet.published
    expect(second!.payload.seq).to.be.greaterThan(first!.payload.seq)
  })

  it('keeps no more offers than it must, however often the description changes', async () => {
    const service = publisher()
    for (let count = 0; count < 40; count++) {
      description = describedOffer(identity, { labels: [`label-${count}`] })
      await service.refresh()
    }
    expect(service.current()).to.have.length(16)
    expect(service.current()[0]).to.equal(outlet.published.at(-1)!.token)
  })

  it('refreshes that overlap publish in the order of their sequences', async () => {
    const service = publisher()
    const refreshes = [1, 2, 3, 4].map((count) => {
      description = describedOffer(identity, { labels: [`label-${count}`] })
      return service.refresh()
    })
    await Promise.all(refreshes)
    const sequences = outlet.published.map(({ payload }) => payload.seq)
    expect(sequences).to.deep.equal(sequences.toSorted((a, b) => a - b))
  })

  it('when one outlet cannot start, the others are stopped again and the reason is passed on', async () => {
    const broken = new Outlet()
    broken.start = () => {
      throw new Error('no')
    }
    const error = await errorOf(() => publisher([outlet, broken]).start())
    expect(error.message).to.equal('no')
    expect(outlet.isStarted).to.equal(false)
  })

  it('an offer that could not be verified is not published', async () => {
    description = describedOffer(identity, { labels: ['Not A Label'] })
    const error = await errorOf(() => publisher().start())
    expect(error).to.have.property('code', 'ERR_DOCUMENT_RANGE')
    expect(outlet.published).to.have.length(0)
  })

  it('a description that fails later leaves the offer standing, and is reported', async () => {
    const { promise: failure, resolve } = Promise.withResolvers<unknown>()
    let isBroken = false
    const service = offerPublisher(
      {
        identity,
        outlets: [outlet],
        describe: () => {
          if (isBroken) throw new Error('the host is gone')
          return description
        }
      },
      { checkIntervalMs: 1, onError: resolve }
    )
    await service.start()
    isBroken = true
    expect(await failure).to.have.property('message', 'the host is gone')
    expect(service.current()).to.have.length(1)
    await service.stop()
  })
})
