/** `npm run bench -- [NAME…] [--json FILE] [--markdown]`: runs the named benches, or all. */
import { parseArgs } from 'node:util'
import { markdown, save, SAMPLES_MIN, show, type BenchContext, type Row } from './report.ts'

const BENCHES: Record<string, () => Promise<{ bench: (context: BenchContext) => Promise<Row[]> }>> = {
  guest: () => import('./guest.ts'),
  'kernel-build': () => import('./kernel-build.ts'),
  channel: () => import('./channel.ts'),
  syscalls: () => import('./syscalls.ts'),
  jail: () => import('./jail.ts'),
  'run-latency': () => import('./run-latency.ts'),
  throughput: () => import('./throughput.ts'),
  rules: () => import('./rules.ts'),
  engine: () => import('./engine.ts'),
  seal: () => import('./seal.ts'),
  watched: () => import('./watched.ts'),
  'watched-network': () => import('./watched-network.ts'),
  'event-rules': () => import('./event-rules.ts'),
  'sealed-log': () => import('./sealed-log.ts'),
  alert: () => import('./alert.ts'),
  stamping: () => import('./stamping.ts'),
  switch: () => import('./switch.ts'),
  shares: () => import('./shares.ts'),
  neighbour: () => import('./neighbour.ts'),
  density: () => import('./density.ts')
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'string' },
    markdown: { type: 'boolean', default: false },
    samples: { type: 'string', default: String(SAMPLES_MIN) }
  }
})
const names = positionals.length > 0 ? positionals : Object.keys(BENCHES)
const unknown = names.filter((name) => !(name in BENCHES))
const artifacts = process.env['ISHARE_ARTIFACTS']
if (unknown.length > 0 || artifacts === undefined) {
  console.error(
    artifacts === undefined
      ? 'no guest kernel: run through `npm run bench`'
      : `unknown bench: ${unknown.join(', ')}; there are: ${Object.keys(BENCHES).join(', ')}`
  )
  process.exit(64)
}

const rows: Row[] = []
for (const name of names) {
  console.error(`bench ${name} …`)
  const module = await BENCHES[name]?.()
  const measured = (await module?.bench({ artifacts, samples: Number(values.samples) })) ?? []
  rows.push(...measured)
  // One by one: whoever ends a long run early keeps what was measured.
  if (values.markdown) console.log(markdown(measured))
  else show(measured)
  if (values.json !== undefined) await save(rows, values.json)
}
