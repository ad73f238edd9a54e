import { expect } from 'chai'
import { dhtAnnouncer, type DhtAnnouncerComponents } from '../../../ipublish/index.ts'
import type { Offer, Verified } from '../../../src/documents/index.ts'
import { facetCid, facetsOf } from '../../../src/documents/offer-keys.ts'
import { createIdentity, type Identity } from '../../../src/identity/index.ts'
import { sampleOffer, signed } from '../../helpers/documents.ts'

/** A DHT of one other peer, that takes what it is told to take. */
class OnePeerDht {
  readonly puts: string[] = []
  readonly provided = new Map<string, number>()
  isWilling = true
  #waiting: { puts: number; resolve: () => void } | undefined
  readonly #peer: Identity

  constructor(peer: Identity) {
    this.#peer = peer
  }

  async *put(_key: Uint8Array, value: Uint8Array) {
    this.puts.push(Buffer.from(value).toString())
    const from = this.#peer.peerId
    yield { name: 'PEER_RESPONSE', messageName: 'FIND_NODE', from }
    yield { name: 'PEER_RESPONSE', messageName: 'PUT_VALUE', from }
    if (!this.isWilling) yield { name: 'QUERY_ERROR', from, error: new Error('Value not put correctly') }
    if (this.puts.length === this.#waiting?.puts) this.#waiting.resolve()
  }

  async *provide(cid: { toString(): string }) {
    this.provided.set(cid.toString(), (this.provided.get(cid.toString()) ?? 0) + 1)
    yield { name: 'PATH_ENDED' }
  }

  async cancelReprovide(cid: { toString(): string }): Promise<void> {
    this.provided.delete(cid.toString())
  }

  /** Resolves when so many puts have been made in all. */
  hasSeen(puts: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = { puts, resolve }
    })
  }
}

describe('The announcer to the DHT', () => {
  let identity: Identity
  let dht: OnePeerDht
  let offer: Verified<Offer>
  const components = () => ({ dht: dht as unknown as DhtAnnouncerComponents['dht'] })
  const facets = (of: Verified<Offer>) => facetsOf(of.payload).map((facet) => facetCid(facet).toString())

  before(async () => {
    identity = await createIdentity()
    offer = await signed('offer', sampleOffer(identity), identity)
  })
  beforeEach(async () => {
    dht = new OnePeerDht(await createIdentity())
  })

  it('announces the value and every facet, again and again, and withdraws them at the end', async () => {
    const errors: unknown[] = []
    const announcer = dhtAnnouncer(components(), { intervalMs: 1, onError: (error) => errors.push(error) })
    const seen = dht.hasSeen(4)
    announcer.publish(offer)
    await announcer.start()
    await seen
    expect([...dht.provided.keys()]).to.have.members(facets(offer))
    expect(Math.min(...dht.provided.values())).to.be.at.least(3)
    await announcer.stop()
    expect(new Set(dht.puts)).to.deep.equal(new Set([offer.token]))
    expect([...dht.provided]).to.deep.equal([])
    expect(errors).to.deep.equal([])
  })

  it('a value that a peer answers to but does not take counts as not taken: it is said, and tried again', async () => {
    dht.isWilling = false
    const errors: unknown[] = []
    const announcer = dhtAnnouncer(components(), { intervalMs: 1, onError: (error) => errors.push(error) })
    const seen = dht.hasSeen(3)
    announcer.publish(offer)
    await announcer.start()
    await seen
    await announcer.stop()
    expect(errors[0]).to.have.property('code', 'ERR_PUBLISH_DHT')
  })

  it('a new offer goes out at once, and facets that it no longer has are withdrawn', async () => {
    const announcer = dhtAnnouncer(components())
    const first = dht.hasSeen(1)
    announcer.publish(offer)
    await announcer.start()
    await first
    const next = await signed('offer', sampleOffer(identity, { labels: ['chemistry'] }), identity)
    const second = dht.hasSeen(2)
    announcer.publish(next)
    await second
    expect([...dht.provided.keys()]).not.to.include(facetCid('label:physics').toString())
    await announcer.stop()
    expect(dht.puts).to.deep.equal([offer.token, next.token])
  })

  it('stopping ends a query that hangs', async () => {
    const started = Promise.withResolvers<undefined>()
    async function* put(_key: Uint8Array, _value: Uint8Array, { signal }: { signal: AbortSignal }) {
      started.resolve(undefined)
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')))
      })
      yield { name: 'PATH_ENDED' }
    }
    Object.assign(dht, { put })
    const announcer = dhtAnnouncer(components())
    announcer.publish(offer)
    await announcer.start()
    await started.promise
    await announcer.stop()
  })
})
