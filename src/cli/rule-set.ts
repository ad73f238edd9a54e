/** The rule set of a run: what a user names, as the table that the guest's kernel takes. */
import { open, readFile } from 'node:fs/promises'
import type { KernelWish } from '../../irun/index.ts'
import { compileRuleset, isTable, openTable, readRuleFile } from '../../soda-host/kernort/rules/index.ts'
import { RulesetError } from '../errors.ts'
import { note } from './output.ts'

const HEAD_BYTES = 64

/**
 * @param names - rule files, or one compiled table
 * @throws ERR_RULESET_FILE when one cannot be read, a table is damaged, or no rule is understood; ERR_RULESET_LIMIT
 */
export async function ruleSet(
  names: readonly string[],
  quiet: boolean
): Promise<NonNullable<KernelWish['ruleset']>> {
  const [only = ''] = names
  const { bytes, digest } =
    names.length === 1 && (await isCompiled(only))
      ? openTable(await readFile(only))
      : await compiled(names, quiet)
  return { bytes, digest: `sha256:${digest}` }
}

async function compiled(
  files: readonly string[],
  quiet: boolean
): Promise<{ bytes: Buffer; digest: string }> {
  const sources = []
  for (const file of files) sources.push(await readRuleFile(file))
  const { table, coverage } = compileRuleset(sources)
  const says = `Rules: ${coverage.compiled} of ${coverage.read} are understood; see: ishare rules check`
  if (coverage.compiled === 0) throw new RulesetError('ERR_RULESET_FILE', says)
  if (!quiet && coverage.compiled < coverage.read) note(says)
  return table
}

/** A file that cannot be read is for the reader of rule files to tell. */
async function isCompiled(path: string): Promise<boolean> {
  try {
    await using file = await open(path)
    const head = Buffer.alloc(HEAD_BYTES)
    await file.read(head, 0, HEAD_BYTES, 0)
    return isTable(head)
  } catch {
    return false
  }
}
