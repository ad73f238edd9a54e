/** What a regular expression says. */
import type { ByteSet } from './byte-set.ts'

export type Assertion =
  | 'text_start'
  | 'text_end'
  | 'text_end_newline'
  | 'line_start'
  | 'line_end'
  | 'word_boundary'
  | 'not_word_boundary'

export type RegexNode =
  | { readonly kind: 'set'; readonly set: ByteSet }
  | { readonly kind: 'sequence'; readonly items: readonly RegexNode[] }
  | { readonly kind: 'choice'; readonly items: readonly RegexNode[] }
  | {
      readonly kind: 'repeat'
      readonly item: RegexNode
      readonly min: number
      /** Infinity: no bound. */
      readonly max: number
      readonly mode: 'greedy' | 'lazy' | 'possessive'
    }
  | { readonly kind: 'group'; readonly index: number; readonly item: RegexNode }
  | { readonly kind: 'assert'; readonly what: Assertion }
  | { readonly kind: 'backref'; readonly index: number; readonly nocase: boolean }
  | { readonly kind: 'look'; readonly isAhead: boolean; readonly negated: boolean; readonly item: RegexNode }
  | { readonly kind: 'atomic'; readonly item: RegexNode }

export interface Regex {
  readonly root: RegexNode
  /** Capturing groups, the whole match not counted. */
  readonly groupCount: number
}

/** Least and greatest number of bytes that a node takes. A backref takes anything. */
export function widths(node: RegexNode): { min: number; max: number } {
  switch (node.kind) {
    case 'set':
      return { min: 1, max: 1 }
    case 'sequence': {
      const all = node.items.map(widths)
      return { min: all.reduce((sum, w) => sum + w.min, 0), max: all.reduce((sum, w) => sum + w.max, 0) }
    }
    case 'choice': {
      const all = node.items.map(widths)
      return { min: Math.min(...all.map((w) => w.min)), max: Math.max(...all.map((w) => w.max)) }
    }
    case 'repeat': {
      const one = widths(node.item)
      return { min: one.min * node.min, max: one.max === 0 ? 0 : one.max * node.max }
    }
    case 'group':
    case 'atomic':
      return widths(node.item)
    case 'backref':
      return { min: 0, max: Infinity }
    case 'assert':
    case 'look':
      return { min: 0, max: 0 }
  }
}
