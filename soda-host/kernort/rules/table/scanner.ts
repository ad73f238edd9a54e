/**
 * The prefilter: one hash of short windows per group (`windows.ts`), instead of an automaton.
 *
 * Most marks say no, and all marks fit a first- or second-level cache whatever the number of rules: cost per byte stays
 * nearly flat, and there are no states to build.
 */
import type { Encoder } from './encoder.ts'
import { hashOf, markOf } from './gram.ts'
import { NONE } from './layout.ts'
import { TABLES, windowsOf, type Window } from './windows.ts'

/** A fast pattern of a group, and the rules that it wakes. */
export interface Pattern {
  /** Folded, latin1. */
  readonly bytes: string
  /** SIDE; which port must be one of `ports`, if any must. */
  readonly side: number
  /** PORT_GROUPS index. */
  readonly ports: number
  readonly rules: readonly number[]
}

/** 64 or 256 marks a window: of one byte or three, which has no second one, each mark has to be looked at. */
const MARK_BITS_PER_WINDOW = [6, 8, 8]
const MARK_BITS_MIN = 6
const MARK_BITS_MAX = 17
const HEAD_BITS_MAX = 20

interface Entry extends Window {
  readonly pattern: number
}

/** Writes scanners; equal groups share one. */
export class ScannerWriter {
  private readonly encoder: Encoder
  private readonly known = new Map<string, number>()

  constructor(encoder: Encoder) {
    this.encoder = encoder
  }

  /** Index of the scanner, or NONE when there is nothing to scan for. */
  write(patterns: readonly Pattern[]): number {
    if (patterns.length === 0) return NONE
    const sorted = patterns.toSorted(
      (a, b) => (a.bytes < b.bytes ? -1 : a.bytes > b.bytes ? 1 : 0) || a.side - b.side || a.ports - b.ports
    )
    const key = sorted
      .map(({ bytes, side, ports, rules }) => [bytes, side, ports, rules.join()].join('\0'))
      .join('\0')
    const before = this.known.get(key)
    if (before !== undefined) return before
    const index = this.writeNew(sorted)
    this.known.set(key, index)
    return index
  }

  private writeNew(patterns: readonly Pattern[]): number {
    const { PATTERNS, SCANNERS } = this.encoder.sections
    const tables = TABLES.map((): Entry[] => [])
    const crowd = new Map<number, number>()
    let longest = 0
    for (const { bytes: text, side, ports, rules } of patterns) {
      const bytes = Buffer.from(text, 'latin1')
      longest = Math.max(longest, bytes.length)
      const pattern = PATTERNS.count
      const { table, windows } = windowsOf(bytes, pattern, crowd)
      for (const window of windows) tables[table]?.push({ ...window, pattern })
      PATTERNS.u32(this.encoder.bytes.add(bytes))
        .u8(bytes.length, side)
        .u16(ports)
        .u32(this.encoder.words.addWords(rules), rules.length)
    }
    const index = SCANNERS.count
    const places = tables.map((windows, table) => this.writeTable(windows, MARK_BITS_PER_WINDOW[table] ?? 0))
    SCANNERS.u32(...places.flat(), patterns.length, longest, 0, 0)
    return index
  }

  private writeTable(
    entries: readonly Entry[],
    bitsPerWindow: number
  ): readonly [number, number, number, number] {
    if (entries.length === 0) return [0, 0, 0, 0]
    const { GRAMS, HEADS, MARKS } = this.encoder.sections
    const named = entries.filter(({ position }) => position !== undefined)
    const bits = Math.ceil(Math.log2(entries.length))
    const markBits = Math.min(MARK_BITS_MAX, Math.max(MARK_BITS_MIN, bits + bitsPerWindow))
    const headBits = Math.min(HEAD_BITS_MAX, Math.max(1, Math.ceil(Math.log2(named.length))))
    const marks = Buffer.alloc(2 ** markBits)
    for (const { gram, mark } of entries) {
      const { place, bit } = markOf(gram, markBits)
      marks[place] = (marks[place] ?? 0) | (mark ?? bit)
    }
    const sorted = named.toSorted(
      (a, b) => hashOf(a.gram) - hashOf(b.gram) || a.gram - b.gram || a.pattern - b.pattern
    )
    const heads = new Uint32Array(2 ** headBits + 1)
    const first = GRAMS.count
    for (const { gram, next, pattern, position } of sorted) {
      const bucket = hashOf(gram) >>> (32 - headBits)
      heads[bucket + 1] = (heads[bucket + 1] ?? 0) + 1
      GRAMS.u32(gram, next ?? 0, pattern, position ?? 0)
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
