/**
 * Attacker: a peer that asks a factory for kernels, or a factory that answers a provider.
 * Asset: the factory's disk, time and signature; the provider's memory and its belief in what came.
 * Expected: what is too much is refused with a code, what is not a kernel is not passed on as one, nothing is left over.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Stream } from '@libp2p/interface'
import { expect } from 'chai'
import { factoryService, localFactory, remoteFactory, type Stamper } from '../../../ifactory/index.ts'
import { KERNEL_BYTES_MAX, PROTOCOL_FACTORY } from '../../../src/constants.ts'
import { framedStream } from '../../../src/wire/index.ts'
import { answerMessage, type AnswerMessage } from '../../../ifactory/messages.ts'
import { createIdentity, type Identity } from '../../../src/identity/index.ts'
import { codeOf } from '../../helpers/errors.ts'
import { agree, kernelFacts, openStamper } from '../../helpers/ifactory/workshop.ts'
import { startNode, type Node } from '../../helpers/irun/market.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const PATIENCE = () => AbortSignal.timeout(10_000)

describe('adversarial: peers of a factory', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let stamper: Stamper
  let consumer: Identity
  let provider: Node
  let factory: Node
  before(async () => {
    directory = await temporaryDirectory()
    stamper = await openStamper(directory.path)
    consumer = await createIdentity()
    ;[provider, factory] = await Promise.all([startNode(), startNode()])
  })
  after(async () => {
    await Promise.all([provider, factory].map((node) => node[Symbol.asyncDispose]()))
    await directory[Symbol.asyncDispose]()
  })
  const parties = () => ({ provider: provider.identity, consumer, factory: factory.identity })

  async function serving(limits: object = {}): Promise<AsyncDisposable> {
    const init = { identity: factory.identity, stamper, limits }
    const service = factoryService(init)({ registrar: factory.libp2p }) as unknown as {
      start(): Promise<void>
      stop(): Promise<void>
    }
    await service.start()
    return { [Symbol.asyncDispose]: () => service.stop() }
  }
  const asked = () => remoteFactory(provider, { id: factory.identity.id, addresses: factory.addresses() })

  it('who ask too often are told so', async () => {
    await using _service = await serving({ requestsPerMinute: 2 })
    const { request } = await agree(parties())
    for (let i = 0; i < 2; i++) {
      await using kernel = await asked().issue(request, PATIENCE())
      await kernelFacts(kernel)
    }
    expect(await codeOf(() => asked().issue(request, PATIENCE()))).to.equal('ERR_FACTORY_BUSY')
  })

  it('who ask for more at once than a factory makes are told so, and the others are served', async () => {
    const gate = Promise.withResolvers<undefined>()
    const slow: Stamper = {
      base: stamper.base,
      stamp: async (stamp) => {
        await gate.promise
        return stamper.stamp(stamp)
      }
    }
    const limits = { atATime: 1, waitingPerTurn: 1 }
    const one = localFactory({ identity: factory.identity, stamper: slow, limits }, provider.identity.id)
    const { request } = await agree(parties())
    const served = [one.issue(request, PATIENCE()), one.issue(request, PATIENCE())]
    expect(await codeOf(() => one.issue(request, PATIENCE()))).to.equal('ERR_FACTORY_BUSY')
    gate.resolve(undefined)
    for (const kernel of await Promise.all(served)) await kernel[Symbol.asyncDispose]()
    expect(await readdir(join(directory.path, 'bench/work'))).to.deep.equal([])
  })

  it('who say nothing, or something else, are cut off with a code', async () => {
    await using _service = await serving({ requestMs: 50 })
    const open = async (): Promise<Stream> =>
      provider.openStream(factory.identity.id, factory.addresses(), PROTOCOL_FACTORY, PATIENCE())
    const answerTo = async (messages: { type: string; token: string }[]): Promise<unknown> => {
      const stream = framedStream<AnswerMessage, unknown>(await open(), { messages: answerMessage })
      try {
        for (const message of messages) await stream.send({ kind: 'message', message })
        return await stream.read(PATIENCE())
      } finally {
        await stream.close()
      }
    }
    const error = (code: string) => ({ kind: 'message', message: { type: 'error', code } })
    expect(await answerTo([])).to.deep.equal(error('ERR_WIRE_TIMEOUT'))
    expect(await answerTo([{ type: 'lease', token: 'x' }])).to.deep.equal(error('ERR_WIRE_FORMAT'))
    // What is no message at all ends the stream.
    expect(await codeOf(() => answerTo([{ type: 'offer', token: 'x'.repeat(70_000) }]))).to.equal(
      'ERR_WIRE_CLOSED'
    )
  })

  it('a peer that leaves in the middle of its kernel leaves nothing behind', async () => {
    await using _service = await serving()
    const { request } = await agree(parties())
    const kernel = await asked().issue(request, PATIENCE())
    await kernel[Symbol.asyncDispose]()
    while ((await readdir(join(directory.path, 'bench/work'))).length > 0) await new Promise(setImmediate)
  })

  it('a factory that sends too little, too much, gaps or nonsense gives no kernel', async () => {
    const answers: [name: string, AnswerMessage[], { channel?: number; offset: number; bytes: number }[]][] =
      [
        ['nothing', [], []],
        ['an error of its own making', [{ type: 'error', code: 'ERR_NO_SUCH_THING' }], []],
        ['half a kernel', [issued(100)], [{ offset: 0, bytes: 50 }]],
        ['more than it said', [issued(100)], [{ offset: 0, bytes: 101 }]],
        [
          'a gap',
          [issued(100)],
          [
            { offset: 0, bytes: 10 },
            { offset: 20, bytes: 80 }
          ]
        ],
        ['another channel', [issued(100)], [{ channel: 1, offset: 0, bytes: 100 }]],
        ['more than any kernel', [issued(KERNEL_BYTES_MAX + 1)], []]
      ]
    for (const [name, messages, pieces] of answers) {
      await factory.libp2p.handle(PROTOCOL_FACTORY, async (raw: Stream) => {
        const stream = framedStream(raw, { messages: answerMessage })
        for (const message of messages) await stream.send({ kind: 'message', message })
        for (const { channel = 0, offset, bytes } of pieces)
          await stream.send({ kind: 'data', channel, offset, data: Buffer.alloc(bytes) })
        await raw.close()
      })
      const { request } = await agree(parties())
      const code = await codeOf(async () => {
        await using kernel = await asked().issue(request, PATIENCE())
        await kernelFacts(kernel)
      })
      expect(code, name).to.equal('ERR_FACTORY_UNREACHABLE')
      await factory.libp2p.unhandle(PROTOCOL_FACTORY)
    }
  })
})

function issued(sizeBytes: number): AnswerMessage {
  return { type: 'issued', manifest: 'a.b.c', sizeBytes }
}
