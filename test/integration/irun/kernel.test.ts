import { expect } from 'chai'
import type { HostServerSpec } from '../../../irun/host.ts'
import type { RunHost } from '../../../irun/index.ts'
import { FactoryError } from '../../../src/errors.ts'
import { codeOf } from '../../helpers/errors.ts'
import { seenOf } from '../../helpers/irun/events.ts'
import { openWorkshop, wishFor, type Workshop } from '../../helpers/irun/kernels.ts'
import { hostWith, openMarket } from '../../helpers/irun/market.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('a run under a kernel that was made for it', function () {
  this.timeout(30_000)
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let workshop: Workshop
  before(async () => {
    directory = await temporaryDirectory()
    workshop = await openWorkshop(directory.path)
  })
  after(() => directory[Symbol.asyncDispose]())

  it('boots the kernel that the manifest names, which both sides have', async () => {
    await using market = await openMarket({ factories: (provider) => [workshop.factory(provider)] })
    const kernel = wishFor(workshop.identity)
    const run = await market.submit('echo sealed', { kernel })
    expect(run.lease.payload.factory).to.equal(workshop.identity.id)
    const seen = seenOf(run)
    const booted = await bootedKernel(market.host)
    expect((await seen).stdout.toString()).to.equal('sealed\n')
    await run.done
    const manifest = await market.client.manifest(run.runId)
    expect(manifest?.payload.kernel.digest).to.equal(booted)
    expect(manifest?.payload.stamp.logKeys).to.deep.equal(
      kernel.logKeys.map((key) => Buffer.from(key).toString('base64url'))
    )
  })

  it('names the keys that open a dump of its server: those that read what the kernel seals', async () => {
    const specs: HostServerSpec[] = []
    await using market = await openMarket({
      factories: (provider) => [workshop.factory(provider)],
      host: (host) =>
        hostWith(host, {
          create: async (spec, signal) => {
            specs.push(spec)
            return host.create(spec, signal)
          }
        })
    })
    const kernel = wishFor(workshop.identity)
    const run = await market.submit('true', { kernel })
    await run.done
    const keys = kernel.logKeys.map((key) => Buffer.from(key).toString('base64url'))
    expect(specs.map(({ dumpKeys }) => dumpKeys)).to.deep.equal([keys])
  })

  it('waits for a factory that is away or busy, and goes on when it is there', async () => {
    let isAway = 3
    await using market = await openMarket({
      factories: (provider) => {
        const factory = workshop.factory(provider)
        return [
          {
            id: factory.id,
            issue: async (request, signal) => {
              if (isAway-- > 0) throw new FactoryError('ERR_FACTORY_UNREACHABLE', 'away')
              return factory.issue(request, signal)
            }
          }
        ]
      }
    })
    const run = await market.submit('echo late', { kernel: wishFor(workshop.identity) })
    expect((await seenOf(run)).stdout.toString()).to.equal('late\n')
    await run.done
  })

  it('is found again by a consumer that went away before it had seen the manifest', async () => {
    const gate = Promise.withResolvers<undefined>()
    await using market = await openMarket({
      factories: (provider) => [workshop.factory(provider)],
      host: (host) =>
        hostWith(host, {
          putKernel: async (...args) => {
            await gate.promise
            return host.putKernel(...args)
          }
        })
    })
    const run = await market.submit('echo found', { kernel: wishFor(workshop.identity) })
    await run.detach()
    gate.resolve(undefined)
    const again = await market.client.attach(run.runId)
    expect((await seenOf(again)).stdout.toString()).to.equal('found\n')
    await again.done
    expect(await market.client.manifest(run.runId)).to.not.equal(undefined)
  })

  it('is not asked for where no factory is believed by both', async () => {
    await using market = await openMarket({ factories: (provider) => [workshop.factory(provider)] })
    await using plain = await openMarket()
    const other = wishFor(market.consumer.identity)
    for (const submit of [
      () => market.submit('true'),
      () => market.submit('true', { kernel: other }),
      () => plain.submit('true', { kernel: other })
    ])
      expect(await codeOf(submit)).to.equal('ERR_MANIFEST_UNTRUSTED')
    expect(market.client.list()).to.deep.equal([])
  })
})

/** Digest of the kernel of the only server, once it boots. */
async function bootedKernel(host: RunHost): Promise<string | undefined> {
  for (;;) {
    const [server] = await host.list()
    if (server !== undefined && server.state !== 'created') return server.kernel
    await new Promise(setImmediate)
  }
}
