/** Rule files and everything that is said about the whole set, to coverage and table. */
import { readClasses } from './classes.ts'
import { coverage, type Coverage } from './coverage.ts'
import { readRules, type RuleSource } from './rule-file.ts'
import { readSelection, type SelectionTexts } from './selection.ts'
import { compileRules, type Table } from './table/compile.ts'
import { applyRates, readThresholds } from './thresholds.ts'
import { readVariables, type VariableTexts } from './variables.ts'

export interface RulesetOptions {
  readonly variables?: Partial<VariableTexts>
  readonly selection?: SelectionTexts
  /** Text of a classification.config. */
  readonly classification?: string
  /** Text of a threshold.config. */
  readonly thresholds?: string
}

export interface CompiledRuleset {
  readonly table: Table
  readonly coverage: Coverage
}

/**
 * Same sources, same options: same table, same digest.
 *
 * @example
 * ```ts
 * const { table, coverage } = compileRuleset([await readRuleFile('local.rules')])
 * ```
 * @throws ERR_RULESET_VARIABLE, ERR_RULESET_SELECTION when an option is not understood; ERR_RULESET_LIMIT when the
 *   set is too large. Rules that are not understood are no error: `coverage.refusals` tells them.
 */
export function compileRuleset(sources: Iterable<RuleSource>, options: RulesetOptions = {}): CompiledRuleset {
  const variables = readVariables(options.variables)
  const set = readRules(sources, readSelection(options.selection ?? {}, variables))
  const { suppressions, rates } = readThresholds(options.thresholds ?? '', variables)
  if (rates.length > 0) set.rules.splice(0, set.rules.length, ...applyRates(set.rules, rates))
  const classes = readClasses(options.classification)
  const table = compileRules(set, { variables, classes, suppressions })
  return { table, coverage: coverage(set) }
}
