/** Bytes through a run: standard input to standard output through `cat`, files in, files out. */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MIB } from '../src/constants.ts'
import { BENCH_LIMITS, withMarket, type Market } from './market.ts'
import { row, type BenchContext, type Row } from './report.ts'

const STREAM_BYTES = 64 * MIB
const FILE_BYTES = 64 * MIB
const CHUNK = randomBytes(MIB)

async function submit({ consumer, offer, directory }: Market, argv: string[], inputs: string[] = []) {
  return consumer.services.ishare.runs.submit({
    offer,
    limits: BENCH_LIMITS,
    image: 'tiny',
    program: { argv },
    inputs,
    outDir: join(directory, `out-${randomBytes(6).toString('hex')}`)
  })
}

/** MB/s from the first byte written to the last byte back. */
async function streamOnce(market: Market): Promise<number> {
  const handle = await submit(market, ['cat'])
  let startedAt = 0
  let received = 0
  const feed = async () => {
    startedAt = performance.now()
    for (let sent = 0; sent < STREAM_BYTES; sent += CHUNK.length) await handle.writeStdin(CHUNK)
    await handle.endStdin()
  }
  let feeding: Promise<void> | undefined
  let endedAt = 0
  for await (const event of handle.events) {
    if (event.type === 'state' && event.state === 'running') feeding ??= feed()
    if (event.type !== 'stdout') continue
    received += event.data.length
    if (received === STREAM_BYTES) endedAt = performance.now()
  }
  await feeding
  await handle.done
  if (received !== STREAM_BYTES) throw new Error(`cat returned ${received} of ${STREAM_BYTES} bytes`)
  return STREAM_BYTES / 1e3 / (endedAt - startedAt)
}

/** MB/s of staging (consumer's disk to provider's disk), and of collecting. */
async function filesOnce(market: Market, input: string): Promise<{ into: number; out: number }> {
  const startedAt = performance.now()
  const handle = await submit(market, ['sh', '-c', 'mv /work/input /out/output'], [input])
  await handle.endStdin()
  const at = new Map<string, number>()
  for await (const event of handle.events) if (event.type === 'state') at.set(event.state, performance.now())
  await handle.done
  const endedAt = performance.now()
  const between = (from: number | undefined, to: number | undefined) =>
    FILE_BYTES / 1e3 / ((to ?? Number.NaN) - (from ?? Number.NaN))
  return {
    into: between(startedAt, at.get('staged')),
    out: between(at.get('exited'), at.get('collected') ?? endedAt)
  }
}

export async function bench({ artifacts, samples }: BenchContext): Promise<Row[]> {
  return withMarket(artifacts, async (market) => {
    const stream: number[] = []
    for (let i = 0; i < samples; i++) stream.push(await streamOnce(market))
    const input = join(market.directory, 'input')
    await writeFile(input, randomBytes(FILE_BYTES))
    const files: { into: number; out: number }[] = []
    for (let i = 0; i < samples; i++) files.push(await filesOnce(market, input))
    return [
      row('standard input to standard output through a run', 'MB/s', stream),
      row(
        "files in, to the provider's disk",
        'MB/s',
        files.map(({ into }) => into)
      ),
      row(
        "files out, from the provider's disk to ours",
        'MB/s',
        files.map(({ out }) => out)
      )
    ]
  })
}
