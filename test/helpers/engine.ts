import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { compileRuleset, readRuleFile } from '../../soda-host/kernort/rules/index.ts'
import { replay, type AlertCount } from '../../soda-host/kernort/harness/index.ts'

/** Compiled programs are kept where set-up keeps them. */
export const cacheDir = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ishare')

/** The table of one rule file. */
export async function tableOf(rulesFile: string): Promise<Uint8Array> {
  return compileRuleset([await readRuleFile(rulesFile)], {}).table.bytes
}

/** A detection case: a folder with `input.pcap`, `rules.rules` and `expected.json`. */
export async function replayCase(
  folder: string,
  picksUpMidstream = false
): Promise<{ alerts: AlertCount[]; expected: AlertCount[] }> {
  const table = await tableOf(join(folder, 'rules.rules'))
  // Like the expectations: `-k none`.
  const { alerts } = await replay(table, join(folder, 'input.pcap'), {
    cacheDir,
    ignoresChecksums: true,
    picksUpMidstream
  })
  const expected = JSON.parse(await readFile(join(folder, 'expected.json'), 'utf8')) as AlertCount[]
  return { alerts, expected }
}

export function sidsOf(alerts: readonly AlertCount[]): number[] {
  return alerts.map(({ sid }) => sid).toSorted((a, b) => a - b)
}
