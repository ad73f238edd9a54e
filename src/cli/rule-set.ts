/** The rule set of a run: what a user names, or else the shipped one, as the table that the guest's kernel takes. */
import { open, readFile } from 'node:fs/promises'
import type { KernelWish } from '../../irun/index.ts'
import { compileRuleset, isTable, openTable, readRuleFile } from '../../soda-host/kernort/rules/index.ts'
import { formatSize } from '../config/index.ts'
import type { Offer } from '../documents/index.ts'
import { ConfigError, RulesetError } from '../errors.ts'
import { note } from './output.ts'

const HEAD_BYTES = 64
/** Its rules only tell: whoever named none is kept from nothing. */
const DEFAULT_SET = 'intruder'
/** In place of all names. */
const NO_RULES = 'none'

export type Ruleset = NonNullable<KernelWish['ruleset']>

export interface RuleWords {
  /** As the user named them. @default the shipped set `intruder`, where the provider takes it */
  rules?: readonly string[] | undefined
  quiet?: boolean | undefined
  /** What the run asks for, in bytes: rules lie beside it. @default what is left */
  disk?: number | undefined
}

/** Does the user want rules at any price? */
export function namesRules({ rules }: Pick<RuleWords, 'rules'>): boolean {
  return rules !== undefined && !isNone(rules)
}

/**
 * The rules that a run under this offer carries; undefined: none. What the provider does not take is an error if the user
 * has named it, and otherwise left out, which is said.
 *
 * @throws ERR_RULESET_FILE when one cannot be read, a table is damaged, or no rule is understood; ERR_RULESET_LIMIT when
 *   they are too many, or more than the provider takes; ERR_CONFIG_VALUE when `none` stands beside others
 */
export async function rulesFor(
  { rules: { perRun }, slice }: Pick<Offer, 'rules' | 'slice'>,
  { rules, quiet = false, disk = 0 }: RuleWords
): Promise<Ruleset | undefined> {
  if (rules !== undefined && isNone(rules)) return undefined
  const ruleset = await ruleSet(rules ?? [DEFAULT_SET], quiet)
  const most = perRun.rulesetBytes
  const sizeBytes = ruleset.bytes.length
  if (rules === undefined) {
    const room = Math.min(most, slice.diskBytes - disk)
    if (sizeBytes <= room) return ruleset
    if (!quiet)
      note(`The shipped rules (${formatSize(sizeBytes)}) are left out: the provider has no room for them.`)
    return undefined
  }
  if (sizeBytes <= most) return ruleset
  const taken = most === 0 ? 'none' : `at most ${formatSize(most)}`
  throw new RulesetError(
    'ERR_RULESET_LIMIT',
    `the rules have ${formatSize(sizeBytes)} compiled; of those of a tenant the provider takes ${taken}: name fewer, or --rules ${NO_RULES}`
  )
}

/** @throws ERR_CONFIG_VALUE when it stands beside others */
function isNone(rules: readonly string[]): boolean {
  if (!rules.includes(NO_RULES)) return false
  if (rules.length > 1)
    throw new ConfigError('ERR_CONFIG_VALUE', `--rules ${NO_RULES} cannot stand beside other rules`)
  return true
}

/** @param names - rule files and shipped sets, or one compiled table */
async function ruleSet(names: readonly string[], quiet: boolean): Promise<Ruleset> {
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
