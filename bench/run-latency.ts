/** From the request to run until the program's first byte, and its parts; warm caches. */
import type { RunHandle } from '../irun/index.ts'
import { BENCH_LIMITS, withMarket, type Market } from './market.ts'
import { row, type BenchContext, type Row } from './report.ts'

const PARTS = ['leased', 'staged', 'booting', 'running', 'first byte', 'receipt'] as const
type Part = (typeof PARTS)[number]

async function once({ consumer, offer }: Market): Promise<Map<Part, number>> {
  const startedAt = performance.now()
  const times = new Map<Part, number>()
  const mark = (part: string) => {
    const known = PARTS.find((name) => name === part)
    if (known !== undefined && !times.has(known)) times.set(known, performance.now() - startedAt)
  }
  const handle: RunHandle = await consumer.services.ishare.runs.submit({
    offer,
    limits: BENCH_LIMITS,
    image: 'tiny',
    program: { argv: ['echo', 'first'] }
  })
  mark('leased')
  await handle.endStdin()
  for await (const event of handle.events)
    if (event.type === 'state') mark(event.state)
    else if (event.type === 'stdout') mark('first byte')
  await handle.done
  mark('receipt')
  return times
}

export async function bench({ artifacts, samples }: BenchContext): Promise<Row[]> {
  return withMarket(artifacts, async (market) => {
    await once(market)
    const runs: Map<Part, number>[] = []
    for (let i = 0; i < samples; i++) runs.push(await once(market))
    return PARTS.map((part) => {
      const values = runs.map((times) => times.get(part)).filter((value) => value !== undefined)
      return row(`run: from request to ${part}`, 'ms', values)
    })
  })
}
