/**
 * Attacker: a consumer with a peer id of its own, which says anything to the provider at any time, and vanishes.
 * Asset: the provider's slice and attention, other consumers' runs, what the provider's inside looks like.
 * Expected: a code and nothing else; no server that a valid acceptance did not pay for; nothing left behind; the
 * next honest consumer is served.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { expect } from 'chai'
import { pack } from 'tar-stream'
import {
  CHANNEL_OUTPUT,
  CHANNEL_STAGING,
  CHANNEL_STDIN,
  type ConsumerMessage
} from '../../../irun/messages.ts'
import { MIB, PROTOCOL_RUN } from '../../../src/constants.ts'
import { digestOf } from '../../../src/documents/index.ts'
import { createIdentity } from '../../../src/identity/index.ts'
import { nowSeconds } from '../../helpers/documents.ts'
import { seenOf } from '../../helpers/irun/events.ts'
import {
  hostWith,
  openMarket,
  smallLimits,
  startNode,
  type Market,
  type Node
} from '../../helpers/irun/market.ts'
import { answerTo, rawSession, submission, type RawSession } from '../../helpers/irun/raw-session.ts'

const STAGING_MS = 600

describe('a hostile consumer', function () {
  this.timeout(30_000)
  let market: Market
  let other: Node
  let resources: AsyncDisposableStack

  before(async () => {
    resources = new AsyncDisposableStack()
    market = resources.use(
      await openMarket({
        providerLimits: {
          stagingMs: STAGING_MS,
          firstMessageMs: 500,
          sessionsPerPeer: 8,
          submissionsPerMinute: 1000
        }
      })
    )
    other = resources.use(await startNode())
  })
  after(() => resources.disposeAsync())
  afterEach(async () => {
    await untilNoServers(market)
    const run = await market.submit('echo fine')
    expect((await seenOf(run)).stdout.toString(), 'the next honest consumer').to.equal('fine\n')
    await run.done
  })

  /** A run that is leased, in a session of its own. */
  async function leased(script = 'cat'): Promise<RawSession & { runId: string }> {
    const { message, runId } = await submission(market, script)
    const session = await rawSession(market)
    await session.say(message)
    await session.hear('leased')
    return { ...session, runId }
  }

  async function started(script: string): Promise<RawSession & { runId: string }> {
    const session = await leased(script)
    await session.say({ type: 'stagingEnd', bytes: 0 })
    while ((await session.hear('state')).status.state !== 'staged');
    await session.say({ type: 'start' })
    while ((await session.hear('state')).status.state !== 'running');
    return session
  }

  describe('with an acceptance that is not good', () => {
    it('cannot use the one of another peer', async () => {
      const stolen = await submission(market, 'true')
      expect(await answerTo(market, stolen, other)).to.deep.include({
        code: 'ERR_DOCUMENT_ISSUER',
        reasons: []
      })
    })

    it('cannot use one for another provider, offer, terms or image, nor an expired one', async () => {
      const stranger = await createIdentity()
      const now = nowSeconds()
      for (const [code, changes] of [
        ['ERR_DOCUMENT_MISMATCH', { aud: stranger.id }],
        ['ERR_RUN_REFUSED', { offerDigest: digestOf('an offer of another day') }],
        ['ERR_DOCUMENT_MISMATCH', { termsDigest: digestOf('other terms') }],
        ['ERR_DOCUMENT_MISMATCH', { request: { limits: smallLimits(), image: 'other' } }],
        ['ERR_DOCUMENT_EXPIRED', { iat: now - 1000, exp: now - 500 }],
        ['ERR_DOCUMENT_NOT_YET_VALID', { iat: now + 1000, exp: now + 1500 }]
      ] as const)
        expect(await answerTo(market, await submission(market, 'true', changes)), code).to.include({ code })
    })

    it('cannot use one with a byte changed', async () => {
      const { message, runId } = await submission(market, 'true')
      const [header, payload, signature] = message.acceptance.split('.')
      const forged = Buffer.from(payload!, 'base64url').toString().replace('"cpu":0.25', '"cpu":0.75')
      const acceptance = [header, Buffer.from(forged).toString('base64url'), signature].join('.')
      expect(await answerTo(market, { runId, message: { ...message, acceptance } })).to.include({
        code: 'ERR_DOCUMENT_SIGNATURE'
      })
    })

    it('is told every reason when it asks for too much', async () => {
      const limits = smallLimits({ cpu: 64, memoryBytes: 2 ** 45, durationSeconds: 86_400 })
      const answer = await answerTo(
        market,
        await submission(market, 'true', { request: { limits, image: 'tiny' } })
      )
      expect(answer).to.include({ type: 'refused', code: 'ERR_RULES_REFUSED' })
      if (answer.type === 'refused') expect(answer.reasons.join('; ')).to.match(/CPU.*memory.*duration/)
    })

    it('gets the same lease for the same acceptance, also at once, and one server', async () => {
      const again = await submission(market, 'true')
      const answers = await Promise.all([1, 2, 3].map(() => answerTo(market, again)))
      const leases = new Set(answers.map((answer) => (answer.type === 'leased' ? answer.lease : answer.code)))
      expect(leases.size).to.equal(1)
      expect([...leases][0]).to.match(/^ey/)
      expect((await market.host.list()).length).to.equal(1)
    })

    it('cannot put another program under an acceptance, nor use a nonce or run id twice', async () => {
      const nonce = randomBytes(16).toString('base64url')
      const first = await submission(market, 'true', { nonce })
      expect((await answerTo(market, first)).type).to.equal('leased')
      const program = { argv: ['sh', '-c', 'another'], env: {} }
      const replays = [
        { ...first, message: { ...first.message, program } },
        await submission(market, 'true', { nonce }),
        await submission(market, 'true', { runId: first.runId })
      ]
      for (const replay of replays)
        expect(await answerTo(market, replay)).to.include({ code: 'ERR_DOCUMENT_REPLAYED' })
      expect((await market.host.list()).length).to.equal(1)
    })
  })

  describe("at another's run", () => {
    it('finds nothing: not to attach to, stop, ask for or list', async () => {
      const run = await market.submit('read line')
      const { runId } = run
      const attempts: ConsumerMessage[] = [
        { type: 'attach', requestId: 'r', runId, outputOffset: 0, view: false },
        { type: 'attach', requestId: 'r', runId, outputOffset: 0, view: true },
        { type: 'stop', requestId: 'r', runId },
        { type: 'status', requestId: 'r', runId }
      ]
      for (const attempt of attempts) {
        const session = await rawSession(market, other)
        await session.say(attempt)
        expect(await session.code(), attempt.type).to.equal('ERR_RUN_UNKNOWN')
        await session.stream.close()
      }
      const session = await rawSession(market, other)
      await session.say({ type: 'list', requestId: 'r' })
      expect((await session.hear('listed')).runs).to.deep.equal([])
      await session.stream.close()
      await run.endStdin()
      expect((await run.done).outcome.kind).to.equal('status')
    })

    it('may choose the same run id without touching the run', async () => {
      const run = await market.submit('read line; echo "$line"')
      const same = await submission(market, 'echo mine; read line', { runId: run.runId }, other)
      expect((await answerTo(market, same, other)).type).to.equal('leased')
      await run.writeStdin(Buffer.from('theirs\n'))
      await run.endStdin()
      expect((await seenOf(run)).stdout.toString()).to.equal('theirs\n')
      await run.done
    })
  })

  describe('that floods', () => {
    it('has only so many sessions', async () => {
      await using busy = await openMarket({ providerLimits: { sessionsPerPeer: 3 } })
      const { message, runId } = await submission(busy, 'true')
      const first = await rawSession(busy)
      await first.say(message)
      await first.hear('leased')
      const attach: ConsumerMessage = { type: 'attach', requestId: 'r', runId, outputOffset: 0, view: true }
      const views = [await rawSession(busy), await rawSession(busy)]
      for (const view of views) {
        await view.say(attach)
        await view.hear('attached')
      }
      const fourth = await rawSession(busy)
      await fourth.say(attach)
      expect(await fourth.code()).to.equal('ERR_RUN_BUSY')
      await views[0]!.stream.close()
      const fifth = await rawSession(busy)
      await fifth.say(attach)
      await fifth.hear('attached')
      await Promise.all([first, ...views, fourth, fifth].map(({ stream }) => stream.close()))
    })

    it('has only so many submissions a minute', async () => {
      await using busy = await openMarket({ providerLimits: { submissionsPerMinute: 3 } })
      const codes: string[] = []
      for (let i = 0; i < 5; i++) {
        const bad = await submission(busy, 'true', { termsDigest: digestOf('none') })
        const answer = await answerTo(busy, bad)
        codes.push(answer.type === 'refused' ? answer.code : answer.type)
      }
      expect(codes).to.deep.equal([
        ...Array<string>(3).fill('ERR_DOCUMENT_MISMATCH'),
        'ERR_RUN_BUSY',
        'ERR_RUN_BUSY'
      ])
    })

    it('is turned away when it says nothing', async () => {
      const session = await rawSession(market)
      // The muxer opens the stream with its first byte.
      const raw = await market.consumer.openStream(
        '',
        market.provider.addresses(),
        PROTOCOL_RUN,
        AbortSignal.timeout(5000)
      )
      const closed = once(raw as unknown as EventTarget, 'remoteCloseWrite')
      raw.send(Uint8Array.from([1]))
      await closed
      raw.abort(new Error('done'))
      session.stream.abort(new Error('done'))
    })
  })

  describe('that does not keep to the protocol', () => {
    it('is cut off for bytes that are no frames, too large, too deep or no message', async () => {
      const garbage = [
        randomBytes(1000),
        Buffer.from([0xff, 0xff, 0xff, 0xff, 0]),
        framed('['.repeat(50_000)),
        framed('{"type":"launch"}'),
        framed('{"type":"list","requestId":"r","more":1}'),
        framed('{"type":"list","requestId":"\\u0000"}')
      ]
      for (const bytes of garbage) {
        const raw = await market.consumer.openStream(
          '',
          market.provider.addresses(),
          PROTOCOL_RUN,
          AbortSignal.timeout(5000)
        )
        const gone = Promise.race([
          once(raw as unknown as EventTarget, 'close'),
          once(raw as unknown as EventTarget, 'remoteCloseWrite')
        ])
        raw.send(bytes)
        await gone
        raw.abort(new Error('done'))
      }
    })

    it('is refused what its run is not ready for', async () => {
      const early: ConsumerMessage[] = [
        { type: 'start' },
        { type: 'getFiles', offset: 0 },
        { type: 'getReceipt' },
        { type: 'collected' }
      ]
      for (const message of early) {
        const session = await leased()
        await session.say(message)
        expect(await session.code(), message.type).to.equal('ERR_RUN_STATE')
        await session.stream.close()
        await stop(market, session.runId)
      }
    })

    it('is cut off when it confirms, sends or ends what cannot be', async () => {
      const acts: ((session: RawSession) => Promise<void>)[] = [
        (session) => session.say({ type: 'taken', channel: CHANNEL_OUTPUT, offset: 5 }),
        (session) => session.say({ type: 'taken', channel: CHANNEL_STDIN, offset: 0 }),
        (session) => session.data(CHANNEL_OUTPUT, 0, new Uint8Array(1)),
        (session) => session.data(9, 0, new Uint8Array(1)),
        (session) => session.data(CHANNEL_STDIN, 1, new Uint8Array(1)),
        (session) => session.say({ type: 'stdinEnd', offset: 3 }),
        (session) => session.say({ type: 'stagingEnd', bytes: 3 }),
        (session) => session.say({ type: 'list', requestId: 'r' }),
        async (session) => {
          for (let at = 0; at < 8; at++)
            await session.data(CHANNEL_STDIN, at * 200_000, new Uint8Array(200_000))
        }
      ]
      for (const [index, act] of acts.entries()) {
        const session = await leased()
        await act(session)
        expect(await session.code(), String(index)).to.equal('ERR_WIRE_FORMAT')
        await session.stream.close()
        await stop(market, session.runId)
      }
    })

    it('cannot speak in a session that only watches', async () => {
      const { runId, stream } = await leased()
      const view = await rawSession(market)
      await view.say({ type: 'attach', requestId: 'r', runId, outputOffset: 0, view: true })
      await view.hear('attached')
      await view.say({ type: 'cancel' })
      expect(await view.code()).to.equal('ERR_RUN_STATE')
      await Promise.all([view.stream.close(), stream.close()])
    })

    it('cannot put files outside, or more than its disk, and may try again', async () => {
      const session = await leased('cat good')
      const evil = await tarOf('../evil', 'x')
      await session.data(CHANNEL_STAGING, 0, evil)
      await session.say({ type: 'stagingEnd', bytes: evil.length })
      expect(await session.code()).to.equal('ERR_FILES_FORMAT')
      await session.stream.close()

      const again = await rawSession(market)
      await again.say({ type: 'attach', requestId: 'r', runId: session.runId, outputOffset: 0, view: false })
      await again.hear('attached')
      const good = await tarOf('good', 'content')
      await again.data(CHANNEL_STAGING, 0, good)
      await again.say({ type: 'stagingEnd', bytes: good.length })
      expect((await again.hear('state')).status.state).to.equal('staged')
      await again.stream.close()
      await stop(market, session.runId)

      const big = await leased()
      const header = (await tarOf('big', new Uint8Array(65 * MIB))).subarray(0, MIB)
      await big.data(CHANNEL_STAGING, 0, header.subarray(0, 200_000))
      expect(await big.code()).to.equal('ERR_FILES_LIMIT')
      await big.stream.close()
      await stop(market, big.runId)
    })
  })

  describe('that vanishes', () => {
    it('holds a lease that it does not use only for a while', async () => {
      const session = await leased()
      session.stream.abort(new Error('gone'))
      await untilNoServers(market)
      const asked = await rawSession(market)
      await asked.say({ type: 'status', requestId: 'r', runId: session.runId })
      expect((await asked.hear('status')).status.state).to.equal('released')
      await asked.stream.close()
    })

    it('holds a lease not longer by staging than by not', async () => {
      const session = await leased()
      await session.say({ type: 'stagingEnd', bytes: 0 })
      await session.hear('state')
      session.stream.abort(new Error('gone'))
      await untilNoServers(market)
    })

    it('does not end its program by that, and its result waits', async () => {
      const session = await started('echo "result"; exec cat')
      session.stream.abort(new Error('gone'))
      const [server] = await market.host.list()
      await market.host.stdin(server!.id, 0, new Uint8Array(), { end: true })
      await market.host.wait(server!.id)
      const back = await rawSession(market)
      await back.say({ type: 'attach', requestId: 'r', runId: session.runId, outputOffset: 0, view: false })
      await back.hear('attached')
      await back.hear('outputEnd')
      await back.say({ type: 'getReceipt' })
      await back.hear('receipt')
      await back.say({ type: 'collected' })
      await back.hear('settled')
      await back.stream.close()
    })

    it('leaves a result that is kept for its time and no longer', async () => {
      await using brief = await openMarket({ providerLimits: { keepMs: 0 } })
      const { message } = await submission(brief, 'true', {
        request: { limits: smallLimits({ durationSeconds: 2 }), image: 'tiny' }
      })
      const session = await rawSession(brief)
      await session.say(message)
      await session.hear('leased')
      await session.say({ type: 'stagingEnd', bytes: 0 })
      await session.hear('state')
      await session.say({ type: 'start' })
      await session.hear('outputEnd')
      session.stream.abort(new Error('gone'))
      await untilNoServers(brief)
      while (brief.handler.list()[0]?.state !== 'lost')
        await new Promise((resolve) => setTimeout(resolve, 20))
    })
  })

  it('learns nothing of what goes wrong inside', async () => {
    await using broken = await openMarket({
      host: (host) =>
        hostWith(host, {
          create: async () => {
            throw new Error('EACCES: /secret/path of the provider')
          }
        })
    })
    const answer = await answerTo(broken, await submission(broken, 'true'))
    expect(answer).to.deep.equal({ type: 'refused', requestId: 'r1', code: 'ERR_RUN_FAILED', reasons: [] })
    expect(broken.errors).to.have.length(1)
  })
})

async function untilNoServers({ host }: Market): Promise<void> {
  while ((await host.list()).length > 0 || (await host.capacity()).used.servers > 0)
    await new Promise((resolve) => setTimeout(resolve, 20))
}

async function stop(market: Market, runId: string): Promise<void> {
  const session = await rawSession(market)
  await session.say({ type: 'stop', requestId: 'r', runId })
  await session.hear('stopped')
  await session.stream.close()
}

async function tarOf(name: string, content: string | Uint8Array): Promise<Buffer> {
  const tar = pack()
  tar.entry({ name }, content)
  tar.finalize()
  const chunks: Uint8Array[] = []
  for await (const chunk of tar) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks)
}

function framed(text: string): Uint8Array {
  const header = Buffer.alloc(5)
  header.writeUInt32LE(Buffer.byteLength(text), 0)
  return Buffer.concat([header, Buffer.from(text)])
}
