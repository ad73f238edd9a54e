/** Detection rules to tables: how long, and how large, by the number of rules. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { compileRuleset, readRuleFile, type CompiledRuleset } from '../soda-host/kernort/rules/index.ts'
import { row, type BenchContext, type Row } from './report.ts'

/** The ET Open set of 2024, 24,827 rules; too large for the repository. */
const SET = join(process.env['ISHARE_IDS_RULES'] ?? '../shared/ids/rules', 'etopen-suricata5-2024')
const SIZES = [10, 1000, 10_000, Infinity]
/** Of one size after the other: the machine changes less between them than over the whole run. */
const WARM_UP = 1

export async function bench({ samples }: BenchContext): Promise<Row[]> {
  const lines = await etOpenRules()
  return SIZES.flatMap((size) => measure(spread(lines, size), samples))
}

/** The rules of the set, one a line. */
export async function etOpenRules(): Promise<string[]> {
  if (!existsSync(SET))
    throw new Error(`no rules in ${SET}: ISHARE_IDS_RULES names the directory of rule sets`)
  const files = readdirSync(SET).filter((file) => file.endsWith('.rules'))
  const sources = await Promise.all(files.sort().map((file) => readRuleFile(join(SET, file))))
  return sources.flatMap(({ text }) => text.split('\n').filter((line) => line.startsWith('alert')))
}

/** `size` of the lines, from all parts of the set. */
export function spread(lines: readonly string[], size: number): string[] {
  if (size >= lines.length) return [...lines]
  return Array.from({ length: size }, (_, index) => lines[Math.floor((index * lines.length) / size)] ?? '')
}

function measure(lines: readonly string[], samples: number): Row[] {
  const text = lines.join('\n')
  const seconds: number[] = []
  let last: CompiledRuleset | undefined
  for (let sample = 0; sample < samples + WARM_UP; sample++) {
    const started = performance.now()
    last = compileRuleset([{ file: 'bench.rules', text }])
    if (sample >= WARM_UP) seconds.push((performance.now() - started) / 1000)
  }
  const name = `rules: ${lines.length}`
  return [
    row(`${name}, text to table`, 's', seconds),
    row(`${name}, table`, 'MB', [(last?.table.bytes.length ?? 0) / 1e6]),
    row(`${name}, compiled`, 'rules', [last?.coverage.compiled ?? 0])
  ]
}
