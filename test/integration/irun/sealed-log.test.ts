import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { RunClient, RunHandle } from '../../../irun/index.ts'
import { verifyLog, type Anchor } from '../../../soda-host/logs/index.ts'
import { bytesOf } from '../../helpers/daemon/server-spec.ts'
import { codeOf } from '../../helpers/errors.ts'
import { openWorkshop, wishFor, type Workshop } from '../../helpers/irun/kernels.ts'
import { growingLog, type GrowingLog } from '../../helpers/irun/log-host.ts'
import { openMarket, type Market } from '../../helpers/irun/market.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('the sealed log of a run', function () {
  this.timeout(30_000)
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let workshop: Workshop
  let log: GrowingLog
  let market: Market
  before(async () => {
    directory = await temporaryDirectory()
    workshop = await openWorkshop(directory.path)
  })
  after(() => directory[Symbol.asyncDispose]())
  beforeEach(async () => {
    log = await growingLog()
    market = await openMarket({
      factories: (provider) => [workshop.factory(provider)],
      host: (host) => log.on(host)
    })
  })
  afterEach(() => market[Symbol.asyncDispose]())

  /** A run whose program has said that it runs, and waits. */
  async function running(): Promise<RunHandle> {
    const run = await market.submit('echo here; read line', { kernel: wishFor(workshop.identity) })
    for await (const event of run.events) if (event.type === 'stdout') break
    return run
  }
  const anchorsOf = async (client: RunClient, runId: string): Promise<Anchor[]> =>
    (await client.logFacts(runId)).anchors.map(({ payload }) => ({
      bootNumber: payload.boot,
      frameNumber: BigInt(payload.frame),
      head: payload.head
    }))

  it('is fetched during the run, goes on where it stood, and is whole after it', async () => {
    const run = await running()
    log.growTo(1500)
    expect(await bytesOf(market.client.sealedLog(run.runId))).to.deep.equal(log.whole.subarray(0, 1500))
    log.growTo(4000)
    expect(await bytesOf(market.client.sealedLog(run.runId))).to.deep.equal(log.whole.subarray(0, 4000))
    log.growTo(log.whole.length)
    await run.endStdin()
    await run.done
    // The provider has forgotten it.
    expect(await market.host.list()).to.deep.equal([])
    expect(await bytesOf(market.client.sealedLog(run.runId))).to.deep.equal(log.whole)
    const report = await verifyLog([log.whole], { anchors: await anchorsOf(market.client, run.runId) })
    expect(report.isWhole).to.equal(true)
  })

  it('is followed as it grows, and ends with the run', async () => {
    const run = await running()
    const following = bytesOf(market.client.sealedLog(run.runId, { follow: true }))
    for (const bytes of [700, 3000, log.whole.length]) log.growTo(bytes)
    await run.endStdin()
    expect(await following).to.deep.equal(log.whole)
    await run.done
  })

  it('is found again by another process, from the copy and from the provider', async () => {
    const run = await running()
    log.growTo(2000)
    await bytesOf(market.client.sealedLog(run.runId))
    await run.detach()
    log.growTo(5000)
    const again = market.newClient(join(market.directory, 'consumer'))
    expect(await bytesOf(again.sealedLog(run.runId))).to.deep.equal(log.whole.subarray(0, 5000))
  })

  it('is anchored by signed heads that show when its tail was cut off, here or there', async () => {
    const run = await running()
    log.growTo(log.whole.length)
    await bytesOf(market.client.sealedLog(run.runId))
    const anchors = await anchorsOf(market.client, run.runId)
    expect(anchors).to.not.be.empty
    // The provider has lost the last frame, and the consumer's copy is gone.
    log.growTo(log.whole.length - 400)
    await rm(join(market.directory, 'consumer/runs', run.runId, 'sealed.klog'))
    const cut = await bytesOf(market.client.sealedLog(run.runId))
    expect(cut.length).to.equal(log.whole.length - 400)
    const { isWhole, findings } = await verifyLog([cut], { anchors })
    expect(isWhole).to.equal(false)
    expect(findings.map(({ kind }) => kind)).to.include('anchor')
  })

  it('says where something is missing when the provider has not kept all of it', async () => {
    const run = await running()
    log.growTo(1000)
    await bytesOf(market.client.sealedLog(run.runId))
    log.growTo(log.whole.length)
    log.dropTo(3000)
    const expected = Buffer.concat([log.whole.subarray(0, 1000), log.whole.subarray(3000)])
    expect(await bytesOf(market.client.sealedLog(run.runId))).to.deep.equal(expected)
    // And goes on from there.
    expect(await bytesOf(market.client.sealedLog(run.runId))).to.deep.equal(expected)
    expect((await verifyLog([expected])).isWhole).to.equal(false)
  })

  it('is of runs under a stamped kernel only, and of those that are known', async () => {
    await using plain = await openMarket()
    const run = await plain.submit('true')
    await run.done
    expect(await codeOf(() => bytesOf(plain.client.sealedLog(run.runId)))).to.equal('ERR_RUN_STATE')
    expect(await codeOf(() => bytesOf(plain.client.sealedLog('0'.repeat(26))))).to.equal('ERR_RUN_UNKNOWN')
  })

  it('a copy whose notes were spoilt is not taken for the log', async () => {
    const run = await running()
    log.growTo(1000)
    await bytesOf(market.client.sealedLog(run.runId))
    const path = join(market.directory, 'consumer/runs', run.runId, 'anchors.json')
    await writeFile(path, (await readFile(path, 'utf8')).slice(1))
    expect(await codeOf(() => market.client.logFacts(run.runId))).to.equal('ERR_LOG_ACCESS')
  })
})
