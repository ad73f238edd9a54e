/**
 * `node bench/soak-network.ts [MINUTES]`: four guests on a switch, each with TCP to and from each of the others, fork,
 * exec and files at once. Fails if a kernel panics, anything comes back wrong, anything stands still for a minute,
 * or something that the host or a guest holds has grown when the end comes (told from 6 minutes on). ISHARE_ARTIFACTS
 * names the kernel.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { MIB, MINUTE_MS } from '../src/constants.ts'
import { openMill, TRACKED, type Holdings, type Mill, type Work } from '../test/helpers/daemon/mill.ts'

const MINUTES_DEFAULT = 30
/** Caches fill up and lists get their usual length: what is said of growth begins after this part. */
const WARM_UP = 1 / 3
/** Of what comes then, the first and the last of so many parts are compared. */
const PARTS = 4
/** By so much the least of the last part may be above the most of the first. */
const GROWTH_MAX = 1.1
/** In a minute; with fewer in all, the machine has other work, and one that takes long may well not be done yet. */
const ROUNDS_MIN = 240
/** Follows the work of two minutes, which other work on the machine changes. */
const TRACKED_PER_ROUND = `${TRACKED}, for each round of the minute`
const TRACKED_GROWTH_MAX = 1.5

interface Sample {
  work: Work[]
  holdings: Holdings
}

async function sample(mill: Mill, before?: Sample): Promise<Sample> {
  const work = await mill.reach(0)
  const { [TRACKED]: tracked = 0, ...held } = await mill.holdings()
  // Those that have ended are remembered for two minutes: how many there are follows the work.
  const done = roundsOf(work) - roundsOf(before?.work ?? [])
  const holdings: Holdings = {
    ...held,
    [TRACKED_PER_ROUND]: tracked / done,
    'slabs of the guests, MiB': sum(work.map(({ memory }) => memory.slabBytes)) / MIB,
    'memory that the guests use, MiB': sum(work.map(({ memory }) => memory.usedBytes)) / MIB
  }
  return { work, holdings }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** What did not count on from one sample to the next, while the rest went on, or with all the rest. */
function stalls(before: Sample, now: Sample): string[] {
  const done = roundsOf(now.work) - roundsOf(before.work)
  if (done > 0 && done < ROUNDS_MIN) return []
  return now.work.flatMap(({ counts }, guest) =>
    Object.entries(counts)
      .filter(([name, count]) => count <= (before.work[guest]?.counts[name] ?? 0))
      .map(([name, count]) => `guest ${guest}: ${name} stands at ${count}`)
  )
}

/** What is never as low at the end as it was at its highest when the warm-up was over. */
function leaks(samples: readonly Sample[]): string[] {
  const judged = samples.slice(Math.ceil(samples.length * WARM_UP))
  const part = Math.floor(judged.length / PARTS)
  if (part === 0) return []
  return Object.keys(samples[0]?.holdings ?? {}).flatMap((name) => {
    const values = judged.map(({ holdings }) => holdings[name] ?? 0)
    const [before, after] = [Math.max(...values.slice(0, part)), Math.min(...values.slice(-part))]
    const growthMax = name === TRACKED_PER_ROUND ? TRACKED_GROWTH_MAX : GROWTH_MAX
    return after > before * growthMax ? [`${name}: ${before} at most, then ${after} at least`] : []
  })
}

function roundsOf(work: readonly Work[]): number {
  return sum(work.flatMap(({ counts }) => Object.values(counts)))
}

async function soak(artifacts: string, minutes: number, signal: AbortSignal): Promise<string> {
  await using mill = await openMill(artifacts)
  const samples = [await sample(mill)]
  for (let minute = 1; minute <= minutes; minute++) {
    await delay(MINUTE_MS, undefined, { signal })
    const [before, now] = [samples.at(-1), await sample(mill, samples.at(-1))]
    samples.push(now)
    console.log(JSON.stringify({ minute, rounds: roundsOf(now.work), ...now.holdings }))
    const still = before === undefined ? [] : stalls(before, now)
    if (still.length > 0) throw new Error(`no progress in a minute: ${still.join('; ')}`)
  }
  const grown = leaks(samples)
  if (grown.length > 0) throw new Error(`growth without end: ${grown.join('; ')}`)
  const least = Math.min(...samples.at(-1)!.work.flatMap(({ counts }) => Object.values(counts)))
  return `${roundsOf(samples.at(-1)!.work)} rounds in ${minutes} min, at least ${least} of each kind`
}

const minutes = Number(process.argv[2] ?? MINUTES_DEFAULT)
const artifacts = process.env['ISHARE_ARTIFACTS']
if (artifacts === undefined || !(minutes > 0)) {
  console.error('usage: ISHARE_ARTIFACTS=FILE node bench/soak-network.ts [MINUTES]')
  process.exit(64)
}
// Whoever ends it early finds the machine as it was: what was opened is closed on the way out.
const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => interrupted.abort(new Error(`ended early by ${signal}`)))
console.log(
  `soaked: ${await soak(artifacts, minutes, interrupted.signal)}; no panic, nothing wrong, no stall, no growth`
)
