/** What a buffer is like besides its bytes: size, encodings, known abuses. */
import type { Asn1, NumberTest } from '../ast.ts'
import type { RuleDraft } from '../draft.ts'
import { refuse, splitPieces, type Piece } from '../refusal.ts'
import { firstWord, readInteger, readNegation, readNumberTest, readOperand } from '../values.ts'
import type { KeywordRow } from './row.ts'

const POSITION_MAX = 65_535
const SIZE_MAX = 0xffff_ffff

function applyIsDataAt(draft: RuleDraft, value: Piece): void {
  const [at, ...words] = splitPieces(value, ',')
  if (at === undefined) return
  const { negated, rest } = readNegation(at)
  for (const word of words)
    if (word.text !== 'relative' && word.text !== 'rawbytes')
      refuse('value', `'${word.text}' is not understood here`, word)
  const operand = readOperand(rest, 0, POSITION_MAX)
  draft.checkOperand(operand, rest)
  const relative = words.some((word) => word.text === 'relative')
  draft.add({ kind: 'isdataat', negated, relative, at: operand }, relative)
}

function applyBsize(draft: RuleDraft, value: Piece, name: Piece): void {
  if (draft.stickyBuffer === undefined) refuse('combination', "'bsize' needs a sticky buffer", name)
  draft.add({ kind: 'buffer_size', test: readNumberTest(value, 0, SIZE_MAX) }, false)
}

/** `urilen:5`, `urilen:>5,norm`, `urilen:5<>9,raw`. */
function applyUrilen(draft: RuleDraft, value: Piece): void {
  const [size = value, kind, extra] = splitPieces(value, ',')
  if (extra !== undefined || (kind !== undefined && kind.text !== 'norm' && kind.text !== 'raw'))
    refuse('value', "after the length: 'norm' or 'raw'", value)
  const test: NumberTest = readNumberTest(size, 0, POSITION_MAX)
  // Unqualified it is the raw one in Suricata and in Snort.
  const block = draft.blockFor(false, kind?.text === 'norm' ? 'http_uri' : 'http_uri_raw')
  block.options.push({ kind: 'buffer_size', test })
}

function applyBase64Decode(draft: RuleDraft, value: Piece | undefined): void {
  const decode = { bytes: 0, offset: 0, relative: false }
  for (const piece of value === undefined ? [] : splitPieces(value, ',')) {
    const { word, rest } = firstWord(piece)
    if (word.text === 'relative' && rest.text === '') decode.relative = true
    else if (word.text === 'bytes') decode.bytes = readInteger(rest, 1, POSITION_MAX)
    else if (word.text === 'offset') decode.offset = readInteger(rest, 0, POSITION_MAX)
    else refuse('value', `'${piece.text}' is not understood here`, piece)
  }
  draft.add({ kind: 'base64_decode', ...decode }, decode.relative)
}

type Asn1Words = { -readonly [K in keyof Asn1]: Asn1[K] }

function applyAsn1(draft: RuleDraft, value: Piece): void {
  const asn1: Asn1Words = {
    kind: 'asn1',
    bitstringOverflow: false,
    doubleOverflow: false,
    oversizeLength: undefined,
    absoluteOffset: undefined,
    relativeOffset: undefined
  }
  for (const piece of splitPieces(value, ',')) readAsn1Word(asn1, piece)
  if (asn1.absoluteOffset !== undefined && asn1.relativeOffset !== undefined)
    refuse('combination', 'absolute_offset contradicts relative_offset', value)
  if (!asn1.bitstringOverflow && !asn1.doubleOverflow && asn1.oversizeLength === undefined)
    refuse('value', 'nothing to look for', value)
  draft.add(asn1, asn1.relativeOffset !== undefined)
}

function readAsn1Word(asn1: Asn1Words, piece: Piece): void {
  const { word, rest } = firstWord(piece)
  switch (word.text) {
    case 'bitstring_overflow':
      asn1.bitstringOverflow = true
      break
    case 'double_overflow':
      asn1.doubleOverflow = true
      break
    case 'oversize_length':
      asn1.oversizeLength = readInteger(rest, 0, SIZE_MAX)
      break
    case 'absolute_offset':
      asn1.absoluteOffset = readInteger(rest, 0, POSITION_MAX)
      break
    case 'relative_offset':
      asn1.relativeOffset = readInteger(rest, -POSITION_MAX, POSITION_MAX)
      break
    default:
      refuse('value', `'${piece.text}' is not understood here`, piece)
  }
}

export const DATA_KEYWORDS: readonly KeywordRow[] = [
  { names: ['isdataat'], value: 'required', apply: applyIsDataAt },
  { names: ['bsize'], value: 'required', apply: applyBsize },
  { names: ['urilen'], value: 'required', apply: applyUrilen },
  { names: ['base64_decode'], value: 'optional', apply: applyBase64Decode },
  { names: ['asn1'], value: 'required', apply: applyAsn1 },
  {
    names: ['ftpbounce'],
    value: 'none',
    apply: (draft) => {
      draft.add({ kind: 'ftpbounce' }, false)
    }
  }
]
