/**
 * The detection engine in user space, with more and more rules: how much traffic a CPU second carries, start-up and
 * memory; beside Suricata where it is installed. CPU time, not the clock: other work on the machine disturbs it less.
 */
import { statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { ensureHarness } from '../soda-host/kernort/harness/index.ts'
import { compileRuleset } from '../soda-host/kernort/rules/index.ts'
import { temporaryDirectory } from '../test/helpers/temporary.ts'
import { row, type BenchContext, type Row } from './report.ts'
import { etOpenRules, spread } from './rules.ts'

const TRAFFIC = join(import.meta.dirname, 'engine-traffic.py')
const HTTP_BYTES = 200e6
const BULK_BYTES = 100e6
const SIZES = [0, 10, 1000, 10_000, Infinity]
/** A capture without frames: what is left is start-up. */
const EMPTY_CAPTURE = Buffer.from('d4c3b2a1020004000000000000000000ffff000001000000', 'hex')
/** Runs its arguments; says CPU seconds and the peak of memory in KiB. */
const MEASURE =
  'import resource,subprocess,sys\n' +
  'subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL)\n' +
  'use=resource.getrusage(resource.RUSAGE_CHILDREN)\n' +
  'print(use.ru_utime+use.ru_stime,use.ru_maxrss)'

interface Use {
  cpuSeconds: number[]
  peakBytes: number[]
}

/** The words that run one of the engines over a capture. */
type Command = (capture: string) => readonly string[]

interface Captures {
  http: string
  bulk: string
  empty: string
}

export async function bench({ samples }: BenchContext): Promise<Row[]> {
  const lines = await etOpenRules()
  const cacheDir = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ishare')
  const { path: replay } = await ensureHarness('replay', { cacheDir })
  await using directory = await temporaryDirectory()
  const captures = await makeCaptures(directory.path)
  const hasSuricata = await isInstalled('suricata')
  const rows: Row[] = []
  for (const size of SIZES) {
    const text = spread(lines, size).join('\n')
    const { bytes } = compileRuleset([{ file: 'bench.rules', text }]).table
    const [table, rules] = [join(directory.path, 'table'), join(directory.path, 'bench.rules')]
    await Promise.all([writeFile(table, bytes), writeFile(rules, text)])
    const ours = await measure((capture) => [replay, table, capture], captures, samples)
    const theirs = hasSuricata
      ? await measure((capture) => suricata(rules, capture, directory.path), captures, samples)
      : undefined
    const name = `engine, ${Math.min(size, lines.length)} rules`
    rows.push(...rowsOf(name, captures, ours, theirs), row(`${name}: table`, 'MB', [bytes.length / 1e6]))
  }
  return rows
}

async function isInstalled(program: string): Promise<boolean> {
  const { exitCode } = await execa('which', [program], { reject: false })
  return exitCode === 0
}

/** Needs root: the traffic crosses network namespaces of its own. */
async function makeCaptures(directory: string): Promise<Captures> {
  const [http, bulk, empty] = ['http', 'bulk', 'empty'].map((name) => join(directory, `${name}.pcap`)) as [
    string,
    string,
    string
  ]
  await writeFile(empty, EMPTY_CAPTURE)
  await execa('python3', [TRAFFIC, http, String(HTTP_BYTES), bulk, String(BULK_BYTES)])
  return { http, bulk, empty }
}

function suricata(rules: string, capture: string, logs: string): string[] {
  const any = ['HOME_NET', 'EXTERNAL_NET'].flatMap((name) => ['--set', `vars.address-groups.${name}=any`])
  return ['suricata', '--runmode', 'single', ...any, '-S', rules, '-r', capture, '-l', logs]
}

async function measure(
  command: Command,
  captures: Captures,
  samples: number
): Promise<Record<keyof Captures, Use>> {
  const uses = { http: newUse(), bulk: newUse(), empty: newUse() }
  for (let sample = 0; sample < samples; sample++)
    for (const kind of ['http', 'bulk', 'empty'] as const) {
      const { stdout } = await execa('python3', ['-c', MEASURE, ...command(captures[kind])])
      const [cpu = 0, peak = 0] = stdout.split(' ').map(Number)
      uses[kind].cpuSeconds.push(cpu)
      uses[kind].peakBytes.push(peak * 1024)
    }
  return uses
}

const newUse = (): Use => ({ cpuSeconds: [], peakBytes: [] })

function rowsOf(
  name: string,
  captures: Captures,
  ours: Record<keyof Captures, Use>,
  theirs: Record<keyof Captures, Use> | undefined
): Row[] {
  const rates = (uses: Record<keyof Captures, Use>, kind: 'http' | 'bulk'): number[] => {
    const megabytes = statSync(captures[kind]).size / 1e6
    return uses[kind].cpuSeconds.map((cpu, at) => megabytes / (cpu - (uses.empty.cpuSeconds[at] ?? 0)))
  }
  const both = (label: string, unit: string, of: (uses: Record<keyof Captures, Use>) => number[]): Row =>
    row(`${name}: ${label}${theirs ? '; Suricata' : ''}`, unit, of(ours), theirs && of(theirs))
  return [
    both('HTTP', 'MB/CPU s', (uses) => rates(uses, 'http')),
    both('bulk TCP', 'MB/CPU s', (uses) => rates(uses, 'bulk')),
    both('start-up', 'CPU s', (uses) => uses.empty.cpuSeconds),
    both('peak memory', 'MB', (uses) => uses.http.peakBytes.map((bytes) => bytes / 1e6))
  ]
}
