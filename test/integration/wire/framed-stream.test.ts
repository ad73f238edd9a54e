import { once } from 'node:events'
import type { Stream } from '@libp2p/interface'
import { expect } from 'chai'
import { z } from 'zod'
import { DATA_FRAME_BYTES_MAX, MIB } from '../../../src/constants.ts'
import { framedStream, type FramedStream } from '../../../src/wire/index.ts'
import { encodeFrame } from '../../../src/wire/frame.ts'
import { codeOf } from '../../helpers/errors.ts'
import { startNode, type Node } from '../../helpers/irun/market.ts'

const PROTOCOL = '/ishare/test/1.0.0'
const message = z.strictObject({ text: z.string() })
type Message = z.infer<typeof message>
type Framed = FramedStream<Message, Message>

describe('a framed stream between two libp2p nodes', () => {
  let resources: AsyncDisposableStack
  let [here, there]: Node[] = []
  const arrived: ((stream: Stream) => void)[] = []

  before(async () => {
    resources = new AsyncDisposableStack()
    here = resources.use(await startNode())
    there = resources.use(await startNode())
    await there.libp2p.handle(PROTOCOL, (stream) => arrived.shift()?.(stream))
  })
  after(() => resources.disposeAsync())

  async function rawPair(): Promise<[Stream, Stream]> {
    const inbound = new Promise<Stream>((resolve) => arrived.push(resolve))
    const signal = AbortSignal.timeout(10_000)
    const outbound = await here!.openStream(there!.identity.id, there!.addresses(), PROTOCOL, signal)
    // A stream exists for the other side when something comes.
    outbound.send(encodeFrame({ kind: 'ping' }))
    return [outbound, await inbound]
  }

  async function pair(idleTimeoutMs?: number): Promise<[Framed, Framed, Stream, Stream]> {
    const [outbound, inbound] = await rawPair()
    const init = { messages: message, ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }) }
    return [framedStream(outbound, init), framedStream(inbound, init), outbound, inbound]
  }

  it('carries messages and data in order, and ends where it was closed', async () => {
    const [a, b] = await pair()
    await a.send({ kind: 'message', message: { text: 'one' } })
    await a.send({ kind: 'data', channel: 3, offset: 7, data: Buffer.from('two') })
    const closing = a.close()
    expect(await b.read()).to.deep.equal({ kind: 'message', message: { text: 'one' } })
    const second = await b.read()
    expect(second).to.include({ kind: 'data', channel: 3, offset: 7 })
    expect(await b.read()).to.equal(undefined)
    await b.close()
    await closing
  })

  it('holds a fast sender back when nobody reads, in bounded memory, and loses nothing', async () => {
    const [a, b, , inbound] = await pair()
    const total = 64 * MIB
    const data = Buffer.alloc(DATA_FRAME_BYTES_MAX, 1)
    let sent = 0
    const sending = (async () => {
      for (; sent < total; sent += data.length) await a.send({ kind: 'data', channel: 0, offset: sent, data })
    })()
    // Nobody reads: after the windows are full nothing moves any more.
    let before = -1
    while (before !== sent) {
      before = sent
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    expect(sent).to.be.below(40 * MIB)
    expect(inbound.readBufferLength).to.be.at.most(17 * MIB)
    let received = 0
    while (received < total) {
      const frame = await b.read()
      if (frame?.kind !== 'data') throw new Error('no data')
      expect(frame.offset).to.equal(received)
      received += frame.data.length
    }
    await sending
    a.abort(new Error('done'))
    b.abort(new Error('done'))
  }).timeout(60_000)

  it('refuses a message that is not what the schema says', async () => {
    const [outbound, inbound] = await rawPair()
    const b = framedStream<Message, Message>(inbound, { messages: message })
    outbound.send(encodeFrame({ kind: 'message', payload: Buffer.from('{"text":5}') }))
    expect(await codeOf(() => b.read())).to.equal('ERR_WIRE_FORMAT')
    expect(await codeOf(() => b.read())).to.equal('ERR_WIRE_FORMAT')
    expect(await codeOf(() => b.send({ kind: 'message', message: { text: '' } }))).to.equal('ERR_WIRE_FORMAT')
    expect(inbound.status).to.equal('aborted')
  })

  it('says when the stream ended within a frame, and when it was reset', async () => {
    const [outbound, inbound] = await rawPair()
    const b = framedStream<Message, Message>(inbound, { messages: message })
    outbound.send(Uint8Array.from([100, 0, 0, 0, 0, 1, 2, 3]))
    await outbound.close()
    expect(await codeOf(() => b.read())).to.equal('ERR_WIRE_CLOSED')

    const [c, d] = await pair()
    const reading = codeOf(() => d.read())
    c.abort(new Error('enough'))
    expect(await reading).to.equal('ERR_WIRE_CLOSED')
  })

  it('gives up a peer that says nothing, and keeps one that only pings', async () => {
    const [, inbound] = await rawPair()
    const b = framedStream<Message, Message>(inbound, { messages: message, idleTimeoutMs: 100 })
    expect(await codeOf(() => b.read())).to.equal('ERR_WIRE_TIMEOUT')

    const [c, d] = await pair(400)
    const reading = d.read()
    const quiet = new Promise((resolve) => setTimeout(resolve, 1200, 'quiet'))
    expect(await Promise.race([reading, quiet])).to.equal('quiet')
    await c.send({ kind: 'message', message: { text: 'still here' } })
    expect(await reading).to.deep.equal({ kind: 'message', message: { text: 'still here' } })
    await Promise.all([c.close(), d.close()])
  })

  it('gives up a peer that takes nothing', async () => {
    const [outbound, inbound] = await rawPair()
    const a = framedStream<Message, Message>(outbound, { messages: message, idleTimeoutMs: 300 })
    inbound.addEventListener('message', () => undefined)
    inbound.pause()
    const pinging = setInterval(() => inbound.send(encodeFrame({ kind: 'ping' })), 50)
    const data = new Uint8Array(DATA_FRAME_BYTES_MAX)
    const flood = async (): Promise<void> => {
      for (let offset = 0; ; offset += data.length) await a.send({ kind: 'data', channel: 0, offset, data })
    }
    try {
      expect(await codeOf(flood)).to.equal('ERR_WIRE_TIMEOUT')
    } finally {
      clearInterval(pinging)
      inbound.abort(new Error('done'))
    }
  })

  it('closes although the other side never does', async () => {
    const [outbound, inbound] = await rawPair()
    const b = framedStream<Message, Message>(inbound, { messages: message })
    outbound.addEventListener('message', () => undefined)
    const closed = once(outbound as unknown as EventTarget, 'close')
    await b.close()
    expect(inbound.status).to.be.oneOf(['closed', 'aborted'])
    await closed
  }).timeout(15_000)

  it('ends a read whose caller gives up, and can be read on', async () => {
    const [a, b] = await pair()
    const controller = new AbortController()
    const reading = codeOf(() => b.read(controller.signal))
    controller.abort(Object.assign(new Error('enough'), { code: 'ENOUGH' }))
    expect(await reading).to.equal('ENOUGH')
    await a.send({ kind: 'message', message: { text: 'on' } })
    expect(await b.read()).to.deep.equal({ kind: 'message', message: { text: 'on' } })
    await Promise.all([a.close(), b.close()])
  })
})
