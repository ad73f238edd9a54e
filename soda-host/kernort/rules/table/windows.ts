/**
 * Which windows of a pattern the prefilter looks for.
 *
 * A scan looks at every fourth place only: of a pattern, the windows of four bytes at four neighbouring places are
 * entered, so that one of them lies at a place that is looked at, wherever the pattern begins. If it is long enough, so
 * are the four that follow these: a place is of interest only when both it and the next one that is looked at are a
 * pattern's, which ordinary text hardly ever does. Patterns of less than seven bytes have windows of three at two
 * places, and every second place is looked at; what they lack of these three may be anything. See Wu and Manber, "A fast
 * algorithm for multi-pattern searching" (1994), without the skips, which attackers can defeat: here all text costs
 * the same.
 */
import { isCommon } from './common-text.ts'
import { rarity } from './fast-pattern.ts'
import { gramAt } from './gram.ts'
import { GRAM_FOLD, MARK_ALONE, MARK_FIRST, MARK_LOTS, MARK_SECOND } from './layout.ts'

export interface Window {
  /** Folded, little-endian. */
  readonly gram: number
  /** In the pattern; -1: it begins with the byte before. Undefined: a second window, which names no pattern. */
  readonly position: number | undefined
  /** The second window that must follow a first one. */
  readonly next?: number
  /** Bits of its mark; undefined: the one that its hash says. */
  readonly mark?: number
}

/** The tables of a scanner: bytes of a window, and how far the places are apart that a scan looks at. */
export const TABLES = [
  { width: 4, stride: 4 },
  { width: 3, stride: 2 },
  { width: 1, stride: 1 }
] as const
const [WIDE, NARROW] = TABLES
/** More than four rare bytes weigh: a window of ordinary text only when there is no other. */
const COMMON_PENALTY = 24
/** A byte that is not the pattern's, folded: all that it can be. */
const ANY_BYTE = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => byte & GRAM_FOLD)

/**
 * @param bytes - the pattern, folded
 * @param pattern - its number
 * @param crowd - how many patterns have a window already; is added to
 */
export function windowsOf(
  bytes: Uint8Array,
  pattern: number,
  crowd: Map<number, number>
): { table: number; windows: readonly Window[] } {
  if (bytes.length >= WIDE.width + WIDE.stride - 1)
    return { table: 0, windows: wideWindows(bytes, pattern % MARK_LOTS, crowd) }
  if (bytes.length === 1) return { table: 2, windows: [{ gram: gramAt(bytes, 0, 1), position: 0 }] }
  return { table: 1, windows: narrowWindows(bytes, crowd) }
}

function wideWindows(bytes: Uint8Array, lot: number, crowd: Map<number, number>): Window[] {
  const { width, stride } = WIDE
  const isPaired = bytes.length >= width + 2 * stride - 1
  const scores = rarities(bytes, width, crowd)
  // Of a pair the rarer one counts.
  const pairs = scores.slice(stride).map((second, at) => Math.max(second, scores[at] ?? 0))
  const first = bestRun(isPaired ? pairs : scores, stride)
  return Array.from({ length: isPaired ? 2 * stride : stride }, (_, at) => {
    const gram = gramAt(bytes, first + at, width)
    if (at >= stride) return { gram, position: undefined, mark: MARK_SECOND << lot }
    addTo(crowd, gram)
    const position = first + at
    return isPaired
      ? { gram, position, next: gramAt(bytes, position + stride, width), mark: MARK_FIRST << lot }
      : { gram, position, mark: MARK_ALONE }
  })
}

function narrowWindows(bytes: Uint8Array, crowd: Map<number, number>): Window[] {
  const { width, stride } = NARROW
  const isWhole = bytes.length >= width + stride - 1
  const first = isWhole ? bestRun(rarities(bytes, width, crowd), stride) : -1
  return Array.from({ length: stride }, (_, at) => first + at).flatMap((position) => {
    const grams = gramsFrom(bytes, position, width)
    for (const gram of grams) addTo(crowd, gram)
    return grams.map((gram) => ({ gram, position }))
  })
}

/** The windows that begin at `position` of the pattern, with anything where it has no byte. */
function gramsFrom(bytes: Uint8Array, position: number, width: number): number[] {
  let texts: number[][] = [[]]
  for (let at = position; at < position + width; at++) {
    const byte = bytes[at]
    const here = byte === undefined ? ANY_BYTE : [byte]
    texts = texts.flatMap((text) => here.map((next) => [...text, next]))
  }
  return texts.map((text) => gramAt(Uint8Array.from(text), 0, width))
}

function addTo(crowd: Map<number, number>, gram: number): void {
  crowd.set(gram, (crowd.get(gram) ?? 0) + 1)
}

/** Of the window at each position: how rare its bytes are, and how few other patterns use it. */
function rarities(bytes: Uint8Array, width: number, crowd: ReadonlyMap<number, number>): number[] {
  return Array.from({ length: bytes.length - width + 1 }, (_, position) => {
    const gram = gramAt(bytes, position, width)
    let score = -2 * Math.log2(1 + (crowd.get(gram) ?? 0))
    for (const byte of new Set(bytes.subarray(position, position + width))) score += rarity(byte)
    return width === WIDE.width && isCommon(gram) ? score - COMMON_PENALTY : score
  })
}

/** Where the `length` neighbours begin whose sum is largest. */
function bestRun(scores: readonly number[], length: number): number {
  let best = { position: 0, score: -Infinity }
  for (let position = 0; position + length <= scores.length; position++) {
    const score = scores.slice(position, position + length).reduce((sum, one) => sum + one, 0)
    if (score > best.score) best = { position, score }
  }
  return best.position
}
