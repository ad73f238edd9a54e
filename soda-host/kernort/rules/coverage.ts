/** What of a rule set is understood: for people who choose rules. */
import type { Refusal, RefusalReason } from './refusal.ts'
import type { RuleSet } from './rule-file.ts'

export interface Coverage {
  /** Rules in the files that are switched on. */
  readonly read: number
  readonly compiled: number
  /** Left out by the selection. */
  readonly left: number
  readonly refused: Readonly<Partial<Record<RefusalReason, number>>>
  readonly refusals: readonly Refusal[]
  /** By how many rules use it, most first. */
  readonly keywords: readonly KeywordCoverage[]
}

export interface KeywordCoverage {
  readonly keyword: string
  readonly rules: number
  readonly compiled: number
}

export function coverage(set: RuleSet): Coverage {
  const compiled = new Map<string, number>()
  for (const { rule } of set.rules)
    for (const keyword of rule.keywords) compiled.set(keyword, (compiled.get(keyword) ?? 0) + 1)
  const names = new Set([...compiled.keys(), ...set.refusedKeywords.keys()])
  const keywords = [...names].map((keyword) => {
    const taken = compiled.get(keyword) ?? 0
    return { keyword, rules: taken + (set.refusedKeywords.get(keyword) ?? 0), compiled: taken }
  })
  return {
    read: set.read,
    compiled: set.rules.length,
    left: set.left,
    refused: Object.fromEntries(set.refused),
    refusals: set.refusals,
    keywords: keywords.toSorted((a, b) => b.rules - a.rules || (a.keyword < b.keyword ? -1 : 1))
  }
}
