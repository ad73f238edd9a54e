import { expect } from 'chai'
import { discoverer, type Discovery, type DiscoverOptions } from '../../../idiscover/index.ts'
import {
  dhtAnnouncer,
  offerPublisher,
  offerResponder,
  pageServer,
  type OfferDescription,
  type OfferOutlet,
  type OfferPublisher
} from '../../../ipublish/index.ts'
import { describedOffer } from '../../fixtures/offers.ts'
import { gather } from '../../helpers/gather.ts'
import { join, startNode, startNodes, type TestNode } from '../../helpers/libp2p-nodes.ts'

/** Resolves when `fails` has been told nothing bad before the offer was taken by the DHT. */
function announced(node: TestNode): OfferOutlet & { taken: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const dht = {
    put: (...args: Parameters<TestNode['dht']['put']>) => watch(node.dht.put(...args)),
    provide: (...args: Parameters<TestNode['dht']['provide']>) => node.dht.provide(...args),
    cancelReprovide: (...args: Parameters<TestNode['dht']['cancelReprovide']>) =>
      node.dht.cancelReprovide(...args)
  }
  async function* watch<T>(events: AsyncIterable<T>): AsyncGenerator<T> {
    yield* events
    resolve(undefined)
  }
  return Object.assign(dhtAnnouncer({ dht }), { taken: promise })
}

async function publish(
  node: TestNode,
  outlets: OfferOutlet[],
  describe: () => OfferDescription = () => describedOffer(node.identity, { addresses: node.addresses() })
): Promise<OfferPublisher & AsyncDisposable> {
  const publisher = offerPublisher({ identity: node.identity, describe, outlets })
  await publisher.start()
  return Object.assign(publisher, { [Symbol.asyncDispose]: async () => publisher.stop() })
}

async function collect(node: TestNode, options: DiscoverOptions): Promise<Discovery[]> {
  return gather(discoverer({ openStream: node.openStream.bind(node), dht: node.dht }).discover(options))
}

describe('Publishing and discovering over real nodes', function () {
  this.timeout(60_000)
  let nodes: Awaited<ReturnType<typeof startNodes>>

  beforeEach(async () => {
    nodes = await startNodes(6)
  })
  afterEach(async () => {
    await nodes[Symbol.asyncDispose]()
  })

  it('an offer is found through its page alone', async () => {
    const page = pageServer()
    await using publisher = await publish(nodes[1]!, [page])
    const found = await collect(nodes[5]!, { pages: [page.url!] })
    expect(found).to.have.length(1)
    expect(found[0]).to.deep.include({ kind: 'offer', source: { kind: 'page', url: page.url } })
    expect(found[0]).to.have.nested.property('offer.token', publisher.newest()!.token)
  })

  it('an offer is found through the DHT alone, by a node that has never met the provider', async () => {
    const announcer = announced(nodes[1]!)
    await using publisher = await publish(nodes[1]!, [announcer])
    await announcer.taken
    const found = await collect(nodes[5]!, {
      dht: true,
      query: { cpu: 1, memoryBytes: 2 ** 29, image: 'tiny' }
    })
    expect(found.map(({ kind }) => kind)).to.deep.equal(['offer'])
    expect(found[0]).to.have.nested.property('offer.token', publisher.newest()!.token)
    expect(found[0]!.source).to.deep.equal({ kind: 'dht', provider: nodes[1]!.identity.id })
  })

  it('an offer is found by asking the peer itself', async () => {
    await using publisher = await publish(nodes[1]!, [offerResponder({ registrar: nodes[1]!.libp2p })])
    await using stranger = await startNode({ isServer: false })
    const found = await gather(
      discoverer({ openStream: stranger.openStream.bind(stranger) }).discover({
        peers: [nodes[1]!.addresses()[0]!]
      })
    )
    expect(found.map(({ kind }) => kind)).to.deep.equal(['offer'])
    expect(found[0]).to.have.nested.property('offer.token', publisher.newest()!.token)
  })

  it('an offer that comes by all three ways is given once', async () => {
    const node = nodes[1]!
    const page = pageServer()
    const announcer = announced(node)
    await using _publisher = await publish(node, [
      page,
      announcer,
      offerResponder({ registrar: node.libp2p })
    ])
    await announcer.taken
    const found = await collect(nodes[5]!, { pages: [page.url!], peers: [node.identity.id], dht: true })
    expect(found.map(({ kind }) => kind)).to.deep.equal(['offer'])
  })

  it('a provider whose value is in no DHT is asked directly', async () => {
    const node = nodes[1]!
    const withoutValues = {
      put: async function* () {
        // Nobody stores it.
      },
      provide: (...args: Parameters<typeof node.dht.provide>) => node.dht.provide(...args),
      cancelReprovide: async () => undefined
    }
    const provided = Promise.withResolvers<undefined>()
    const announcer = dhtAnnouncer({ dht: withoutValues }, { onError: () => provided.resolve(undefined) })
    await using _publisher = await publish(node, [announcer, offerResponder({ registrar: node.libp2p })])
    await provided.promise
    const found = await collect(nodes[5]!, { dht: true })
    expect(found.map(({ kind }) => kind)).to.deep.equal(['offer'])
  })

  it('an offer that does not fit comes with the reasons', async () => {
    const page = pageServer()
    await using _publisher = await publish(nodes[1]!, [page])
    const [found] = await collect(nodes[5]!, { pages: [page.url!], query: { cpu: 8, image: 'fedora' } })
    expect(found?.kind).to.equal('near-miss')
    expect(found)
      .to.have.property('reasons')
      .that.satisfies((reasons: string[]) => reasons.length === 2)
  })

  it('after a restart the sequence has grown, and only the new offer is found', async () => {
    const node = nodes[1]!
    const before = await publish(node, [])
    const first = before.newest()!.payload.seq
    await before.stop()
    const announcer = announced(node)
    await using again = await publish(node, [announcer])
    expect(again.newest()!.payload.seq).to.be.greaterThan(first)
    await announcer.taken
    const found = await collect(nodes[4]!, { dht: true, query: { provider: node.identity.id } })
    expect(found).to.have.length(1)
    expect(found[0]).to.have.nested.property('offer.payload.seq', again.newest()!.payload.seq)
  })

  it('a provider that is alone at first is in the DHT as soon as a peer has come', async () => {
    await using alone = await startNode()
    const failed = Promise.withResolvers<undefined>()
    const announcer = dhtAnnouncer({ dht: alone.dht }, { onError: () => failed.resolve(undefined) })
    await using publisher = await publish(alone, [announcer])
    await failed.promise
    await join(alone, nodes[0]!)
    let found: Discovery[] = []
    while (found.length === 0)
      found = (await collect(nodes[3]!, { dht: true })).filter(({ kind }) => kind === 'offer')
    expect(found[0]).to.have.nested.property('offer.token', publisher.newest()!.token)
  })

  it('a provider that has gone is still known by its offer, and holds nobody up', async () => {
    const gone = await startNode()
    await join(gone, nodes[0]!)
    const announcer = announced(gone)
    await using _publisher = await publish(gone, [announcer, offerResponder({ registrar: gone.libp2p })])
    await announcer.taken
    await gone[Symbol.asyncDispose]()
    const limits = { valueTimeoutMs: 2000, askTimeoutMs: 2000, dhtTimeoutMs: 2000 }
    const found = await gather(
      discoverer(
        { openStream: nodes[3]!.openStream.bind(nodes[3]!), dht: nodes[3]!.dht },
        { limits }
      ).discover({
        dht: true,
        peers: [gone.identity.id]
      })
    )
    expect(found.map(({ kind }) => kind)).to.deep.equal(['offer'])
  })

  it('breaking off ends everything that is under way', async () => {
    const page = pageServer()
    await using _publisher = await publish(nodes[1]!, [page])
    for await (const found of discoverer({
      openStream: nodes[5]!.openStream.bind(nodes[5]!),
      dht: nodes[5]!.dht
    }).discover({ pages: [page.url!], dht: true })) {
      expect(found.kind).to.equal('offer')
      break
    }
  })

  it('an abort passes through', async () => {
    const controller = new AbortController()
    const stream = discoverer({ dht: nodes[5]!.dht }).discover({ dht: true, signal: controller.signal })
    controller.abort()
    const error = await gather(stream).then(
      () => undefined,
      (reason: unknown) => reason
    )
    expect(error).to.have.property('name', 'AbortError')
  })
})
