/**
 * Attacker: a provider that shows a run's sealed log otherwise than it was, or a peer that wants somebody else's; a
 * consumer that asks for anything.
 * Asset: the consumer's copy and disk, its knowledge of how far the log had come; the provider's memory and its secrets.
 * Expected: what was copied stays as it was; heads are believed only if signed for this run, and never taken back; a log
 * that was cut, set back, or replaced by another server's is told of as such; strangers get nothing.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Stream } from '@libp2p/interface'
import { expect } from 'chai'
import type { RunHandle } from '../../../irun/index.ts'
import { logAnswer, logRequest, type LogAnswer, type LogRequest } from '../../../irun/log-messages.ts'
import { verifyLog } from '../../../soda-host/logs/index.ts'
import { PROTOCOL_LOG } from '../../../src/constants.ts'
import { signDocument, type PayloadInput } from '../../../src/documents/index.ts'
import { createIdentity, type Identity } from '../../../src/identity/index.ts'
import { framedStream } from '../../../src/wire/index.ts'
import { bytesOf } from '../../helpers/daemon/server-spec.ts'
import { nowSeconds } from '../../helpers/documents.ts'
import { codeOf } from '../../helpers/errors.ts'
import { openWorkshop, wishFor, type Workshop } from '../../helpers/irun/kernels.ts'
import { growingLog, type GrowingLog } from '../../helpers/irun/log-host.ts'
import { openMarket, startNode, type Market, type Node } from '../../helpers/irun/market.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('adversarial: a sealed log on its way', function () {
  this.timeout(30_000)
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let workshop: Workshop
  let log: GrowingLog
  let market: Market
  let run: RunHandle
  before(async () => {
    directory = await temporaryDirectory()
    workshop = await openWorkshop(directory.path)
  })
  after(() => directory[Symbol.asyncDispose]())
  beforeEach(async () => {
    log = await growingLog()
    market = await openMarket({
      factories: (provider) => [workshop.factory(provider)],
      host: (host) => log.on(host),
      consumerLimits: { logBytesMax: 100_000 }
    })
    run = await market.submit('echo here; read line', { kernel: wishFor(workshop.identity) })
    for await (const event of run.events) if (event.type === 'stdout') break
  })
  afterEach(() => market[Symbol.asyncDispose]())
  const fetched = () => bytesOf(market.client.sealedLog(run.runId))
  const copyPath = () => join(market.directory, 'consumer/runs', run.runId, 'sealed.klog')

  async function opened(node: Node, message: unknown): Promise<LogAnswer | undefined> {
    const raw = await node.openStream(
      market.provider.identity.id,
      market.provider.addresses(),
      PROTOCOL_LOG,
      AbortSignal.timeout(10_000)
    )
    const stream = framedStream<LogAnswer, unknown>(raw, { messages: logAnswer })
    try {
      await stream.send({ kind: 'message', message })
      const frame = await stream.read(AbortSignal.timeout(10_000))
      return frame?.kind === 'message' ? frame.message : undefined
    } finally {
      stream.abort(new Error('enough'))
    }
  }

  /** The provider answers every request for a log with this. */
  async function lying(
    answer: (
      say: (message: LogAnswer) => Promise<void>,
      data: (offset: number, bytes: Uint8Array) => Promise<void>
    ) => Promise<void>
  ): Promise<void> {
    await market.provider.libp2p.unhandle(PROTOCOL_LOG)
    await market.provider.libp2p.handle(PROTOCOL_LOG, async (raw: Stream) => {
      const stream = framedStream<LogRequest, LogAnswer>(raw, { messages: logRequest })
      await stream.read()
      try {
        await answer(
          (message) => stream.send({ kind: 'message', message }),
          (offset, data) => stream.send({ kind: 'data', channel: 0, offset, data })
        )
        await stream.close()
      } catch {
        // The consumer has gone.
      }
    })
  }
  async function anchor(
    changes: Partial<PayloadInput<'log-anchor'>> = {},
    signer?: Identity
  ): Promise<string> {
    const identity = signer ?? market.provider.identity
    const now = nowSeconds()
    return signDocument(
      'log-anchor',
      {
        v: 1,
        iss: identity.id,
        aud: market.consumer.identity.id,
        iat: now,
        exp: now + 1000,
        runId: run.runId,
        leaseDigest: run.lease.digest,
        boot: 0,
        frame: 5,
        head: 'ab'.repeat(32),
        end: 1000,
        ...changes
      },
      identity
    )
  }

  it('is given to its consumer only', async () => {
    log.growTo(log.whole.length)
    await using stranger = await startNode()
    const message = { type: 'log', runId: run.runId, offset: 0, follow: false }
    expect(await opened(stranger, message)).to.deep.equal({ type: 'error', code: 'ERR_RUN_UNKNOWN' })
    expect(await opened(market.consumer, { ...message, runId: '0'.repeat(26) })).to.deep.equal({
      type: 'error',
      code: 'ERR_RUN_UNKNOWN'
    })
  })

  it('is not asked for beyond its end, nor by nonsense', async () => {
    log.growTo(1000)
    const message = { type: 'log', runId: run.runId, offset: 1001, follow: false }
    expect(await opened(market.consumer, message)).to.deep.equal({ type: 'error', code: 'ERR_RUN_STATE' })
    expect(await opened(market.consumer, { ...message, offset: 1000 })).to.deep.equal({
      type: 'from',
      offset: 1000
    })
    expect(await codeOf(() => opened(market.consumer, { ...message, offset: -1 }))).to.equal(
      'ERR_WIRE_CLOSED'
    )
  })

  it('that goes back, leaves gaps or runs over is not taken, and what was copied stays', async () => {
    log.growTo(2000)
    await fetched()
    const before = await readFile(copyPath())
    const lies: Parameters<typeof lying>[0][] = [
      (say) => say({ type: 'from', offset: 100 }),
      async (say, data) => {
        await say({ type: 'from', offset: 2000 })
        await data(1000, Buffer.alloc(10))
      },
      async (say, data) => {
        await say({ type: 'from', offset: 2000 })
        await data(2001, Buffer.alloc(10))
      }
    ]
    for (const lie of lies) {
      await lying(lie)
      expect(await codeOf(fetched)).to.equal('ERR_PROVIDER_DISHONEST')
      expect(await readFile(copyPath())).to.deep.equal(before)
    }
    await lying(async (say, data) => {
      await say({ type: 'from', offset: 2000 })
      await data(2000, Buffer.alloc(99_000))
    })
    expect(await codeOf(fetched)).to.equal('ERR_LOG_LIMIT')
    expect(await readFile(copyPath())).to.deep.equal(before)
  })

  it('is anchored by heads of this run, signed by its provider, and by no others', async () => {
    const mallory = await createIdentity()
    for (const token of [
      'nonsense',
      await anchor({}, mallory),
      await anchor({ aud: mallory.id }),
      await anchor({ runId: '0'.repeat(26) }),
      await anchor({ leaseDigest: `sha256:${'0'.repeat(64)}` })
    ]) {
      await lying(async (say) => {
        await say({ type: 'from', offset: 0 })
        await say({ type: 'anchor', token })
      })
      expect(await codeOf(fetched)).to.equal('ERR_PROVIDER_DISHONEST')
    }
    expect((await market.client.logFacts(run.runId)).anchors).to.deep.equal([])
  })

  it('a head that was signed is not taken back, by an older one or by another one', async () => {
    const say = async (token: string): Promise<void> => {
      await lying(async (answer) => {
        await answer({ type: 'from', offset: 0 })
        await answer({ type: 'anchor', token })
        await answer({ type: 'end', offset: 0 })
      })
      await fetched()
    }
    const kept = async () =>
      (await market.client.logFacts(run.runId)).anchors.map(({ payload }) => payload.frame)
    await say(await anchor())
    await say(await anchor({ frame: 4, head: 'cd'.repeat(32) }))
    expect(await kept()).to.deep.equal([5])
    const other = await anchor({ head: 'ef'.repeat(32) })
    expect(await codeOf(() => say(other))).to.equal('ERR_PROVIDER_DISHONEST')
    await say(await anchor({ frame: 9 }))
    await say(await anchor({ boot: 1, frame: 0 }))
    expect(await kept()).to.deep.equal([9, 0])
  })

  it('that was set back to an earlier state shows it, with the copy or without', async () => {
    log.growTo(log.whole.length)
    await fetched()
    const { anchors } = await market.client.logFacts(run.runId)
    const heads = anchors.map(({ payload }) => ({
      bootNumber: payload.boot,
      frameNumber: BigInt(payload.frame),
      head: payload.head
    }))
    log.growTo(1500)
    // The copy is what it was.
    expect(await fetched()).to.deep.equal(log.whole)
    await rm(copyPath())
    const { isWhole, findings } = await verifyLog([await fetched()], { anchors: heads })
    expect(isWhole).to.equal(false)
    expect(findings.map(({ kind }) => kind)).to.include('anchor')
  })

  it("of another server is not taken for the run's own", async () => {
    log.growTo(log.whole.length)
    const { serverId } = await market.client.logFacts(run.runId)
    const { isWhole, findings } = await verifyLog([await fetched()], { serverId })
    expect(isWhole).to.equal(false)
    expect(findings.map(({ kind }) => kind)).to.include('foreign')
  })
})
