/**
 * Attacker: a peer that is asked for its offer.
 * Asset: the consumer's belief in offers, its memory and its time.
 * Expected: a failure with a code, in bounded time; nothing longer than a document is read.
 */
import type { Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { expect } from 'chai'
import { discoverer, type DiscovererComponents, type Discovery } from '../../../idiscover/index.ts'
import { PROTOCOL_OFFER } from '../../../src/constants.ts'
import { createIdentity } from '../../../src/identity/index.ts'
import { signedOffer } from '../../fixtures/offers.ts'
import { nowSeconds } from '../../helpers/documents.ts'
import { gather } from '../../helpers/gather.ts'
import { startNode, type TestNode } from '../../helpers/libp2p-nodes.ts'

const LIMITS = { askTimeoutMs: 500, valueTimeoutMs: 500, dhtTimeoutMs: 500 }

function codesOf(found: Discovery[]): string[] {
  return found.map((one) =>
    one.kind === 'failure' ? ((one.error as { code?: string }).code ?? '?') : one.kind
  )
}

describe('Hostile peers', function () {
  this.timeout(30_000)
  let liar: TestNode
  let consumer: TestNode
  before(async () => {
    ;[liar, consumer] = await Promise.all([startNode(), startNode({ isServer: false })])
  })
  after(async () => {
    await Promise.all([liar[Symbol.asyncDispose](), consumer[Symbol.asyncDispose]()])
  })
  afterEach(async () => {
    await liar.libp2p.unhandle(PROTOCOL_OFFER)
  })

  async function ask(answer: (stream: Stream) => Promise<unknown>): Promise<string[]> {
    await liar.libp2p.handle(PROTOCOL_OFFER, async (stream) => {
      await answer(stream).catch(() => undefined)
    })
    const openStream = consumer.openStream.bind(consumer)
    return codesOf(
      await gather(discoverer({ openStream }, { limits: LIMITS }).discover({ peers: [liar.addresses()[0]!] }))
    )
  }
  const say = (token: string) => (stream: Stream) => lpStream(stream).write(Buffer.from(token))

  it('the good offer of somebody else is not its own', async () => {
    const other = await createIdentity()
    const token = await signedOffer(other)
    expect(await ask(say(token))).to.deep.equal(['ERR_DOCUMENT_ISSUER'])
  })

  it('an expired offer, nonsense and nothing are refused', async () => {
    const now = nowSeconds()
    const expired = await signedOffer(liar.identity, { iat: now - 7200, exp: now - 3600 })
    for (const [token, code] of [
      [expired, 'ERR_DOCUMENT_EXPIRED'],
      ['nonsense', 'ERR_DOCUMENT_FORMAT'],
      ['\u{1f600}', 'ERR_DOCUMENT_FORMAT'],
      ['', 'ERR_OFFER_NOT_FOUND']
    ]) {
      expect(await ask(say(token!))).to.deep.equal([code])
      await liar.libp2p.unhandle(PROTOCOL_OFFER)
    }
  })

  it('an answer longer than a document is not read', async () => {
    expect(await ask(say('x'.repeat(2 ** 20)))).to.deep.equal(['ERR_OFFER_NOT_FOUND'])
  })

  it('a length without end, a broken answer and silence are given up in time', async () => {
    for (const answer of [
      async (stream: Stream) => stream.send(Buffer.alloc(64, 0xff)),
      async (stream: Stream) => {
        stream.send(Buffer.from([100, 1, 2, 3]))
        await stream.close()
      },
      async (stream: Stream) => stream.abort(new Error('no')),
      async () => undefined
    ]) {
      expect(await ask(answer)).to.deep.equal(['ERR_OFFER_NOT_FOUND'])
      await liar.libp2p.unhandle(PROTOCOL_OFFER)
    }
  })

  it('what is not a peer, and a peer that is not there, are failures of that name only', async () => {
    await liar.libp2p.handle(PROTOCOL_OFFER, (stream) => say(token)(stream))
    const token = await signedOffer(liar.identity)
    const [address] = liar.addresses()
    const gone = (await createIdentity()).id
    const found = await gather(
      discoverer({ openStream: consumer.openStream.bind(consumer) }, { limits: LIMITS }).discover({
        peers: [
          'x',
          '/ip4/127.0.0.1/tcp/1',
          `/ip4/127.0.0.1/tcp/1/p2p/${gone}`,
          gone,
          '/nonsense',
          '',
          address!
        ]
      })
    )
    expect(codesOf(found).toSorted()).to.deep.equal([
      ...Array<string>(6).fill('ERR_OFFER_NOT_FOUND'),
      'offer'
    ])
  })

  it('an address at which somebody else answers is not believed', async () => {
    await liar.libp2p.handle(PROTOCOL_OFFER, (stream) => say(token)(stream))
    const token = await signedOffer(liar.identity)
    const other = (await createIdentity()).id
    const address = liar.addresses()[0]!.replace(liar.identity.id, other)
    await using fresh = await startNode({ isServer: false })
    const found = await gather(
      discoverer({ openStream: fresh.openStream.bind(fresh) }, { limits: LIMITS }).discover({
        peers: [address]
      })
    )
    expect(codesOf(found)).to.deep.equal(['ERR_OFFER_NOT_FOUND'])
  })

  it('a DHT query that never ends is given up in time, and what it gave before counts', async () => {
    const token = await signedOffer(liar.identity)
    const stuck = new Promise<never>(() => undefined)
    async function* values() {
      yield { name: 'VALUE', value: Buffer.from('nonsense') }
      yield { name: 'VALUE', value: Buffer.from(token) }
      await stuck
    }
    async function* providers() {
      yield { name: 'PROVIDER', providers: [{ id: liar.identity.peerId, multiaddrs: [] }] }
      await stuck
    }
    const dht = { get: values, findProviders: providers } as unknown as NonNullable<
      DiscovererComponents['dht']
    >
    const found = await gather(discoverer({ dht }, { limits: LIMITS }).discover({ dht: true }))
    expect(codesOf(found)).to.deep.equal(['offer'])
  })

  it('a flood of providers is looked at up to the bound', async () => {
    const ids = await Promise.all(Array.from({ length: 50 }, async () => (await createIdentity()).peerId))
    let looked = 0
    async function* values() {
      looked++
      yield { name: 'PATH_ENDED' }
    }
    async function* providers() {
      for (const id of ids) yield { name: 'PROVIDER', providers: [{ id, multiaddrs: [] }] }
    }
    const dht = { get: values, findProviders: providers } as unknown as NonNullable<
      DiscovererComponents['dht']
    >
    await gather(discoverer({ dht }, { limits: { ...LIMITS, providersMax: 20 } }).discover({ dht: true }))
    expect(looked).to.equal(20)
  })
})
