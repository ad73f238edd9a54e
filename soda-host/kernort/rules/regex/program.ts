/** The words of a compiled expression: `enum kernort_regex_code` of the table's header, in its order. */
import type { ByteSet } from './byte-set.ts'

export const REGEX_CODES = [
  'MATCH',
  'BYTE',
  'SET',
  'ANY',
  'JUMP',
  'SPLIT',
  'SPLIT_TARGET',
  'STAR',
  'STAR_LAZY',
  'REPEAT',
  'REPEAT_LAZY',
  'SAVE',
  'MARK',
  'MARK_MOVED',
  'TEXT_START',
  'TEXT_END',
  'TEXT_END_NEWLINE',
  'LINE_START',
  'LINE_END',
  'WORD_BOUNDARY',
  'NOT_WORD_BOUNDARY',
  'BACKREF',
  'BACKREF_NOCASE',
  'AHEAD',
  'NOT_AHEAD',
  'BEHIND',
  'NOT_BEHIND',
  'ATOMIC'
] as const

export type RegexCode = (typeof REGEX_CODES)[number]

export const REGEX_CODE: Readonly<Record<RegexCode, number>> = Object.fromEntries(
  REGEX_CODES.map((name, index) => [name, index])
) as Record<RegexCode, number>

export const REGEX_WORDS_MAX = 16_384
export const REGEX_LINEAR_WORDS_MAX = 4096
export const REGEX_CAPTURES_MAX = 32
export const REGEX_MARKS_MAX = 32
export const REGEX_DEPTH_MAX = 8
export const REPEAT_UNBOUNDED = 0xffff_ffff

export interface RegexProgram {
  readonly words: readonly number[]
  /** Pike's machine can run it. */
  readonly isLinear: boolean
  readonly isAnchored: boolean
  /** What a match begins with; undefined: it may be empty. */
  readonly first: ByteSet | undefined
  /** Groups that something refers to, and the whole match. */
  readonly captureCount: number
  readonly markCount: number
}

/** Numbers sets, so that equal ones are one. */
export type SetIndex = (set: ByteSet) => number
