/**
 * The prefilter: one hash of short windows per group, instead of an automaton.
 *
 * Of every pattern one window of 4 bytes (2 or 1 if it is shorter) is entered into marks and a hash. A scan hashes the
 * window at each position and looks at its mark; all marks fit a first- or second-level cache whatever the number of
 * rules: cost per byte stays nearly flat, and there are no states to build. See Wu and Manber,
 * "A fast algorithm for multi-pattern searching" (1994), without the skips, which attackers can defeat.
 */
import { isCommon } from './common-text.ts'
import type { Encoder } from './encoder.ts'
import { rarity } from './fast-pattern.ts'
import { gramAt, hashOf, markOf } from './gram.ts'
import { NONE } from './layout.ts'

/** Patterns of one group: folded bytes (latin1) to the rules that they wake. */
export type PatternRules = ReadonlyMap<string, readonly number[]>

export const WINDOWS = [4, 2, 1] as const
/** 128 marks a pattern: a random window has a mark at most once in 128, and its bit in that once in 1024. */
const MARK_BITS_PER_PATTERN = 7
const MARK_BITS_MIN = 6
const MARK_BITS_MAX = 20
const HEAD_BITS_MAX = 20
/** More than four rare bytes weigh: a window of ordinary text only when there is no other. */
const COMMON_PENALTY = 24

interface Gram {
  readonly gram: number
  readonly pattern: number
  readonly position: number
}

/** Writes scanners; equal groups share one. */
export class ScannerWriter {
  private readonly encoder: Encoder
  private readonly known = new Map<string, number>()

  constructor(encoder: Encoder) {
    this.encoder = encoder
  }

  /** Index of the scanner, or NONE when there is nothing to scan for. */
  write(patterns: PatternRules): number {
    if (patterns.size === 0) return NONE
    const entries = [...patterns].toSorted(([a], [b]) => (a < b ? -1 : 1))
    const key = entries.map(([bytes, rules]) => `${bytes}\0${rules.join()}`).join('\0')
    const before = this.known.get(key)
    if (before !== undefined) return before
    const index = this.writeNew(entries)
    this.known.set(key, index)
    return index
  }

  private writeNew(entries: readonly (readonly [string, readonly number[]])[]): number {
    const { PATTERNS, SCANNERS } = this.encoder.sections
    const grams: Record<(typeof WINDOWS)[number], Gram[]> = { 4: [], 2: [], 1: [] }
    const crowd = new Map<number, number>()
    let longest = 0
    for (const [text, rules] of entries) {
      const bytes = Buffer.from(text, 'latin1')
      longest = Math.max(longest, bytes.length)
      const window = WINDOWS.find((width) => width <= bytes.length) ?? 1
      const position = bestWindow(bytes, window, crowd)
      grams[window].push({ gram: gramAt(bytes, position, window), pattern: PATTERNS.count, position })
      PATTERNS.u32(
        this.encoder.bytes.add(bytes),
        bytes.length,
        this.encoder.words.addWords(rules),
        rules.length
      )
    }
    const index = SCANNERS.count
    const tables = WINDOWS.map((window) => this.writeTable(grams[window]))
    SCANNERS.u32(...tables.flat(), entries.length, longest, 0, 0)
    return index
  }

  private writeTable(grams: readonly Gram[]): readonly [number, number, number, number] {
    if (grams.length === 0) return [0, 0, 0, 0]
    const { GRAMS, HEADS, MARKS } = this.encoder.sections
    const bits = Math.ceil(Math.log2(grams.length))
    const markBits = Math.min(MARK_BITS_MAX, Math.max(MARK_BITS_MIN, bits + MARK_BITS_PER_PATTERN))
    const headBits = Math.min(HEAD_BITS_MAX, Math.max(1, bits))
    const sorted = grams.toSorted(
      (a, b) => hashOf(a.gram) - hashOf(b.gram) || a.gram - b.gram || a.pattern - b.pattern
    )
    const marks = Buffer.alloc(2 ** markBits)
    const heads = new Uint32Array(2 ** headBits + 1)
    const first = GRAMS.count
    for (const { gram, pattern, position } of sorted) {
      const { place, bit } = markOf(gram, markBits)
      marks[place] = (marks[place] ?? 0) | bit
      const bucket = hashOf(gram) >>> (32 - headBits)
      heads[bucket + 1] = (heads[bucket + 1] ?? 0) + 1
      GRAMS.u32(gram, pattern, position)
    }
    heads[0] = first
    for (let bucket = 1; bucket < heads.length; bucket++)
      heads[bucket] = (heads[bucket] ?? 0) + (heads[bucket - 1] ?? 0)
    const place = [MARKS.count, HEADS.count] as const
    MARKS.raw(marks)
    HEADS.u32(...heads)
    return [markBits, headBits, ...place]
  }
}

/** The rarest window that few other patterns use. */
function bestWindow(bytes: Uint8Array, window: number, crowd: Map<number, number>): number {
  let best = { position: 0, score: -Infinity, gram: 0 }
  for (let position = 0; position + window <= bytes.length; position++) {
    const gram = gramAt(bytes, position, window)
    let score = -2 * Math.log2(1 + (crowd.get(gram) ?? 0))
    const distinct = new Set(bytes.subarray(position, position + window))
    for (const byte of distinct) score += rarity(byte)
    if (window === 4 && isCommon(gram)) score -= COMMON_PENALTY
    if (score > best.score) best = { position, score, gram }
  }
  crowd.set(best.gram, (crowd.get(best.gram) ?? 0) + 1)
  return best.position
}
