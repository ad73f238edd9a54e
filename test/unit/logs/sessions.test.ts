import { expect } from 'chai'
import {
  asciicast,
  listSessions,
  logOpener,
  readLog,
  sessionEvents,
  type LogRecord
} from '../../../soda-host/logs/index.ts'
import { createLogKey } from '../../../src/identity/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { buildHarness, SealScript, type Harness } from '../../helpers/sealer.ts'

const PTS_0 = 136 << 20
const TYPED = 1
const SHOWN = 2
const RESIZED = 3

describe('Terminal sessions of a sealed log', () => {
  const key = createLogKey()
  let harness: Harness
  let log: Buffer

  before(function () {
    requires(this, 'libcrypto')
    this.timeout(60_000)
    harness = buildHarness()
    const script = new SealScript('session', [key]).boot(0).epoch()
    const tty = (timeMs: number, session: number, direction: number, data: Buffer | string = '') =>
      script.record({
        kind: 'tty',
        timeMs,
        fields: { device: PTS_0, session, direction, columns: 100, rows: 30 },
        tails: [data]
      })
    tty(0, 5, RESIZED)
    tty(100, 5, TYPED, 'ls\r')
    // A character of two bytes, split between events.
    tty(1500, 5, SHOWN, Buffer.from([0xc3]))
    tty(1600, 6, SHOWN, 'other session')
    tty(61_500, 5, SHOWN, Buffer.from([0xa9, 0x0d, 0x0a]))
    log = script.frame('end').seal(harness)
  })
  after(() => harness.remove())

  async function* records(): AsyncGenerator<LogRecord> {
    for await (const entry of readLog([log], { opener: await logOpener(key) }))
      if (entry.type === 'record') yield entry.record
  }

  async function cast(options: Parameters<typeof asciicast>[1]): Promise<unknown[]> {
    const lines = await Array.fromAsync(asciicast(sessionEvents(records(), '0.136:0.5'), options))
    return lines.map((line) => JSON.parse(line) as unknown)
  }

  it('are told apart by terminal and leader', async () => {
    const sessions = await listSessions(records())
    expect(
      sessions.map(({ id, durationNs, inputBytes, outputBytes }) => [
        id,
        Number(durationNs) / 1e9,
        inputBytes,
        outputBytes
      ])
    ).to.deep.equal([
      ['0.136:0.5', 61.5, 3, 4],
      ['0.136:0.6', 0, 0, 13]
    ])
  })

  it('export as asciicast 2, in their own time, with whole characters', async () => {
    expect(await cast({ version: 2, hasInput: true, timestamp: 7 })).to.deep.equal([
      { version: 2, width: 100, height: 30, timestamp: 7 },
      [0, 'r', '100x30'],
      [0.1, 'i', 'ls\r'],
      [61.5, 'o', 'é\r\n']
    ])
  })

  it('export as asciicast 3, with times from event to event', async () => {
    expect(await cast({ version: 3, hasInput: true })).to.deep.equal([
      { version: 3, term: { cols: 100, rows: 30 } },
      [0, 'r', '100x30'],
      [0.1, 'i', 'ls\r'],
      [61.4, 'o', 'é\r\n']
    ])
  })

  it('are shown faster, with pauses cut, and what was typed left out', async () => {
    expect(await cast({ version: 2, speed: 2, idleSecondsMax: 2 })).to.deep.equal([
      { version: 2, width: 100, height: 30, idle_time_limit: 2 },
      [0, 'r', '100x30'],
      [1.75, 'o', 'é\r\n']
    ])
  })
})
