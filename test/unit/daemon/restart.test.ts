import { expect } from 'chai'
import { nextRestart, restartPauseMs, type LifeEnd } from '../../../soda-host/daemon/restart.ts'
import { newRecord, type ServerRecord } from '../../../soda-host/daemon/server-record.ts'
import { serverSpec } from '../../helpers/daemon/server-spec.ts'

const TIMING = { restartMsMin: 100, restartMsMax: 60_000, restartResetMs: 10_000 }
const NOW = 1_700_000_000_000
const SUCCESS: LifeEnd = { kind: 'status', status: 0 }
const FAILURE: LifeEnd = { kind: 'status', status: 3 }
const LOST: LifeEnd = { kind: 'lost', reason: { code: 'guest-panic', message: 'panic' } }

function record(restart: ServerRecord['spec']['restart'], patch: Partial<ServerRecord> = {}): ServerRecord {
  const spec = serverSpec('true', { expiresAtMs: NOW + 3_600_000, keepUntilMs: NOW + 3_600_000 })
  const asked = restart === undefined ? spec : { ...spec, restart }
  return {
    ...newRecord(asked, 'sha256:0', { slot: 0, published: [] }),
    lifeStartedAtMs: NOW - 1000,
    ...patch
  }
}

const isAgain = (of: ServerRecord, end: LifeEnd): boolean => nextRestart(of, end, TIMING, NOW) !== undefined

describe('whether a server is started again', () => {
  it('follows the policy', () => {
    for (const [policy, expected] of [
      [undefined, [false, false, false]],
      ['never', [false, false, false]],
      ['on-failure', [false, true, true]],
      ['always', [true, true, true]]
    ] as const) {
      const of = record(policy && { policy })
      expect(
        [SUCCESS, FAILURE, LOST].map((end) => isAgain(of, end)),
        policy
      ).to.deep.equal(expected)
    }
  })

  it('is a no after a stop, even if somebody had asked for it', () => {
    const cut = { reason: { code: 'stopped', message: '' }, killAtMs: NOW }
    expect(isAgain(record({ policy: 'always' }, { cut, again: { killAtMs: NOW } }), LOST)).to.equal(false)
  })

  it('is a no when it would be due only after the lease', () => {
    const streak = {
      count: 9,
      failures: 9,
      streak: 9,
      dueAtMs: NOW,
      last: { atMs: NOW, reason: { code: 'x', message: '' } }
    }
    const of = record({ policy: 'always' }, { restarts: streak })
    const ending = { ...of, spec: { ...of.spec, expiresAtMs: NOW + 51_200 } }
    expect(nextRestart(of, LOST, TIMING, NOW)?.dueAtMs).to.equal(NOW + 51_200)
    expect(isAgain(ending, LOST)).to.equal(false)
  })

  it('counts, doubles the pause up to its most, and begins anew after a life that was long enough', () => {
    let of = record({ policy: 'on-failure', maximum: 1000 })
    const pauses: number[] = []
    for (let n = 1; n <= 12; n++) {
      const restarts = nextRestart(of, FAILURE, TIMING, NOW)
      if (restarts === undefined) throw new Error('no restart')
      expect(restarts.count).to.equal(n)
      pauses.push(restarts.dueAtMs - NOW)
      of = { ...of, restarts }
    }
    expect(pauses.slice(0, 4)).to.deep.equal([100, 200, 400, 800])
    expect(pauses.slice(-2)).to.deep.equal([60_000, 60_000])
    const long = { ...of, lifeStartedAtMs: NOW - 10_000 }
    expect(nextRestart(long, FAILURE, TIMING, NOW)?.dueAtMs).to.equal(NOW + 100)
    expect(restartPauseMs(1e9, TIMING)).to.equal(60_000)
  })

  it('stops at the maximum, which a restart by hand begins anew', () => {
    const one = { policy: 'on-failure', maximum: 1 } as const
    const restarts = nextRestart(record(one), FAILURE, TIMING, NOW)
    if (restarts === undefined) throw new Error('no restart')
    const spent = record(one, { restarts })
    expect(isAgain(spent, FAILURE)).to.equal(false)
    const byHand = nextRestart({ ...spent, again: { killAtMs: NOW } }, SUCCESS, TIMING, NOW)
    expect(byHand).to.deep.include({ count: 2, failures: 0, dueAtMs: NOW })
    expect(isAgain({ ...spent, ...(byHand && { restarts: byHand }) }, FAILURE)).to.equal(true)
  })

  it('comes at once when somebody asked for it, whatever the policy and the clock', () => {
    const of = record(undefined, { again: { killAtMs: NOW }, lifeStartedAtMs: NOW + 86_400_000 })
    expect(nextRestart(of, SUCCESS, TIMING, NOW)?.dueAtMs).to.equal(NOW)
  })
})
