/**
 * From an act in a guest to its alert on the consumer's terminal: guest kernel, spool, daemon, provider, libp2p over
 * loopback, the consumer's `ishare run`. The guest's clock is compared with ours before: half of the shortest of some
 * round trips through the same run is what that may be wrong by.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execa } from 'execa'
import { words } from '../src/setup/steps.ts'
import { withMarket } from './market.ts'
import { row, type BenchContext, type Row } from './report.ts'
import { compiled } from './watched.ts'

const ISHARE = join(import.meta.dirname, '../src/cli/ishare')
const RULE = 'alert syscall (msg:"bench"; event:exec; exec.args; content:"alerting "; startswith; sid:1;)\n'
const CLOCK_TRIPS = 50
const ALERTS_A_SAMPLE = 5

/** One line of `ishare run --json`, and when it was here. */
interface Line {
  type: string
  atMs: number
  data?: string
  state?: string
  realtimeNs?: string
}

export async function bench({ artifacts, samples }: BenchContext): Promise<Row[]> {
  return await withMarket(
    artifacts,
    async ({ place, directory }) => {
      const [rules, program] = [join(directory, 'bench.rules'), join(directory, 'alert')]
      await writeFile(rules, RULE)
      await writeFile(program, await compiled('alert.c'), { mode: 0o755 })
      const args = words`run --accept --json --offer ${place} --state-dir ${join(directory, 'terminal')}
        --memory 64M --disk 64M --image tiny --rules ${rules} --in ${program} -- ./alert`
      const child = execa(ISHARE, args, { stdin: 'pipe', buffer: false, reject: false })
      const lines = linesOf(child.stdout)
      const say = (word: string) => child.stdin.write(`${word}\n`)
      const next = async (isWanted: (line: Line) => boolean): Promise<Line> => {
        for (;;) {
          const { value } = await lines.next()
          if (value === undefined) throw new Error('the run ended')
          if (isWanted(value)) return value
        }
      }
      try {
        await next(({ type, state }) => type === 'state' && state === 'running')
        const trips = await clockTrips(say, next)
        const { offsetMs } = trips.toSorted((a, b) => a.tripMs - b.tripMs)[0] ?? { offsetMs: Number.NaN }
        const delays: number[] = []
        for (let i = 0; i < samples * ALERTS_A_SAMPLE; i++) {
          say(`number-${i}`)
          const { atMs, realtimeNs = '' } = await next(({ type }) => type === 'alert')
          delays.push(atMs - (Number(BigInt(realtimeNs) / 1000n) / 1000 - offsetMs))
        }
        return [
          row('from an act to its alert on the terminal', 'ms', delays),
          row('... nine in ten', 'ms', [
            delays.toSorted((a, b) => a - b)[Math.floor(delays.length * 0.9)] ?? 0
          ]),
          row('... what the clocks may differ by', 'ms', [Math.min(...trips.map(({ tripMs }) => tripMs)) / 2])
        ]
      } finally {
        child.stdin.end()
        await child
      }
    },
    'own'
  )
}

const nowMs = () => performance.timeOrigin + performance.now()

async function* linesOf(output: NodeJS.ReadableStream): AsyncGenerator<Line, undefined> {
  for await (const line of createInterface({ input: output }))
    yield { ...(JSON.parse(line) as Line), atMs: nowMs() }
  return undefined
}

/** How long each took, and how far the guest's clock is ahead if both ways took as long. */
async function clockTrips(
  say: (word: string) => void,
  next: (isWanted: (line: Line) => boolean) => Promise<Line>
): Promise<{ tripMs: number; offsetMs: number }[]> {
  const trips: { tripMs: number; offsetMs: number }[] = []
  for (let i = 0; i < CLOCK_TRIPS; i++) {
    const sentMs = nowMs()
    say('time')
    const { atMs, data = '' } = await next(({ type }) => type === 'stdout')
    const guestMs = Number(BigInt(Buffer.from(data, 'base64').toString().trim()) / 1000n) / 1000
    trips.push({ tripMs: atMs - sentMs, offsetMs: guestMs - (sentMs + atMs) / 2 })
  }
  return trips
}
