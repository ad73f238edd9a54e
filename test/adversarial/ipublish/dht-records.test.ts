/**
 * Attacker: a peer of the DHT, which may PUT any bytes under any key, repeat what it has seen, and make as many
 * identities as it likes.
 * Asset: the offer that others find under a provider's key, and the memory of the peers that store it.
 * Expected: only the provider's own newest valid word is stored and found; what is stored for others is bounded;
 * what the peer stores for itself stays.
 */
import { randomBytes } from 'node:crypto'
import { Libp2pRecord } from '@libp2p/record'
import { expect } from 'chai'
import { MemoryDatastore } from 'datastore-core'
import { Key, type Datastore } from 'interface-datastore'
import { discoverer, type Discovery } from '../../../idiscover/index.ts'
import { recordKey } from '../../../ipublish/dht/offer-record.ts'
import { dhtDatastore } from '../../../ipublish/index.ts'
import { facetCid, offerKey } from '../../../src/documents/offer-keys.ts'
import { createIdentity, type Identity } from '../../../src/identity/index.ts'
import { signedOffer } from '../../fixtures/offers.ts'
import { nowSeconds } from '../../helpers/documents.ts'
import { codeOf } from '../../helpers/errors.ts'
import { gather } from '../../helpers/gather.ts'
import { join, startNode, startNodes, type TestNode } from '../../helpers/libp2p-nodes.ts'

async function put(node: TestNode, peer: string, token: string): Promise<void> {
  await gather(node.dht.put(offerKey(peer), Buffer.from(token)))
}

/** What a fresh node finds in the DHT of this node as the offer of `peer`. */
async function findVia(node: TestNode, peer: string): Promise<Discovery[]> {
  await using reader = await startNode({ isServer: false })
  await join(reader, node)
  return await gather(discoverer({ dht: reader.dht }).discover({ dht: true, query: { provider: peer } }))
}

async function stored(node: TestNode, peer: string): Promise<string> {
  const bytes = await node.datastore.get(recordKey('/dht', offerKey(peer)))
  return Buffer.from(Libp2pRecord.deserialize(bytes).value).toString()
}

async function keysOf(datastore: Datastore, kind: 'record' | 'provider'): Promise<string[]> {
  return (await gather(datastore.queryKeys({ prefix: `/dht/${kind}/` }))).map(String)
}

describe('Hostile records in the DHT', function () {
  this.timeout(60_000)
  let provider: Identity
  beforeEach(async () => {
    provider = await createIdentity()
  })

  it('forged, foreign, expired and oversized values are not stored', async () => {
    await using nodes = await startNodes(2)
    const [attacker, victim] = [...nodes] as [TestNode, TestNode]
    const now = nowSeconds()
    const good = await signedOffer(provider)
    const foreign = await signedOffer(attacker.identity)
    const values = [
      foreign,
      `${good.slice(0, -4)}AAAA`,
      await signedOffer(provider, { iat: now - 7200, exp: now - 3600 }),
      `${good}.${'x'.repeat(70_000)}`,
      randomBytes(100).toString('latin1'),
      ''
    ]
    for (const value of values) {
      await put(attacker, provider.id, value)
      expect(await keysOf(victim.datastore, 'record')).to.deep.equal([])
    }
    await put(attacker, provider.id, good)
    expect(await keysOf(victim.datastore, 'record')).to.have.length(1)
  })

  it('an older valid offer does not win over the newer one', async () => {
    await using nodes = await startNodes(3)
    const [victim, honest, attacker] = [...nodes] as [TestNode, TestNode, TestNode]
    const older = await signedOffer(provider, { seq: 1 })
    const newer = await signedOffer(provider, { seq: 2 })
    await put(honest, provider.id, newer)
    await put(attacker, provider.id, older)
    for (const node of [victim, honest]) expect(await stored(node, provider.id)).to.equal(newer)
    const found = await findVia(victim, provider.id)
    expect(found.at(-1)).to.have.nested.property('offer.token', newer)
  })

  it('an older valid offer does not win after the storing node has been restarted either', async () => {
    const datastore = new MemoryDatastore()
    const identity = await createIdentity()
    await using attacker = await startNode()
    const newer = await signedOffer(provider, { seq: 2 })
    {
      await using victim = await startNode({ identity, datastore })
      await join(attacker, victim)
      await put(attacker, provider.id, newer)
    }
    await using victim = await startNode({ identity, datastore })
    await join(attacker, victim)
    await put(attacker, provider.id, await signedOffer(provider, { seq: 1 }))
    const found = await findVia(victim, provider.id)
    expect(found.at(-1)).to.have.nested.property('offer.token', newer)
  })

  it('a peer that claims to provide what it does not costs one look-up, and hides nobody', async () => {
    await using nodes = await startNodes(4)
    const [first, honest, liar] = [...nodes] as [TestNode, TestNode, TestNode]
    const offer = await signedOffer(honest.identity)
    await put(honest, honest.identity.id, offer)
    await gather(honest.dht.provide(facetCid('arch:x86_64')))
    await gather(liar.dht.provide(facetCid('arch:x86_64')))
    // It puts another peer's good offer under its own key, too.
    await put(liar, liar.identity.id, offer)
    await using reader = await startNode({ isServer: false })
    await join(reader, first)
    const open = reader.openStream.bind(reader)
    const found = await gather(discoverer({ dht: reader.dht, openStream: open }).discover({ dht: true }))
    const kinds = found.map(({ kind, source }) => `${kind} ${source.kind === 'dht' ? source.provider : ''}`)
    expect(kinds).to.have.members([`offer ${honest.identity.id}`, `failure ${liar.identity.id}`])
  })

  describe('The bounded datastore', () => {
    const LIMITS = { recordsMax: 20, providersMax: 30, providersPerFacetMax: 5, facetsPerProviderMax: 4 }
    let identity: Identity
    let inner: MemoryDatastore
    let datastore: Datastore
    beforeEach(async () => {
      identity = await createIdentity()
      inner = new MemoryDatastore()
      datastore = dhtDatastore(inner, { peerId: identity.peerId, limits: LIMITS })
    })

    it('a flood of valid offers of many identities is bounded; the node still answers', async () => {
      await using victim = await startNode({ identity, datastore })
      await using attacker = await startNode()
      await join(attacker, victim)
      await put(victim, identity.id, await signedOffer(identity))
      for (let count = 0; count < 60; count++) {
        const sybil = await createIdentity()
        await put(attacker, sybil.id, await signedOffer(sybil))
      }
      expect(await keysOf(inner, 'record')).to.have.length(LIMITS.recordsMax + 1)
      expect((await findVia(victim, identity.id)).map(({ kind }) => kind)).to.deep.equal(['offer'])
    })

    it('one peer can be a provider of so many facets only', async () => {
      await using victim = await startNode({ identity, datastore })
      await using attacker = await startNode()
      await join(attacker, victim)
      for (let count = 0; count < 10; count++) await gather(attacker.dht.provide(facetCid(`label:${count}`)))
      expect((await keysOf(inner, 'provider')).length).to.be.at.most(LIMITS.facetsPerProviderMax)
    })

    it('of too many providers of a facet the one that has not renewed for longest gives way; own ones stay', async () => {
      const multihash = 'ciqaaaa'
      const put = (peer: string) =>
        datastore.put(new Key(`/dht/provider/${multihash}/${peer}`), Buffer.from('1'))
      const peers = await Promise.all(Array.from({ length: 7 }, async () => (await createIdentity()).id))
      await put(identity.id)
      for (const peer of peers.slice(0, 5)) await put(peer)
      await put(peers[0]!)
      for (const peer of peers.slice(5)) await put(peer)
      const kept = (await keysOf(inner, 'provider')).map((key) => key.split('/').at(-1))
      expect(kept).to.have.members([identity.id, peers[0], ...peers.slice(3)])
    })

    it('what others stored before a restart counts, and renewing needs no room', async () => {
      const ids = await Promise.all(Array.from({ length: 40 }, async () => (await createIdentity()).id))
      const store = async (on: Datastore, id: string) => {
        try {
          await on.put(recordKey('/dht', offerKey(id)), Buffer.from('x'))
        } catch {
          // Refused.
        }
      }
      for (const id of ids) await store(datastore, id)
      const before = await keysOf(inner, 'record')
      expect(before).to.have.length(LIMITS.recordsMax)
      const again = dhtDatastore(inner, { peerId: identity.peerId, limits: LIMITS })
      for (const id of ids) await store(again, id)
      expect(await keysOf(inner, 'record')).to.have.members(before)
    })

    it('all that is not of the DHT goes through', async () => {
      for (let count = 0; count < 100; count++)
        await datastore.put(new Key(`/peers/${count}`), randomBytes(100_000))
      expect(await gather(datastore.queryKeys({ prefix: '/peers' }))).to.have.length(100)
      await datastore.delete(new Key('/peers/1'))
      expect(await datastore.has(new Key('/peers/1'))).to.equal(false)
    })

    it('a record that is too long is refused', async () => {
      const key = recordKey('/dht', offerKey(identity.id))
      expect(await codeOf(() => datastore.put(key, randomBytes(70_000)))).to.equal('ERR_PUBLISH_DHT')
    })
  })
})
