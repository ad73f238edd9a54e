/** `byte_test`, `byte_jump`, `byte_extract`, `byte_math`: numbers out of the traffic. */
import type { ByteFormat, ByteJump, Compare } from '../ast.ts'
import { type RuleDraft } from '../draft.ts'
import { refuse, splitPieces, trimmed, type Piece } from '../refusal.ts'
import { firstWord, readChoice, readInteger, readNegation, readOperand } from '../values.ts'
import type { KeywordRow } from './row.ts'

const OFFSET_MAX = 65_535
const BINARY_BYTES_MAX = 8
/** The digits of 2^64 in base 8. */
const TEXT_BYTES_MAX = 23
const UINT32_MAX = 0xffff_ffff
const VARIABLES_MAX = 16

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
type Words = Map<string, { readonly place: Piece; readonly value: Piece }>

const BASES: Readonly<Record<string, 8 | 10 | 16>> = { oct: 8, dec: 10, hex: 16 }

/** The words behind the positions: each once. A value follows after a blank. */
function readWords(pieces: readonly Piece[], allowed: ReadonlySet<string>): Words {
  const words: Words = new Map()
  for (const piece of pieces) {
    const { word, rest } = firstWord(piece)
    if (!allowed.has(word.text)) refuse('value', `'${word.text}' is not understood here`, word)
    if (words.has(word.text)) refuse('combination', `'${word.text}' twice`, word)
    words.set(word.text, { place: word, value: rest })
  }
  return words
}

const FORMAT_WORDS = ['relative', 'big', 'little', 'dce', 'string', 'hex', 'dec', 'oct', 'bitmask']

function readFormat(draft: RuleDraft, words: Words, count: Piece, offset: Piece, least: number): ByteFormat {
  const orders = (['big', 'little', 'dce'] as const).filter((word) => words.has(word))
  const bases = Object.keys(BASES).filter((word) => words.has(word))
  const place = words.get(orders[1] ?? bases[1] ?? '')?.place
  if (place !== undefined) refuse('combination', `'${place.text}' contradicts a word before it`, place)
  const isText = words.has('string')
  if (!isText && bases[0] !== undefined) refuse('combination', `'${bases[0]}' needs 'string'`, count)
  const format: Mutable<ByteFormat> = {
    count: readOperand(count, least, isText ? TEXT_BYTES_MAX : BINARY_BYTES_MAX),
    offset: readOperand(offset, -OFFSET_MAX, OFFSET_MAX),
    relative: words.has('relative'),
    order: orders[0] ?? 'big',
    base: isText ? (BASES[bases[0] ?? 'dec'] ?? 10) : undefined,
    bitmask: readBitmask(words)
  }
  draft.checkOperand(format.count, count)
  draft.checkOperand(format.offset, offset)
  return format
}

function readBitmask(words: Words): number {
  const mask = words.get('bitmask')
  if (mask === undefined) return 0
  const text = /^(0[xX])?[0-9a-fA-F]{1,8}$/.test(mask.value.text) ? mask.value.text.replace(/^0[xX]/, '') : ''
  return text === '' ? refuse('value', 'a bitmask is hexadecimal', mask.value) : Number.parseInt(text, 16)
}

/** All pieces that must be there, or refused with what is wanted. */
function need(pieces: readonly Piece[], count: number, form: string, value: Piece): void {
  if (pieces.length < count || pieces.slice(0, count).some((piece) => piece.text === ''))
    refuse('value', `wanted: ${form}`, value)
}

const NOWHERE: Piece = { text: '', offset: 0 }

const COMPARES: Readonly<Record<string, Compare>> = {
  '<': '<',
  '>': '>',
  '=': '=',
  '<=': '<=',
  '>=': '>=',
  '&': '&',
  '^': '^'
}
const TEST_WORDS = new Set(FORMAT_WORDS)

function applyTest(draft: RuleDraft, value: Piece): void {
  const pieces = splitPieces(value, ',')
  need(pieces, 4, 'bytes, operator, value, offset', value)
  const [count = NOWHERE, sign = NOWHERE, operand = NOWHERE, offset = NOWHERE, ...rest] = pieces
  const { negated, rest: operator } = readNegation(sign)
  // `!` alone is "not equal".
  const compare = operator.text === '' && negated ? '=' : readChoice(operator, COMPARES)
  const words = readWords(rest, TEST_WORDS)
  draft.add(
    {
      kind: 'byte_test',
      ...readFormat(draft, words, count, offset, words.has('string') ? 0 : 1),
      negated,
      compare,
      value: readTestValue(draft, operand)
    },
    words.has('relative')
  )
}

function readTestValue(draft: RuleDraft, operand: Piece): bigint | string {
  if (/^[A-Za-z_][\w.]{0,63}$/.test(operand.text)) {
    draft.checkOperand(operand.text, operand)
    return operand.text
  }
  if (!/^(\d{1,20}|0[xX][0-9a-fA-F]{1,16})$/.test(operand.text))
    return refuse('value', `'${operand.text}' is no number`, operand)
  const value = BigInt(operand.text)
  return value >> 64n === 0n ? value : refuse('value', `${operand.text} has more than 64 bits`, operand)
}

const JUMP_WORDS = new Set([
  ...FORMAT_WORDS,
  'align',
  'from_beginning',
  'from_end',
  'multiplier',
  'post_offset'
])

function applyJump(draft: RuleDraft, value: Piece): void {
  const pieces = splitPieces(value, ',')
  need(pieces, 2, 'bytes, offset', value)
  const [count = NOWHERE, offset = NOWHERE, ...rest] = pieces
  const words = readWords(rest, JUMP_WORDS)
  const end = words.get('from_end')
  if (end !== undefined && words.has('from_beginning'))
    refuse('combination', "'from_end' contradicts 'from_beginning'", end.place)
  const from: ByteJump['from'] =
    end !== undefined ? 'end' : words.has('from_beginning') ? 'beginning' : 'here'
  draft.add(
    {
      kind: 'byte_jump',
      ...readFormat(draft, words, count, offset, 0),
      multiplier: readWordNumber(words, 'multiplier', 1, 1, 65_535),
      align: words.has('align'),
      from,
      postOffset: readWordNumber(words, 'post_offset', 0, -OFFSET_MAX, OFFSET_MAX)
    },
    words.has('relative')
  )
}

function readWordNumber(words: Words, word: string, otherwise: number, low: number, high: number): number {
  const found = words.get(word)
  return found === undefined ? otherwise : readInteger(found.value, low, high)
}

function addVariable(draft: RuleDraft, name: Piece): string {
  if (!/^[A-Za-z_][\w.]{0,63}$/.test(name.text))
    refuse('value', `'${name.text}' is no name for a variable`, name)
  draft.variables.add(name.text)
  if (draft.variables.size > VARIABLES_MAX)
    refuse('limit', `a rule has at most ${VARIABLES_MAX} variables`, name)
  return name.text
}

const EXTRACT_WORDS = new Set([...FORMAT_WORDS, 'align', 'multiplier'])

function applyExtract(draft: RuleDraft, value: Piece): void {
  const pieces = splitPieces(value, ',')
  need(pieces, 3, 'bytes, offset, name', value)
  const [count = NOWHERE, offset = NOWHERE, name = NOWHERE, ...rest] = pieces
  const words = readWords(rest, EXTRACT_WORDS)
  const align = words.get('align')
  const format = readFormat(draft, words, count, offset, 1)
  draft.add(
    {
      kind: 'byte_extract',
      ...format,
      variable: addVariable(draft, name),
      multiplier: readWordNumber(words, 'multiplier', 1, 1, 65_535),
      align: align === undefined ? 0 : readChoice(align.value, { '2': 2, '4': 4 } as const)
    },
    format.relative
  )
}

const MATH_WORDS = new Set([
  'bytes',
  'offset',
  'oper',
  'rvalue',
  'result',
  'endian',
  'relative',
  'string',
  'dce',
  'bitmask'
])
const OPERATORS = { '+': '+', '-': '-', '*': '*', '/': '/', '<<': '<<', '>>': '>>' } as const

function applyMath(draft: RuleDraft, value: Piece): void {
  const words = readWords(splitPieces(value, ','), MATH_WORDS)
  const get = (word: string): Piece =>
    words.get(word)?.value ?? refuse('value', `'${word}' is missing`, value)
  const right = get('rvalue')
  const rvalue = readOperand(right, 0, UINT32_MAX)
  draft.checkOperand(rvalue, right)
  const operator = readChoice(get('oper'), OPERATORS)
  if (operator === '/' && rvalue === 0) refuse('value', 'a division by 0', right)
  const format = readFormat(draft, mathFormat(words), get('bytes'), get('offset'), 1)
  draft.add(
    { kind: 'byte_math', ...format, operator, right: rvalue, variable: addVariable(draft, get('result')) },
    format.relative
  )
}

/** byte_math writes `endian little` and `string hex` where the others write two words. */
function mathFormat(words: Words): Words {
  const same: Words = new Map(words)
  for (const word of ['endian', 'string']) {
    const found = words.get(word)
    if (found === undefined) continue
    const inner = trimmed(found.value)
    const allowed = word === 'endian' ? ['big', 'little'] : Object.keys(BASES)
    if (!allowed.includes(inner.text))
      refuse('value', `'${inner.text}' is none of ${allowed.join(', ')}`, inner)
    same.set(inner.text, { place: inner, value: inner })
  }
  return same
}

export const BYTE_KEYWORDS: readonly KeywordRow[] = [
  { names: ['byte_test'], value: 'required', apply: applyTest },
  { names: ['byte_jump'], value: 'required', apply: applyJump },
  { names: ['byte_extract'], value: 'required', apply: applyExtract },
  { names: ['byte_math'], value: 'required', apply: applyMath }
]
