/** One row per keyword; the table is in `table.ts`. */
import type { RuleDraft } from '../draft.ts'
import type { Piece } from '../refusal.ts'

export interface ValueRow {
  readonly names: readonly string[]
  readonly value: 'required'
  apply(draft: RuleDraft, value: Piece, name: Piece): void
}

export interface BareRow {
  readonly names: readonly string[]
  readonly value: 'none'
  apply(draft: RuleDraft, name: Piece): void
}

export interface OptionalRow {
  readonly names: readonly string[]
  readonly value: 'optional'
  apply(draft: RuleDraft, value: Piece | undefined, name: Piece): void
}

export type KeywordRow = ValueRow | BareRow | OptionalRow
