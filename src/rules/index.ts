/**
 * @packageDocumentation
 *
 * Access rules: what a provider's machine enforces. One pure function answers whether a request may run.
 */
export { describeRules } from './describe.ts'
export {
  evaluate,
  type AccessRequest,
  type Decision,
  type Grant,
  type Refusal,
  type RefusalCode
} from './evaluate.ts'
export { defaultRules, parseRules } from './rules-file.ts'
export { accessRules, type AccessRules } from './schema.ts'
export { verifyAccessToken, type AccessClaims, type TokenHolder } from './token.ts'
