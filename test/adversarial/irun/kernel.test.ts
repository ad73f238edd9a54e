/**
 * Attacker: a factory, or a landlord, or a tenant, who wants another kernel to boot than the one that was agreed on.
 * Asset: that a tenant's server runs a kernel of a factory that both believe, stamped for this lease and this tenant.
 * Expected: the provider boots nothing else, the consumer never says `start` to anything else; each with a code.
 */
import { join } from 'node:path'
import { expect } from 'chai'
import { runClient } from '../../../irun/index.ts'
import type { KernelFactory } from '../../../ifactory/index.ts'
import { signDocument, verifyDocument, type PayloadInput } from '../../../src/documents/index.ts'
import { createIdentity } from '../../../src/identity/index.ts'
import { sampleKernelWish, sampleManifest } from '../../helpers/documents.ts'
import { errorOf } from '../../helpers/errors.ts'
import { hostileProvider, type Mischief } from '../../helpers/irun/hostile-provider.ts'
import { dishonest, openWorkshop, wishFor, type Workshop } from '../../helpers/irun/kernels.ts'
import { hostWith, openMarket, smallLimits, startNode } from '../../helpers/irun/market.ts'
import { answerTo, rawSession, submission } from '../../helpers/irun/raw-session.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('adversarial: the kernel that boots', function () {
  this.timeout(30_000)
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let workshop: Workshop
  before(async () => {
    directory = await temporaryDirectory()
    workshop = await openWorkshop(directory.path)
  })
  after(() => directory[Symbol.asyncDispose]())

  /** What became of a run whose factory does that. */
  async function outcomeWith(change: Parameters<typeof dishonest>[1]): Promise<unknown> {
    let starts = 0
    await using market = await openMarket({
      factories: (provider) => [dishonest(workshop.factory(provider), change)],
      host: (host) =>
        hostWith(host, {
          start: (...args) => {
            starts++
            return host.start(...args)
          }
        })
    })
    const run = await market.submit('echo booted', { kernel: wishFor(workshop.identity) })
    const { outcome } = await run.done
    expect(starts).to.equal(0)
    expect(await market.host.list()).to.deep.equal([])
    return outcome
  }
  const failed = (code: string) => ({ kind: 'failed', code })

  it('is none whose manifest was forged, or is that of another lease, tenant or time', async () => {
    const mallory = await createIdentity()
    const forged = async (
      manifest: string,
      changes: Partial<PayloadInput<'kernel-manifest'>>,
      signer = workshop.identity
    ) => {
      const { payload } = await verifyDocument('kernel-manifest', manifest)
      return signDocument('kernel-manifest', { ...payload, ...changes }, signer)
    }
    expect(
      await outcomeWith(async ({ manifest }) => ({
        manifest: await forged(manifest, { iss: mallory.id }, mallory)
      }))
    ).to.deep.equal(failed('ERR_DOCUMENT_ISSUER'))
    expect(await outcomeWith(({ manifest }) => ({ manifest: `${manifest.slice(0, -4)}AAAA` }))).to.deep.equal(
      failed('ERR_DOCUMENT_SIGNATURE')
    )
    const leaseDigest = `sha256:${'0'.repeat(64)}`
    expect(
      await outcomeWith(async ({ manifest }) => ({ manifest: await forged(manifest, { leaseDigest }) }))
    ).to.deep.equal(failed('ERR_MANIFEST_MISMATCH'))
    const { factories: _, ...keys } = sampleKernelWish()
    expect(
      await outcomeWith(async ({ manifest }) => {
        const { stamp } = (await verifyDocument('kernel-manifest', manifest)).payload
        return { manifest: await forged(manifest, { stamp: { ...stamp, ...keys } }) }
      })
    ).to.deep.equal(failed('ERR_MANIFEST_MISMATCH'))
    expect(
      await outcomeWith(async ({ manifest }) => ({
        manifest: await forged(manifest, { iat: 1000, exp: 2000 })
      }))
    ).to.deep.equal(failed('ERR_DOCUMENT_EXPIRED'))
  })

  it('is none with a changed byte, a byte less, or that was stamped for another tenant', async () => {
    async function* changed(chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        const copy = Uint8Array.from(chunk)
        copy[100] = (copy[100] ?? 0) ^ 1
        yield copy
      }
    }
    async function* cut(chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) yield chunk.subarray(0, -1)
    }
    for (const change of [changed, cut])
      expect(await outcomeWith(({ chunks }) => ({ chunks: change(chunks) }))).to.deep.equal(
        failed('ERR_KERNEL_DIGEST')
      )
    // The kernel of one run under the manifest of another.
    let first: Uint8Array[] | undefined
    const swapped = async ({ chunks }: { chunks: AsyncIterable<Uint8Array> }) => {
      if (first !== undefined) {
        const theirs = first
        return {
          chunks: (async function* () {
            yield* theirs
          })()
        }
      }
      first = []
      for await (const chunk of chunks) first.push(Uint8Array.from(chunk))
      const own = first
      return {
        chunks: (async function* () {
          yield* own
        })()
      }
    }
    await using market = await openMarket({
      factories: (provider) => [dishonest(workshop.factory(provider), swapped)]
    })
    const runs = []
    for (const script of ['echo one', 'echo two'])
      runs.push(await (await market.submit(script, { kernel: wishFor(workshop.identity) })).done)
    expect(runs.map(({ outcome }) => outcome)).to.deep.equal([
      { kind: 'status', status: 0 },
      failed('ERR_KERNEL_DIGEST')
    ])
  })

  it('is none where a factory refuses', async () => {
    const refusing = (honest: KernelFactory): KernelFactory => ({
      id: honest.id,
      // As it would answer somebody else.
      issue: (request, signal) => honest.issue({ ...request, lease: request.acceptance }, signal)
    })
    await using market = await openMarket({
      factories: (provider) => [refusing(workshop.factory(provider))]
    })
    const run = await market.submit('echo booted', { kernel: wishFor(workshop.identity) })
    expect((await run.done).outcome).to.deep.equal(failed('ERR_FACTORY_REFUSED'))
  })

  it('is not the base kernel because a tenant asks for that, or for a factory that the landlord does not believe', async () => {
    await using market = await openMarket({ factories: (provider) => [workshop.factory(provider)] })
    for (const changes of [{}, { kernel: sampleKernelWish(market.consumer.identity) }]) {
      const answer = await answerTo(market, await submission(market, 'echo booted', changes))
      expect(answer).to.include({ type: 'refused', code: 'ERR_RUN_REFUSED' })
      expect(answer.type === 'refused' && answer.reasons[0]).to.match(/no factory is believed by both/)
    }
    expect(await market.host.list()).to.deep.equal([])
  })

  it('does not boot before it is there, whatever the tenant says', async () => {
    await using market = await openMarket({
      factories: ({ id }) => [{ id: workshop.identity.id, issue: () => new Promise(() => id) }]
    })
    const wish = { kernel: sampleKernelWish(workshop.identity) }
    const session = await rawSession(market)
    const { message } = await submission(market, 'echo booted', wish)
    await session.say(message)
    await session.hear('leased')
    await session.say({ type: 'stagingEnd', bytes: 0 })
    while ((await session.hear('state')).status.state !== 'staged');
    await session.say({ type: 'start' })
    expect(await session.code()).to.equal('ERR_RUN_STATE')
    await session.stream.close()
    const [server] = await market.host.list()
    expect(server?.state).to.equal('created')
  })

  it('is refused by the consumer before it says start, when its manifest is not what was agreed on', async () => {
    const [factory, mallory] = [await createIdentity(), await createIdentity()]
    const mischiefs: NonNullable<Mischief['manifest']>[] = [
      async () => 'nonsense',
      async (acceptance, lease) =>
        signDocument('kernel-manifest', sampleManifest(acceptance, lease, { iss: mallory.id }), mallory),
      async (acceptance, lease) => {
        const { stamp } = sampleManifest(acceptance, lease)
        const { factories: _, ...keys } = sampleKernelWish()
        const payload = sampleManifest(acceptance, lease, { stamp: { ...stamp, ...keys } })
        return signDocument('kernel-manifest', payload, factory)
      }
    ]
    for (const manifest of mischiefs) {
      await using provider = await hostileProvider([factory.id])
      await using node = await startNode()
      await using state = await temporaryDirectory()
      await using client = runClient(node, { stateDir: join(state.path, 'state') })
      provider.mischief = { lease: { factory: factory.id }, manifest }
      const run = await client.submit({
        offer: provider.offer,
        limits: smallLimits(),
        image: 'tiny',
        program: { argv: ['true'] },
        kernel: wishFor(factory)
      })
      expect(await errorOf(() => run.done)).to.have.property('code', 'ERR_PROVIDER_DISHONEST')
      expect(provider.heard).to.include('stagingEnd').and.not.include('start')
    }
  })
})
