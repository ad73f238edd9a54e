/**
 * The one content by which a rule is found.
 *
 * A rule that says `fast_pattern` is believed. For others the content is taken that traffic is least likely to hold:
 * long, and of bytes that are rare. Every candidate must be in a match, so whichever is chosen nothing is missed.
 */
import type { Block, Content, Rule, Transform } from '../ast.ts'
import { bufferRow, type BufferName } from '../buffers.ts'
import { isCommon } from './common-text.ts'
import { gramAt } from './gram.ts'
import { GRAM_FOLD, PATTERN_BYTES_MAX } from './layout.ts'

export interface FastPattern {
  readonly content: Content
  readonly buffer: BufferName
  /** Folded, as the scanner sees it. */
  readonly bytes: Uint8Array
}

/** Buffers whose usual content is the same everywhere: weaker for telling rules apart. */
const COMMON: Partial<Record<BufferName, number>> = {
  http_method: 0.2,
  http_stat_code: 0.2,
  http_stat_msg: 0.4,
  http_protocol: 0.2,
  http_header_names: 0.6,
  http_header: 0.8,
  http_header_raw: 0.8,
  http_start: 0.6,
  http_content_type: 0.6,
  http_connection: 0.4,
  http_accept: 0.4,
  http_accept_enc: 0.4
}

/** The text of a transformed buffer that is also, case apart, in the buffer before. */
const KEEPING: ReadonlySet<Transform> = new Set(['dotprefix', 'to_lowercase', 'to_uppercase'])

export function chooseFastPattern(rule: Rule): FastPattern | undefined {
  let best: { pattern: FastPattern; score: number } | undefined
  const isTransaction = rule.blocks.some((block) => isApplication(block.buffer))
  for (const block of rule.blocks) {
    if (block.buffer === 'base64_data' || !block.transforms.every((transform) => KEEPING.has(transform)))
      continue
    for (const option of block.options) {
      if (option.kind !== 'content' || option.negated) continue
      const bytes = scanned(option.pattern, block)
      if (bytes.length === 0) continue
      const pattern = { content: option, buffer: block.buffer, bytes }
      if (option.fast) return pattern
      const isBeside = isTransaction && !isApplication(block.buffer)
      const score = strength(bytes) * (COMMON[block.buffer] ?? 1) * (isBeside ? 0.5 : 1)
      if (best === undefined || score > best.score) best = { pattern, score }
    }
  }
  return best?.pattern
}

export function isApplication(buffer: BufferName): boolean {
  return bufferRow(buffer).apps.length > 0
}

/** Of a dotprefix'd buffer the dot is not in the traffic. */
function scanned(pattern: Uint8Array, block: Block): Uint8Array {
  const isDotted = block.transforms.includes('dotprefix') && pattern[0] === 0x2e
  const bytes = isDotted ? pattern.subarray(1) : pattern
  return rarest(bytes.map((byte) => byte | GRAM_FOLD))
}

/** Of a long pattern, a part around what ordinary traffic is least likely to hold. */
function rarest(bytes: Uint8Array): Uint8Array {
  let best = { from: 0, score: -Infinity }
  for (let from = 0; from + PATTERN_BYTES_MAX <= bytes.length; from++) {
    const score = strength(bytes.subarray(from, from + PATTERN_BYTES_MAX))
    if (score > best.score) best = { from, score }
  }
  return bytes.subarray(best.from, best.from + PATTERN_BYTES_MAX)
}

/** How rare a byte is, folded; from looking at traffic of many kinds. */
export function rarity(byte: number): number {
  if (byte === 0x20) return 1
  if (byte >= 0x61 && byte <= 0x7a) return 'etaoinsrhldcu'.includes(String.fromCharCode(byte)) ? 2 : 3
  if (byte >= 0x30 && byte <= 0x39) return 3
  if (byte === 0x2f || byte === 0x2e || byte === 0x2d || byte === 0x3a || byte === 0x3d) return 3
  return byte < 0x80 ? 4 : 5
}

/** Has it no four bytes that ordinary text lacks? */
function isOrdinary(bytes: Uint8Array): boolean {
  for (let at = 0; at + 4 <= bytes.length; at++) if (!isCommon(gramAt(bytes, at, 4))) return false
  return true
}

/** Above this a pattern is rare in traffic of any port. */
const RARE_FROM = 6

/** Would it be found often, wherever it is looked for? */
export function isFrequent(bytes: Uint8Array): boolean {
  let sum = 0
  for (const byte of new Set(bytes)) sum += rarity(byte)
  return bytes.length < 2 || sum < RARE_FROM || (bytes.length >= 4 && isOrdinary(bytes))
}

/** How unlikely traffic is to hold these bytes: the sum of their rarities. */
export function strength(bytes: Uint8Array): number {
  let sum = 0
  for (const byte of bytes.subarray(0, 24)) sum += rarity(byte)
  return isOrdinary(bytes) ? sum / 4 : sum
}
