/** Why a rule is not taken, and where. Thrown while one rule is read; told as data at the border (see `rule-file.ts`). */

export type RefusalReason =
  | 'syntax'
  | 'header'
  | 'variable'
  | 'unknown-keyword'
  | 'value'
  | 'combination'
  | 'regex'
  | 'unsupported'
  | 'duplicate'
  | 'limit'

/** `line` and `column` count from 1, in bytes of the file. */
export interface Refusal {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly reason: RefusalReason
  readonly message: string
  readonly sid: number | undefined
}

/** `offset`: bytes from the start of the rule's text. */
export class RuleRefused extends Error {
  override readonly name = 'RuleRefused'
  readonly reason: RefusalReason
  readonly offset: number

  constructor(reason: RefusalReason, message: string, offset: number) {
    super(message)
    this.reason = reason
    this.offset = offset
  }
}

/** A piece of a rule's text, and where it stands. */
export interface Piece {
  readonly text: string
  readonly offset: number
}

export function refuse(reason: RefusalReason, message: string, place: Piece): never {
  throw new RuleRefused(reason, message, place.offset)
}

/** Without the blanks around it; the offset moves along. */
export function trimmed(piece: Piece): Piece {
  const lead = piece.text.length - piece.text.trimStart().length
  return { text: piece.text.trim(), offset: piece.offset + lead }
}

/** Splits at each `separator`; pieces are trimmed. */
export function splitPieces(piece: Piece, separator: string): Piece[] {
  const pieces: Piece[] = []
  let start = 0
  for (;;) {
    const end = piece.text.indexOf(separator, start)
    const stop = end === -1 ? piece.text.length : end
    pieces.push(trimmed({ text: piece.text.slice(start, stop), offset: piece.offset + start }))
    if (end === -1) return pieces
    start = end + separator.length
  }
}
