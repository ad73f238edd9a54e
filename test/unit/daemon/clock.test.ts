import { expect } from 'chai'
import { clockReaches } from '../../../soda-host/daemon/bell.ts'
import { Escalation } from '../../../soda-host/daemon/escalation.ts'
import { warningAtMs } from '../../../soda-host/daemon/lease-watch.ts'
import { newRecord } from '../../../soda-host/daemon/server-record.ts'
import type { RunningServer } from '../../../soda-host/virtual-server/types.ts'
import { serverSpec } from '../../helpers/daemon/server-spec.ts'

const HOUR_MS = 3_600_000

describe('a clock that is set', () => {
  const now = Date.now
  const never = new AbortController().signal

  afterEach(() => (Date.now = now))

  function setClock(byMs: number): void {
    Date.now = () => now() + byMs
  }

  it('forward, brings what is due', async () => {
    const reached = clockReaches(now() + HOUR_MS, never, 20)
    setClock(HOUR_MS)
    await reached
  })

  it('back, brings nothing before its time', async () => {
    const controller = new AbortController()
    const reached = clockReaches(now() + 30, controller.signal, 20).then(
      () => 'reached',
      () => 'given up'
    )
    setClock(-HOUR_MS)
    setTimeout(() => controller.abort(), 100)
    expect(await reached).to.equal('given up')
  })

  it('back, does not keep a program alive that was to be killed', async () => {
    const signals: number[] = []
    const killed = Promise.withResolvers<undefined>()
    const running = {
      signal: async (number: number) => void signals.push(number),
      kill: async () => killed.resolve(undefined)
    } as unknown as RunningServer
    const escalation = new Escalation(running, 20)
    const cut = { killAtMs: now() + 20 }
    setTimeout(() => setClock(-HOUR_MS), 1)
    for (let waitMs = await escalation.step(cut); waitMs !== undefined; waitMs = await escalation.step(cut))
      await new Promise((resolve) => setTimeout(resolve, waitMs))
    await killed.promise
    expect(signals).to.deep.equal([15, 9])
  })

  it('back, before a daemon takes up a stop, gives a program the longest grace there is and no more', async () => {
    const running = { signal: async () => undefined } as unknown as RunningServer
    const waitMs = await new Escalation(running, 0).step({ killAtMs: now() + 1000 * HOUR_MS })
    expect(waitMs).to.be.at.most(HOUR_MS)
  })
})

describe('the warning before the end of a lease', () => {
  const record = (warning?: { seconds: number }, leaseMs = HOUR_MS) => {
    const spec = serverSpec('true', { ...(warning && { warning }) })
    const made = newRecord(spec, 'sha256:0', { slot: 0, published: [] })
    return { ...made, spec: { ...spec, expiresAtMs: made.createdAtMs + leaseMs } }
  }
  const beforeMs = (of: ReturnType<typeof record>): number =>
    of.spec.expiresAtMs - warningAtMs(of, { warningMs: 60_000 })

  it('comes when its tenant wants it', () => {
    expect(beforeMs(record({ seconds: 300 }))).to.equal(300_000)
  })

  it('comes otherwise when the host thinks it right, and never before nine tenths of the lease', () => {
    expect(beforeMs(record())).to.equal(60_000)
    expect(beforeMs(record(undefined, 100_000))).to.equal(10_000)
  })

  it('moves with the lease', () => {
    const of = record({ seconds: 300 })
    const lease = { expiresAtMs: of.spec.expiresAtMs + HOUR_MS, keepUntilMs: of.spec.keepUntilMs + HOUR_MS }
    expect(beforeMs({ ...of, lease })).to.equal(300_000 - HOUR_MS)
  })
})
