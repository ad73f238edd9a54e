/**
 * Attacker: a tenant who sends other rules than it has signed for, more of them, fewer, or none; who asks for more than
 * the provider's rules allow.
 * Asset: the provider's disk, and that nothing boots with rules that were not agreed on.
 * Expected: a code each time; the program was never started.
 */
import { expect } from 'chai'
import { CHANNEL_RULESET } from '../../../irun/messages.ts'
import type { PayloadInput } from '../../../src/documents/index.ts'
import { sampleKernelWish } from '../../helpers/documents.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'
import { seenOf } from '../../helpers/irun/events.ts'
import { openWorkshop, wishFor, type Workshop } from '../../helpers/irun/kernels.ts'
import { hostWith, openMarket, RULES, smallLimits, type Market } from '../../helpers/irun/market.ts'
import { rawSession, submission } from '../../helpers/irun/raw-session.ts'
import { ruleSetOf } from '../../helpers/tables.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('adversarial: the rules that a kernel takes', function () {
  this.timeout(30_000)
  const rules = ruleSetOf(1)
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let workshop: Workshop
  before(async () => {
    directory = await temporaryDirectory()
    workshop = await openWorkshop(directory.path)
  })
  after(() => directory[Symbol.asyncDispose]())

  let puts = 0
  const market = (perRun: Partial<PayloadInput<'offer'>['rules']['perRun']> = {}): Promise<Market> =>
    openMarket({
      factories: (provider) => [workshop.factory(provider)],
      offer: { rules: { ...RULES, perRun: { ...RULES.perRun, ...perRun } } },
      host: (host) =>
        hostWith(host, {
          putRuleset: (...args) => {
            puts++
            return host.putRuleset(...args)
          }
        })
    })
  const wish = (ruleset = rules) => ({ kernel: { ...wishFor(workshop.identity), ruleset } })

  it('are in the stamp, and sent once for all runs that take them', async () => {
    await using open = await market()
    puts = 0
    const first = await open.submit('read line', wish())
    const second = await open.submit('echo watched', wish())
    expect((await seenOf(second)).stdout.toString()).to.equal('watched\n')
    await second.done
    const manifest = await open.client.manifest(second.runId)
    expect(manifest?.payload.stamp.ruleset).to.equal(rules.digest)
    expect(second.lease.payload.rulesetBytes).to.equal(rules.bytes.length)
    await first.cancel()
    await first.done
    expect(puts).to.be.within(1, 2)
  })

  it('are no more than the provider takes: bounded or denied, in words', async () => {
    for (const [rulesetBytes, says] of [
      [rules.bytes.length - 1, /detection rules: asked .*, allowed/],
      [0, /none are taken/]
    ] as const) {
      await using open = await market({ rulesetBytes })
      const error = await errorOf(() => open.submit('true', wish()))
      expect(error.code).to.equal('ERR_RUN_REFUSED')
      expect(error.reasons?.join()).to.match(says)
      expect(await open.host.list()).to.deep.equal([])
    }
  })

  it('are refused when they are others than the tenant has signed for, and nothing boots', async () => {
    await using open = await market()
    const run = await open.submit('true', wish({ ...rules, bytes: ruleSetOf(2).bytes }))
    expect(await codeOf(() => run.done)).to.equal('ERR_RUN_FILES')
    expect((await open.host.list()).map(({ state }) => state)).to.deep.equal(['created'])
  })

  it('are refused when they are too long, too short, or were not agreed on', async () => {
    await using open = await market()
    const kernel = { ...sampleKernelWish(workshop.identity), ruleset: rules.digest }
    const request = { limits: smallLimits(), image: 'tiny', rulesetBytes: rules.bytes.length }
    const session = async (changes: Partial<PayloadInput<'acceptance'>>, at = open) => {
      const raw = await rawSession(at)
      await raw.say((await submission(at, 'true', changes)).message)
      await raw.hear('leased')
      return raw
    }
    const long = await session({ kernel, request })
    await long.data(CHANNEL_RULESET, 0, Buffer.concat([rules.bytes, Buffer.alloc(1)]))
    expect(await long.code()).to.equal('ERR_RULESET_DIGEST')
    const short = await session({ kernel, request })
    await short.data(CHANNEL_RULESET, 0, rules.bytes.subarray(0, -1))
    await short.say({ type: 'stagingEnd', bytes: 0 })
    expect(await short.code()).to.equal('ERR_RULESET_DIGEST')
    await using other = await market()
    const none = await session({ kernel: sampleKernelWish(workshop.identity) }, other)
    await none.data(CHANNEL_RULESET, 0, rules.bytes)
    expect(await none.code()).to.equal('ERR_RUN_STATE')
    expect((await open.host.list()).every(({ state }) => state === 'created')).to.equal(true)
  })

  it('have a digest and a size in what the tenant signs, or neither', async () => {
    await using open = await market()
    const kernel = { ...sampleKernelWish(workshop.identity), ruleset: rules.digest }
    expect(await codeOf(() => submission(open, 'true', { kernel }))).to.equal('ERR_DOCUMENT_RANGE')
    const request = { limits: smallLimits(), image: 'tiny', rulesetBytes: 5 }
    expect(await codeOf(() => submission(open, 'true', { request }))).to.equal('ERR_DOCUMENT_RANGE')
  })

  it('are sent again by a consumer that went away in the middle', async () => {
    await using open = await market()
    const run = await open.submit('echo again', wish())
    await run.detach()
    const again = await open.client.attach(run.runId)
    expect((await seenOf(again)).stdout.toString()).to.equal('again\n')
    await again.done
  })
})
