import { expect } from 'chai'
import fc from 'fast-check'
import { HostWork } from '../../../soda-host/resources/host-work.ts'
import { codeOf } from '../../helpers/errors.ts'
import { HurriedClock } from '../../helpers/hurried-clock.ts'
import { HostError } from '../../../src/errors.ts'

const BUDGET = { perSecond: 64_000, burst: 10_000 }
/** A 64th of a second's. */
const LENT_BYTES = 1000

describe('what the host does for a guest', () => {
  it('never exceeds burst, rate and what is lent, whoever takes how much and when', async () => {
    const step = fc.record({
      bytes: fc.nat(20_000),
      pauseMs: fc.nat(500),
      takers: fc.integer({ min: 1, max: 4 })
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const clock = new HurriedClock()
        const work = new HostWork(BUDGET, { clock })
        let taken = 0
        for (const { bytes, pauseMs, takers } of steps) {
          if (pauseMs > 400) await clock.wait(pauseMs)
          const taking = Array.from({ length: takers }, () => work.take(bytes))
          taken += bytes * takers
          await Promise.all(taking)
          const paid = BUDGET.burst + LENT_BYTES + clock.now() * (BUDGET.perSecond / 1000)
          expect(taken).to.be.at.most(Math.ceil(paid))
        }
      })
    )
  })

  it('makes nobody wait who takes less than the rate', async () => {
    const clock = new HurriedClock()
    const work = new HostWork(BUDGET, { clock })
    for (let second = 0; second < 100; second++) {
      await work.take(BUDGET.perSecond)
      await clock.wait(1000 * (second + 1) - clock.now())
    }
    await work.take(BUDGET.burst)
    expect(clock.now()).to.equal(100_000)
  })

  it('is in proportion to its CPUs, as they are now, down to a quarter of one', async () => {
    const clock = new HurriedClock()
    let cpu = 2
    const work = new HostWork(BUDGET, { clock, cpu: () => cpu })
    const secondsFor = async (bytes: number): Promise<number> => {
      const before = clock.now()
      await work.take(bytes)
      return (clock.now() - before) / 1000
    }
    await secondsFor(BUDGET.burst)
    expect(await secondsFor(BUDGET.perSecond)).to.be.closeTo(0.5, 1e-9)
    cpu = 0.5
    expect(await secondsFor(BUDGET.perSecond)).to.be.closeTo(2, 1e-9)
    cpu = 0.01
    expect(await secondsFor(BUDGET.perSecond)).to.be.closeTo(4, 1e-9)
  })

  it('can be left waiting for: what was counted stays so', async () => {
    const clock = new HurriedClock()
    const work = new HostWork(BUDGET, { clock })
    const stop = new AbortController()
    const taking = codeOf(() => work.take(1_000_000, stop.signal))
    stop.abort(new HostError('ERR_HOST_REQUEST', 'no longer'))
    expect(await taking).to.equal('ERR_HOST_REQUEST')
    await work.paid()
    expect(clock.now()).to.be.closeTo(((1_000_000 - BUDGET.burst) / BUDGET.perSecond) * 1000, 1e-6)
  })

  it('is waited for by the machine’s own clock, and no longer once that is given up', async () => {
    const work = new HostWork({ perSecond: 1, burst: 0 })
    const stop = new AbortController()
    const taking = codeOf(() => work.take(1_000_000, stop.signal))
    stop.abort(new HostError('ERR_HOST_REQUEST', 'no longer'))
    expect(await taking).to.equal('ERR_HOST_REQUEST')
  })
})
