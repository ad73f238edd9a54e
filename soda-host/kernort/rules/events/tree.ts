/** What a rule on events says besides what all rules say. */
import type { NumberTest } from '../ast.ts'
import type { EventBufferName } from './buffers.ts'
import type { EventKind, EventNumber } from './kinds.ts'

export interface EventTest {
  readonly number: EventNumber
  readonly test: NumberTest
  readonly negated: boolean
}

/** Matches only texts that this rule has not seen since the boot, and none in the first seconds. */
export interface FirstTime {
  readonly buffer: EventBufferName
  readonly learnSeconds: number
}

/** `kinds` is empty only while the rule is being read. */
export interface EventPart {
  kinds: readonly EventKind[]
  readonly tests: EventTest[]
  firstTime: FirstTime | undefined
}
