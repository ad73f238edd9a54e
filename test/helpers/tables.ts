/** Compiled rule sets, as a tenant has them. */
import { compileRuleset } from '../../soda-host/kernort/rules/index.ts'

export interface TestRules {
  bytes: Buffer
  /** `sha256:<hex>` */
  digest: string
}

/** Of these rules. */
export function compiledRules(text: string): TestRules {
  const { bytes, digest } = compileRuleset([{ file: 'test.rules', text }]).table
  return { bytes, digest: `sha256:${digest}` }
}

/** Of one rule; different for each `sid`. */
export function ruleSetOf(sid: number): TestRules {
  return compiledRules(`alert tcp any any -> any any (msg:"test ${sid}"; content:"test ${sid}"; sid:${sid};)`)
}
