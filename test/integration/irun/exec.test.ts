/**
 * Programs beside the main one, over libp2p. Attackers: a consumer that is not the run's, one that opens sessions
 * without end, one that speaks nonsense. Assets: the run, the host, the provider. Expected: refusals with a code, and
 * the run goes on.
 */
import { expect } from 'chai'
import { constants } from 'node:os'
import {
  execProviderMessage,
  type ExecConsumerMessage,
  type ExecProviderMessage
} from '../../../irun/exec-messages.ts'
import type { RunExec, RunHandle } from '../../../irun/index.ts'
import { PROTOCOL_EXEC } from '../../../src/constants.ts'
import { framedStream, type FramedStream } from '../../../src/wire/index.ts'
import { codeOf } from '../../helpers/errors.ts'
import { openMarket, startNode, type Market, type Node } from '../../helpers/irun/market.ts'

type ExecStream = FramedStream<ExecProviderMessage, ExecConsumerMessage>

async function textOf(session: RunExec): Promise<{ stdout: string; stderr: string }> {
  const text = { stdout: '', stderr: '' }
  for await (const { stream, data } of session.output) text[stream] += Buffer.from(data).toString()
  return text
}

describe('a program beside that of a run', function () {
  this.timeout(60_000)
  const cat = { argv: ['cat'], env: {} }
  let market: Market
  let run: RunHandle
  const events: string[] = []

  before(async () => {
    market = await openMarket({ providerLimits: { sessionsPerPeer: 6 } })
    run = await market.submit('echo main; cat')
    const told = Promise.withResolvers<undefined>()
    void (async () => {
      for await (const event of run.events)
        if (event.type === 'stdout') {
          events.push(Buffer.from(event.data).toString())
          told.resolve(undefined)
        }
    })()
    await told.promise
  })

  after(() => market[Symbol.asyncDispose]())

  function exec(script: string): Promise<RunExec> {
    return market.client.exec(run.runId, { argv: ['sh', '-c', script] })
  }

  async function raw(node: Node = market.consumer): Promise<ExecStream> {
    const { provider } = market
    const stream = await node.openStream(
      provider.identity.id,
      provider.addresses(),
      PROTOCOL_EXEC,
      AbortSignal.timeout(10_000)
    )
    return framedStream<ExecProviderMessage, ExecConsumerMessage>(stream, { messages: execProviderMessage })
  }

  async function answer(stream: ExecStream): Promise<unknown> {
    const frame = await stream.read()
    await stream.close()
    return frame?.kind === 'message' ? frame.message : frame
  }

  it('has streams and a status of its own', async () => {
    await using session = await exec('echo out; echo err >&2; cat; exit 7')
    await session.writeStdin(Buffer.from('in\n'))
    await session.endStdin()
    expect(await textOf(session)).to.deep.equal({ stdout: 'out\nin\n', stderr: 'err\n' })
    expect(await session.exited).to.deep.equal({ kind: 'status', status: 7 })
  })

  it('is carried whole, more of it than any window', async () => {
    await using session = await exec('cat')
    const reading = textOf(session)
    for (let i = 0; i < 20; i++) await session.writeStdin(Buffer.alloc(100_000, 'x'))
    await session.endStdin()
    expect((await reading).stdout.length).to.equal(2_000_000)
  })

  it('is interrupted by a signal', async () => {
    await using session = await exec('trap "exit 9" INT; echo armed; while :; do sleep 0.05; done')
    for await (const { data } of session.output)
      if (data.length > 0) await session.signal(constants.signals.SIGINT)
    expect(await session.exited).to.deep.equal({ kind: 'status', status: 9 })
  })

  it('ends with its stream, and whoever waits for it is told', async () => {
    const session = await exec('exec sleep 1000')
    await session.close()
    expect(await codeOf(() => session.exited)).to.equal('ERR_RUN_DETACHED')
  })

  it('is refused to every other peer, for whom the run does not exist', async () => {
    await using stranger = await startNode()
    const stream = await raw(stranger)
    await stream.send({ kind: 'message', message: { type: 'exec', runId: run.runId, program: cat } })
    expect(await answer(stream)).to.deep.equal({ type: 'error', code: 'ERR_RUN_UNKNOWN' })
  })

  it('is refused when a consumer has as many as it may, and possible again afterwards', async () => {
    const all: RunExec[] = []
    const code = await codeOf(async () => {
      for (let i = 0; i < 20; i++) all.push(await exec('cat'))
    })
    expect(code).to.equal('ERR_RUN_BUSY')
    // The run itself has one.
    expect(all.length).to.equal(5)
    await Promise.all(all.map((session) => session.close()))
    for (let code = 'ERR_RUN_BUSY'; code === 'ERR_RUN_BUSY';)
      code = await exec('true').then(
        async (session) => (await textOf(session)).stdout,
        (error: unknown) => (error as { code: string }).code
      )
  })

  it('is cut off when its consumer breaks the protocol', async () => {
    const attacks: ((stream: ExecStream) => Promise<void>)[] = [
      (stream) => stream.send({ kind: 'message', message: { type: 'signal', signal: 9 } }),
      (stream) => stream.send({ kind: 'data', channel: 0, offset: 0, data: Buffer.from('x') })
    ]
    const later: ((stream: ExecStream) => Promise<void>)[] = [
      (stream) => stream.send({ kind: 'data', channel: 1, offset: 0, data: Buffer.from('x') }),
      (stream) => stream.send({ kind: 'data', channel: 0, offset: 5, data: Buffer.from('x') }),
      (stream) => stream.send({ kind: 'message', message: { type: 'stdinEnd', offset: 5 } }),
      (stream) => stream.send({ kind: 'message', message: { type: 'exec', runId: run.runId, program: cat } })
    ]
    for (const attack of attacks) {
      const stream = await raw()
      await attack(stream)
      expect(await answer(stream)).to.deep.equal({ type: 'error', code: 'ERR_WIRE_FORMAT' })
    }
    for (const attack of later) {
      const stream = await raw()
      await stream.send({ kind: 'message', message: { type: 'exec', runId: run.runId, program: cat } })
      expect(await stream.read()).to.deep.equal({ kind: 'message', message: { type: 'started' } })
      await attack(stream)
      expect(await answer(stream)).to.deep.equal({ type: 'error', code: 'ERR_WIRE_FORMAT' })
    }
  })

  it('leaves the main program alone, and is refused when that has ended', async () => {
    await run.writeStdin(Buffer.from('still here\n'))
    await run.endStdin()
    expect((await run.done).outcome).to.deep.equal({ kind: 'status', status: 0 })
    expect(events.join('')).to.equal('main\nstill here\n')
    expect(await codeOf(() => exec('true'))).to.equal('ERR_RUN_STATE')
  })
})
