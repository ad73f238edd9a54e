/** What the shipped rules on system calls and consoles cost a guest that is watched anyhow, in the acts that LMbench times. */
import { compileRuleset, readRuleFile } from '../soda-host/kernort/rules/index.ts'
import { watchedGuest } from '../test/helpers/watched-guest.ts'
import type { BenchContext, Row } from './report.ts'
import { inTurns, rowsOf, type Boot } from './turns.ts'
import { compiled } from './watched.ts'

const OPTIONS = { memoryBytes: 96 * 1024 * 1024, processesMax: 128 }

export async function bench({ samples }: BenchContext): Promise<Row[]> {
  const shipped = compileRuleset(await Promise.all(['intruder', 'service'].map(readRuleFile))).table
  const none = compileRuleset([]).table
  const boot: Boot = async (role, resources) =>
    resources.use(await watchedGuest({ ...OPTIONS, rules: role === 'watched' ? shipped : none })).guest
  const rows = rowsOf(await inTurns(boot, await compiled('watched.c'), ['serve'], samples))
  return rows.map((row) => ({ ...row, name: `${row.name}, with the shipped rules on events` }))
}
