/** `pcre:"/…/flags"`. */
import type { RuleDraft } from '../draft.ts'
import { bufferOfRegexFlag, type BufferName } from '../buffers.ts'
import { compileRegex } from '../regex/compile.ts'
import { parseRegex } from '../regex/parse.ts'
import { refuse, type Piece } from '../refusal.ts'
import { readNegation } from '../values.ts'
import type { KeywordRow } from './row.ts'

/** In this order in the tree. */
const PERL_FLAGS = ['i', 'm', 's', 'x', 'A', 'E', 'G']
/** Raw bytes; a hint to the optimiser; a limit that we have anyway: nothing to do. */
const IDLE_FLAGS = 'BO'

interface Expression {
  readonly source: Piece
  readonly flags: string
  readonly relative: boolean
  readonly buffer: BufferName | undefined
}

function unquote(piece: Piece): Piece {
  if (!piece.text.startsWith('"')) return piece
  // What follows the quote (capture names) has no effect on matching.
  const close = piece.text.lastIndexOf('"')
  if (close === 0) refuse('syntax', 'the closing quote is missing', piece)
  return { text: piece.text.slice(1, close), offset: piece.offset + 1 }
}

/** Where Suricata would keep what groups caught: without effect on matching. */
const CAPTURES = /(?<=\/[A-Za-z]{0,16})\s*,\s*(?:flow|pkt|alert):[^/]*$/

function splitExpression(piece: Piece): { source: Piece; flags: Piece } {
  const delimiter = piece.text.startsWith('m') ? piece.text.charAt(1) : '/'
  const start = delimiter === '/' && piece.text.startsWith('/') ? 1 : 2
  if (start === 2 && !piece.text.startsWith('m')) refuse('syntax', "an expression begins with '/'", piece)
  const comma = CAPTURES.exec(piece.text)?.[0] ?? ''
  const text = piece.text.slice(0, piece.text.length - comma.length)
  const close = text.lastIndexOf(delimiter)
  if (close < start) refuse('syntax', `an expression ends in '${delimiter}'`, piece)
  return {
    source: { text: text.slice(start, close), offset: piece.offset + start },
    flags: { text: text.slice(close + 1), offset: piece.offset + close + 1 }
  }
}

function readExpression(piece: Piece): Expression {
  const { source, flags } = splitExpression(piece)
  const perl = new Set<string>()
  let relative = false
  let buffer: BufferName | undefined
  for (let at = 0; at < flags.text.length; at++) {
    const letter = flags.text.charAt(at)
    const named = bufferOfRegexFlag(letter)
    const place = { text: letter, offset: flags.offset + at }
    if (named !== undefined) {
      if (buffer !== undefined) refuse('combination', 'two buffers for one expression', place)
      buffer = named
    } else if (letter === 'R') relative = true
    else if (PERL_FLAGS.includes(letter)) perl.add(letter)
    else if (!IDLE_FLAGS.includes(letter)) refuse('regex', `'${letter}' is no flag of an expression`, place)
  }
  return { source, relative, buffer, flags: PERL_FLAGS.filter((letter) => perl.has(letter)).join('') }
}

function applyRegex(draft: RuleDraft, value: Piece): void {
  const { negated, rest } = readNegation(value)
  const { source, flags, relative, buffer } = readExpression(unquote(rest))
  if (buffer !== undefined && draft.stickyBuffer !== undefined && draft.stickyBuffer !== buffer)
    refuse(
      'combination',
      `the expression names another buffer than the sticky '${draft.stickyBuffer}'`,
      value
    )
  // Compiled once more for the table; here only to refuse, with the place, what cannot be.
  compileRegex(parseRegex(source, flags), () => 0, source)
  draft.add({ kind: 'regex', source: source.text, flags, negated, relative }, relative, buffer)
}

export const REGEX_KEYWORDS: readonly KeywordRow[] = [
  { names: ['pcre'], value: 'required', apply: applyRegex }
]
