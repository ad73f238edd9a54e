/**
 * The detection engine in user space: the same C that runs in the guest kernel, for captures, tests and fuzzing.
 *
 * @packageDocumentation
 */
export { ensureHarness } from './build.ts'
export { replay, type AlertCount, type Replay, type RuleUse } from './replay.ts'
