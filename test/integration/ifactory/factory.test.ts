import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { factoryService, localFactory, remoteFactory, type KernelFactory } from '../../../ifactory/index.ts'
import type { KernelStamper } from '../../../soda-host/factory/kernel-stamper.ts'
import { checkManifest, verifyDocument } from '../../../src/documents/index.ts'
import { createIdentity, type Identity } from '../../../src/identity/index.ts'
import { codeOf } from '../../helpers/errors.ts'
import { agree, kernelFacts, openStamper } from '../../helpers/ifactory/workshop.ts'
import { startNode, type Node } from '../../helpers/irun/market.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const PATIENCE = () => AbortSignal.timeout(10_000)

/** A factory in this process and one at the other end of a stream are the same to who asks. */
describe('a kernel factory', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let stamper: KernelStamper
  let consumer: Identity
  let provider: Node
  let factory: Node
  let served: ReturnType<ReturnType<typeof factoryService>> & {
    start(): Promise<void>
    stop(): Promise<void>
  }
  const factories = new Map<string, () => KernelFactory>()

  before(async () => {
    directory = await temporaryDirectory()
    stamper = await openStamper(directory.path)
    consumer = await createIdentity()
    ;[provider, factory] = await Promise.all([startNode(), startNode()])
    const { identity } = factory
    served = factoryService({ identity, stamper })({ registrar: factory.libp2p }) as typeof served
    await served.start()
    factories.set('local', () => localFactory({ identity, stamper }, provider.identity.id))
    factories.set('remote', () =>
      remoteFactory(provider, { id: identity.id, addresses: factory.addresses() })
    )
  })
  after(async () => {
    await served.stop()
    await Promise.all([provider, factory].map((node) => node[Symbol.asyncDispose]()))
    await directory[Symbol.asyncDispose]()
  })
  const parties = () => ({ provider: provider.identity, consumer, factory: factory.identity })

  for (const name of ['local', 'remote']) {
    const made = (): KernelFactory => {
      const make = factories.get(name)
      if (make === undefined) throw new Error(`no factory ${name}`)
      return make()
    }

    it(`(${name}) makes the kernel of a lease, signs for it, and keeps nothing`, async () => {
      const agreed = await agree(parties())
      const issuing = made()
      expect(issuing.id).to.equal(factory.identity.id)
      {
        await using kernel = await issuing.issue(agreed.request, PATIENCE())
        const manifest = await verifyDocument('kernel-manifest', kernel.manifest, { issuer: issuing.id })
        checkManifest(manifest, agreed, Date.now())
        expect(await kernelFacts(kernel)).to.deep.equal(manifest.payload.kernel)
        expect(manifest.payload.base).to.deep.equal(stamper.base)
      }
      await emptied(join(directory.path, 'bench/work'))
    })

    it(`(${name}) makes the same kernel for the same lease, and another one for another`, async () => {
      const [agreed, another] = [await agree(parties()), await agree(parties())]
      const digests: string[] = []
      for (const { request } of [agreed, agreed, another]) {
        await using kernel = await made().issue(request, PATIENCE())
        digests.push((await kernelFacts(kernel)).digest)
      }
      expect(digests[1]).to.equal(digests[0])
      expect(digests[2]).to.not.equal(digests[0])
    })

    it(`(${name}) refuses a lease of another provider, or documents that do not agree`, async () => {
      const [agreed, another] = [await agree(parties()), await agree(parties())]
      const mallory = await createIdentity()
      const theirs = await agree({ ...parties(), provider: mallory })
      const elsewhere = await agree({ ...parties(), factory: mallory })
      for (const request of [
        theirs.request,
        elsewhere.request,
        { ...agreed.request, acceptance: another.request.acceptance },
        { ...agreed.request, lease: another.request.lease },
        { ...agreed.request, lease: agreed.request.acceptance },
        { ...agreed.request, offer: 'nonsense' }
      ])
        expect(await codeOf(() => made().issue(request, PATIENCE()))).to.equal('ERR_FACTORY_REFUSED')
    })
  }

  it('that is not there is said to be unreachable', async () => {
    const { request } = await agree(parties())
    const nobody = remoteFactory(provider, { id: consumer.id, addresses: ['/ip4/127.0.0.1/tcp/9'] })
    expect(await codeOf(() => nobody.issue(request, PATIENCE()))).to.equal('ERR_FACTORY_UNREACHABLE')
  })
})

/** Until nothing lies there: the other end of a stream ends a moment later. */
async function emptied(directory: string): Promise<void> {
  while ((await readdir(directory)).length > 0) await new Promise(setImmediate)
}
