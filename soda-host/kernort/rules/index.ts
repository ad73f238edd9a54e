/**
 * Detection rules: Snort 2 and Suricata syntax in, coverage and a compiled table out.
 *
 * Every rule of a file is either compiled whole or refused with file, line, column and reason; nothing is half
 * accepted.
 *
 * @packageDocumentation
 */
export { coverage, type Coverage, type KeywordCoverage } from './coverage.ts'
export type { Refusal, RefusalReason } from './refusal.ts'
export { readRuleFile, readRules, type RuleSet, type RuleSource } from './rule-file.ts'
export { readSelection, type Selection, type SelectionTexts, type Service } from './selection.ts'
export { readVariables, type Variables, type VariableTexts } from './variables.ts'
