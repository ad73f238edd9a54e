/** Short ways to one rule, for tests. */
import type { BufferOption, Rule } from '../../soda-host/kernort/rules/ast.ts'
import { parseRule } from '../../soda-host/kernort/rules/parse-rule.ts'
import { RuleRefused } from '../../soda-host/kernort/rules/refusal.ts'

/** A rule for TCP with these options and a sid. */
export function ruleText(options: string, header = 'alert tcp any any -> any any'): string {
  return `${header} (${options}${options === '' ? '' : ' '}sid:1;)`
}

export function ruleWith(options: string, header?: string): Rule {
  return parseRule(ruleText(options, header))
}

/** Options of the only block of such a rule. */
export function optionsOf(options: string, header?: string): readonly BufferOption[] {
  const { blocks } = ruleWith(options, header)
  if (blocks.length !== 1) throw new Error(`expected one block, found ${blocks.length}`)
  const [only] = blocks
  return only?.options ?? []
}

/** `reason@text`: why a rule is refused, and the text at the place. */
export function refusalOf(options: string, header?: string): string {
  return refusalOfText(ruleText(options, header))
}

export function refusalOfText(text: string): string {
  try {
    parseRule(text)
  } catch (error) {
    if (error instanceof RuleRefused) return `${error.reason}@${text.slice(error.offset, error.offset + 12)}`
    throw error
  }
  return 'taken'
}
