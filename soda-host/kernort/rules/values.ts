/** How keywords read their values: numbers, comparisons, quoted text, lists of words. */
import type { NumberTest, Operand } from './ast.ts'
import { refuse, type Piece } from './refusal.ts'

/** Decimal or 0x… */
export function readInteger(piece: Piece, low: number, high: number): number {
  const value = /^[+-]?(\d{1,16}|0[xX][0-9a-fA-F]{1,13})$/.test(piece.text)
    ? toNumber(piece.text)
    : Number.NaN
  if (Number.isNaN(value)) return refuse('value', `'${piece.text}' is no number`, piece)
  if (value < low || value > high)
    return refuse('value', `${piece.text} is not within ${low} to ${high}`, piece)
  return value
}

function toNumber(text: string): number {
  const value = Number(text.replace(/^[+-]/, ''))
  return text.startsWith('-') ? -value : value
}

/** A number, or the name of a variable. */
export function readOperand(piece: Piece, low: number, high: number): Operand {
  if (/^[A-Za-z_][\w.]{0,63}$/.test(piece.text)) return piece.text
  return readInteger(piece, low, high)
}

const TEST = /^(<=|>=|<|>|=|!=?)?\s*(-?\w+)$/
const RANGE = /^(-?\w+)\s*(<>|-)\s*(-?\w+)$/

/** `5`, `=5`, `!5`, `<5`, `>=5`, `5<>9` (exclusive), `5-9` (inclusive). */
export function readNumberTest(piece: Piece, low: number, high: number): NumberTest {
  const range = RANGE.exec(piece.text)
  if (range !== null) return readRange(piece, range, low, high)
  const found = TEST.exec(piece.text)
  if (found === null) return refuse('value', `'${piece.text}' is no number or comparison`, piece)
  const [, sign = '=', digits = ''] = found
  const value = readInteger(
    { text: digits, offset: piece.offset + piece.text.length - digits.length },
    low,
    high
  )
  if (sign === '<' && value === low) refuse('value', `nothing is below ${low}`, piece)
  if (sign === '>' && value === high) refuse('value', `nothing is above ${high}`, piece)
  return { compare: sign === '!' ? '!=' : (sign as NumberTest['compare']), low: value, high: value }
}

function readRange(piece: Piece, range: RegExpExecArray, low: number, high: number): NumberTest {
  const [, first = '', sign = '', last = ''] = range
  const bottom = readInteger({ text: first, offset: piece.offset }, low, high)
  const top = readInteger({ text: last, offset: piece.offset + piece.text.length - last.length }, low, high)
  const isExclusive = sign === '<>'
  const test = {
    compare: 'between' as const,
    low: bottom + (isExclusive ? 1 : 0),
    high: top - (isExclusive ? 1 : 0)
  }
  if (bottom >= top || test.low > test.high) refuse('value', `the range ${piece.text} is empty`, piece)
  return test
}

/** Text in double quotes, which are optional; escapes of `"`, `;`, `:` and `\` are undone. */
export function readText(piece: Piece): string {
  const isQuoted = piece.text.startsWith('"')
  if (isQuoted && (piece.text.length < 2 || !piece.text.endsWith('"')))
    refuse('syntax', 'the closing quote is missing', piece)
  const inner = isQuoted ? piece.text.slice(1, -1) : piece.text
  return inner.replace(/\\([";:\\])/g, '$1')
}

/** `!` before the value. */
export function readNegation(piece: Piece): { negated: boolean; rest: Piece } {
  if (!piece.text.startsWith('!')) return { negated: false, rest: piece }
  const rest = piece.text.slice(1)
  const blanks = rest.length - rest.trimStart().length
  return { negated: true, rest: { text: rest.trim(), offset: piece.offset + 1 + blanks } }
}

/** One of `words`, or refused with the list of them. */
export function readChoice<T>(piece: Piece, words: Readonly<Record<string, T>>): T {
  const value = Object.hasOwn(words, piece.text) ? words[piece.text] : undefined
  return value ?? refuse('value', `'${piece.text}' is none of ${Object.keys(words).join(', ')}`, piece)
}

/** Cut at the first run of blanks: `track by_src`. */
export function firstWord(piece: Piece): { word: Piece; rest: Piece } {
  const found = /^(\S+)(\s*)(.*)$/s.exec(piece.text)
  const [, word = '', gap = '', rest = ''] = found ?? []
  return {
    word: { text: word, offset: piece.offset },
    rest: { text: rest, offset: piece.offset + word.length + gap.length }
  }
}
