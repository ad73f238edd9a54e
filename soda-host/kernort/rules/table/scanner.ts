/**
 * The prefilter: one hash of short windows per group, instead of an automaton.
 *
 * Of every pattern one window of 4 bytes (3, 2, 1 if it is shorter) is entered into a bitmap and a hash. A scan
 * hashes the window at each position and looks into the bitmap, which fits a first- or second-level cache whatever
 * the number of rules: cost per byte stays nearly flat, and there are no states to build. See Wu and Manber,
 * "A fast algorithm for multi-pattern searching" (1994), without the skips, which attackers can defeat.
 */
import type { Encoder } from './encoder.ts'
import { rarity } from './fast-pattern.ts'
import { GRAM_HASH, NONE } from './layout.ts'

/** Patterns of one group: folded bytes (latin1) to the rules that they wake. */
export type PatternRules = ReadonlyMap<string, readonly number[]>

const WINDOWS = [4, 3, 2, 1] as const
/** 64 bits a pattern: a random window is in the bitmap once in 64. */
const BITS_PER_PATTERN = 6
const BITMAP_BITS_MIN = 6
const BITMAP_BITS_MAX = 20

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
    const grams: Record<(typeof WINDOWS)[number], Gram[]> = { 4: [], 3: [], 2: [], 1: [] }
    const crowd = new Map<number, number>()
    let longest = 0
    for (const [text, rules] of entries) {
      const bytes = Buffer.from(text, 'latin1')
      longest = Math.max(longest, bytes.length)
      const window = WINDOWS[4 - Math.min(4, bytes.length)] ?? 1
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
    const { GRAMS, HEADS, BITMAPS } = this.encoder.sections
    const wanted = Math.ceil(Math.log2(grams.length)) + BITS_PER_PATTERN
    const bitmapBits = Math.min(BITMAP_BITS_MAX, Math.max(BITMAP_BITS_MIN, wanted))
    const headBits = Math.max(1, bitmapBits - BITS_PER_PATTERN)
    const sorted = grams.toSorted(
      (a, b) => hashOf(a.gram) - hashOf(b.gram) || a.gram - b.gram || a.pattern - b.pattern
    )
    const bitmap = new Uint32Array(2 ** (bitmapBits - 5))
    const heads = new Uint32Array(2 ** headBits + 1)
    const first = GRAMS.count
    for (const { gram, pattern, position } of sorted) {
      const bit = hashOf(gram) >>> (32 - bitmapBits)
      bitmap[bit >>> 5] = (bitmap[bit >>> 5] ?? 0) | (1 << (bit & 31))
      const bucket = hashOf(gram) >>> (32 - headBits)
      heads[bucket + 1] = (heads[bucket + 1] ?? 0) + 1
      GRAMS.u32(gram, pattern, position)
    }
    heads[0] = first
    for (let bucket = 1; bucket < heads.length; bucket++)
      heads[bucket] = (heads[bucket] ?? 0) + (heads[bucket - 1] ?? 0)
    const place = [BITMAPS.count, HEADS.count] as const
    BITMAPS.u32(...bitmap)
    HEADS.u32(...heads)
    return [bitmapBits, headBits, ...place]
  }
}

export function hashOf(gram: number): number {
  return Math.imul(gram, GRAM_HASH) >>> 0
}

export function gramAt(bytes: Uint8Array, position: number, window: number): number {
  let gram = 0
  for (let at = 0; at < window; at++) gram |= (bytes[position + at] ?? 0) << (8 * at)
  return gram >>> 0
}

/** The rarest window that few other patterns use. */
function bestWindow(bytes: Uint8Array, window: number, crowd: Map<number, number>): number {
  let best = { position: 0, score: -Infinity, gram: 0 }
  for (let position = 0; position + window <= bytes.length; position++) {
    const gram = gramAt(bytes, position, window)
    let score = -2 * Math.log2(1 + (crowd.get(gram) ?? 0))
    const distinct = new Set(bytes.subarray(position, position + window))
    for (const byte of distinct) score += rarity(byte)
    if (score > best.score) best = { position, score, gram }
  }
  crowd.set(best.gram, (crowd.get(best.gram) ?? 0) + 1)
  return best.position
}
