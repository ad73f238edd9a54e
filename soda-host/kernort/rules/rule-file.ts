/**
 * Whole rule files: lines to rules and refusals.
 *
 * Nothing in a file stops the reading of the rest; a file that cannot be read at all, or that is beyond all bounds,
 * is an error.
 */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { RulesetError } from '../../../src/errors.ts'
import type { Rule } from './ast.ts'
import { KEYWORDS } from './keywords/table.ts'
import { REFUSALS_KEPT_MAX, RULE_FILE_BYTES_MAX, RULES_MAX } from './limits.ts'
import { parseRule } from './parse-rule.ts'
import { RuleRefused, type Refusal, type RefusalReason } from './refusal.ts'
import { placeOf, ruleLines, splitRule, type RuleLine } from './rule-text.ts'
import type { Selection } from './selection.ts'

/** Where a rule stands. */
export interface RulePlace {
  readonly file: string
  readonly line: RuleLine
}

export interface PlacedRule {
  readonly rule: Rule
  readonly place: RulePlace
}

/** `refusals` holds the first {@link REFUSALS_KEPT_MAX}; `refused` counts all. */
export interface RuleSet {
  readonly rules: PlacedRule[]
  readonly refusals: Refusal[]
  readonly refused: Map<RefusalReason, number>
  /** Keywords of refused rules, and how many of them use each. */
  readonly refusedKeywords: Map<string, number>
  /** Rules in the files that are not commented out or disabled. */
  read: number
  /** Left out by the selection. */
  left: number
}

export interface RuleSource {
  readonly file: string
  /** latin1: a character is a byte. */
  readonly text: string
}

/** Sets that come with Kernort, by the names that stand for their files. */
const SHIPPED_SETS = ['intruder', 'service'] as const

const SHIPPED_DIR = join(import.meta.dirname, '../watch')

function pathOf(file: string): string {
  return SHIPPED_SETS.some((name) => name === file) ? join(SHIPPED_DIR, `${file}.rules`) : file
}

/**
 * @param file - a path, or the name of a shipped set: `intruder`, `service`
 * @throws ERR_RULESET_FILE when it cannot be read or is larger than 64 MiB
 */
export async function readRuleFile(file: string): Promise<RuleSource> {
  try {
    const path = pathOf(file)
    const status = await stat(path)
    if (!status.isFile()) throw new RulesetError('ERR_RULESET_FILE', `${file} is not a file`)
    if (status.size > RULE_FILE_BYTES_MAX) {
      const most = `at most ${RULE_FILE_BYTES_MAX} are read`
      throw new RulesetError('ERR_RULESET_FILE', `${file} has ${status.size} bytes; ${most}`)
    }
    return { file, text: await readFile(path, 'latin1') }
  } catch (error) {
    if (error instanceof RulesetError) throw error
    throw new RulesetError('ERR_RULESET_FILE', `the rule file ${file} cannot be read`, { cause: error })
  }
}

/**
 * Reads rules from `sources`, the later of two with the same gid and sid only if its revision is higher.
 *
 * @throws ERR_RULESET_LIMIT above 131,072 rules
 */
export function readRules(sources: Iterable<RuleSource>, selection: Selection): RuleSet {
  const set: RuleSet = {
    rules: [],
    refusals: [],
    refused: new Map(),
    refusedKeywords: new Map(),
    read: 0,
    left: 0
  }
  const bySid = new Map<string, number>()
  for (const { file, text } of sources)
    for (const line of ruleLines(text)) readOne(set, bySid, { file, line }, selection)
  return set
}

function readOne(set: RuleSet, bySid: Map<string, number>, place: RulePlace, selection: Selection): void {
  const { line, file } = place
  if (!selection.wantsLine(line, file)) {
    if (!line.isDisabled) set.left += 1
    return
  }
  set.read += 1
  if (set.read > RULES_MAX) throw new RulesetError('ERR_RULESET_LIMIT', `more than ${RULES_MAX} rules`)
  try {
    const rule = parseRule(line.text)
    if (!selection.wantsRule(rule)) {
      set.read -= 1
      set.left += 1
      return
    }
    keep(set, bySid, { rule, place })
  } catch (error) {
    if (!(error instanceof RuleRefused)) throw error
    addRefusal(set, place, error)
  }
}

function keep(set: RuleSet, bySid: Map<string, number>, placed: PlacedRule): void {
  const key = `${placed.rule.gid}:${placed.rule.sid}`
  const index = bySid.get(key)
  const before = index === undefined ? undefined : set.rules[index]
  if (index === undefined || before === undefined) {
    bySid.set(key, set.rules.length)
    set.rules.push(placed)
    return
  }
  const isNewer = placed.rule.rev > before.rule.rev
  if (isNewer) set.rules[index] = placed
  const loser = isNewer ? before : placed
  const winner = isNewer ? placed : before
  const where = `${winner.place.file}:${placeOf(winner.place.line, 0).line}`
  addRefusal(
    set,
    loser.place,
    new RuleRefused('duplicate', `${key} is the same rule as in ${where}`, 0),
    loser.rule.sid
  )
}

const SID = /\bsid\s*:\s*(\d{1,10})/

/** Counts a refusal and keeps it while there is room. */
export function addRefusal(set: RuleSet, place: RulePlace, refused: RuleRefused, sid?: number): void {
  set.refused.set(refused.reason, (set.refused.get(refused.reason) ?? 0) + 1)
  for (const name of keywordsOf(place.line.text))
    set.refusedKeywords.set(name, (set.refusedKeywords.get(name) ?? 0) + 1)
  if (set.refusals.length >= REFUSALS_KEPT_MAX) return
  const found = sid === undefined ? SID.exec(place.line.text)?.[1] : String(sid)
  set.refusals.push({
    file: place.file,
    ...placeOf(place.line, refused.offset),
    reason: refused.reason,
    message: refused.message,
    sid: found === undefined ? undefined : Number(found)
  })
}

/** As far as its text can be split at all. Names that are none are not told: a file could hold any number. */
function keywordsOf(text: string): ReadonlySet<string> {
  try {
    const names = splitRule(text).options.map(({ name }) => name.text.toLowerCase())
    return new Set(names.map((name) => (KEYWORDS.has(name) ? name : '(unknown)')))
  } catch (error) {
    if (error instanceof RuleRefused) return new Set()
    throw error
  }
}
