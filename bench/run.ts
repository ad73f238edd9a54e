/** `npm run bench -- [NAME…] [--json FILE]`: runs the named benches, or all. */
import { parseArgs } from 'node:util'
import { report, SAMPLES_MIN, type Row } from './report.ts'

/** What each bench is given. */
export interface BenchContext {
  /** Path of the file that lists kernel, initrd and images. */
  artifacts: string
  samples: number
}

const BENCHES: Record<string, () => Promise<{ bench: (context: BenchContext) => Promise<Row[]> }>> = {
  guest: () => import('./guest.ts'),
  syscalls: () => import('./syscalls.ts'),
  'run-latency': () => import('./run-latency.ts'),
  throughput: () => import('./throughput.ts')
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' }, samples: { type: 'string', default: String(SAMPLES_MIN) } }
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
  rows.push(...((await module?.bench({ artifacts, samples: Number(values.samples) })) ?? []))
}
await report(rows, values.json)
