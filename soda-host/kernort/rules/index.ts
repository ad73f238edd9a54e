/**
 * Detection rules: Snort 2 and Suricata syntax in, coverage and a compiled table out.
 *
 * Every rule of a file is either compiled whole or refused with file, line, column and reason; nothing is half
 * accepted. The table is described in docs/formats/ruleset.md.
 *
 * @packageDocumentation
 */
export { compileRuleset, type CompiledRuleset, type RulesetOptions } from './compile-set.ts'
export type { Coverage, KeywordCoverage } from './coverage.ts'
export type { Refusal, RefusalReason } from './refusal.ts'
export { readRuleFile, type RuleSource } from './rule-file.ts'
export type { SelectionTexts, Service } from './selection.ts'
export type { Table } from './table/compile.ts'
export { isTable, openTable } from './table/table-digest.ts'
export type { VariableTexts } from './variables.ts'
