/** Windows of folded bytes as numbers, and where the table keeps them. */
import { GRAM_HASH, MARK_BIT_SHIFT, MARK_SHIFT } from './layout.ts'

export function hashOf(gram: number): number {
  return Math.imul(gram, GRAM_HASH) >>> 0
}

/** Which mark a window has, and which bit of it. */
export function markOf(gram: number, markBits: number): { place: number; bit: number } {
  const hash = hashOf(gram)
  return { place: (hash >>> MARK_SHIFT) & (2 ** markBits - 1), bit: 1 << ((hash >>> MARK_BIT_SHIFT) & 7) }
}

export function gramAt(bytes: Uint8Array, position: number, window: number): number {
  let gram = 0
  for (let at = 0; at < window; at++) gram |= (bytes[position + at] ?? 0) << (8 * at)
  return gram >>> 0
}
