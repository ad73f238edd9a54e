/** Options on buffers as records. */
import type { Asn1, BufferOption, ByteFormat, Content, Operand, RegexOption } from '../ast.ts'
import { compileRegex } from '../regex/compile.ts'
import { parseRegex } from '../regex/parse.ts'
import type { Piece } from '../refusal.ts'
import type { Encoder } from './encoder.ts'
import { COMPARE, OPTION_FLAG, REGEX_FLAG } from './layout.ts'
import type { OptionRecord } from './packet-options.ts'

const F = OPTION_FLAG

/** Numbers of a rule's variables, shared by all its blocks. */
export class RuleVariables {
  private readonly numbers = new Map<string, number>()

  get count(): number {
    return this.numbers.size
  }

  of(name: string): number {
    const known = this.numbers.get(name) ?? this.numbers.size
    this.numbers.set(name, known)
    return known
  }
}

/** Encodes the options of one block; `fast` is the rule's fast pattern. */
export function encodeBufferOptions(
  encoder: Encoder,
  options: readonly BufferOption[],
  variables: RuleVariables,
  fast: Content | undefined,
  place: Piece
): OptionRecord[] {
  return options.map((option, index) => {
    const record = encodeOption(encoder, option, variables, place)
    const flags =
      (record.flags ?? 0) |
      (option === fast ? F.CONTENT_FAST : 0) |
      (movesCursor(option) && isNeededLater(options.slice(index + 1)) ? F.RETRY : 0)
    return { ...record, flags }
  })
}

/** What may match in more than one place. */
function movesCursor(option: BufferOption): boolean {
  return (option.kind === 'content' || option.kind === 'regex') && !option.negated
}

/** True if a later option looks from where this one matched. */
function isNeededLater(rest: readonly BufferOption[]): boolean {
  for (const option of rest) {
    if (usesCursor(option) || usesVariable(option)) return true
    if (movesCursor(option) || option.kind === 'byte_jump') return false
  }
  return false
}

function usesCursor(option: BufferOption): boolean {
  if (option.kind === 'asn1') return option.relativeOffset !== undefined
  if (option.kind === 'ftpbounce') return true
  return 'relative' in option && option.relative
}

function usesVariable(option: BufferOption): boolean {
  return Object.entries(option).some(
    ([key, value]) =>
      ['offset', 'depth', 'count', 'value', 'at', 'right'].includes(key) && typeof value === 'string'
  )
}

function encodeOption(
  encoder: Encoder,
  option: BufferOption,
  variables: RuleVariables,
  place: Piece
): OptionRecord {
  switch (option.kind) {
    case 'content':
      return encodeContent(encoder, option, variables)
    case 'regex':
      return encodeRegex(encoder, option, place)
    case 'byte_test': {
      const format = encodeFormat(option, variables)
      const [low, high] =
        typeof option.value === 'string'
          ? [variables.of(option.value), 0]
          : [Number(option.value & 0xffff_ffffn), Number(option.value >> 32n)]
      const flags =
        format.flags |
        (option.negated ? F.NEGATED : 0) |
        (typeof option.value === 'string' ? F.BYTES_VALUE_IS_VARIABLE : 0)
      const { count, offset, base, bitmask } = format
      return {
        code: 'BYTE_TEST',
        compare: COMPARE[option.compare],
        flags,
        fields: [count, low, offset, base, bitmask, 0, high]
      }
    }
    case 'byte_jump': {
      const { flags, count, offset, base, bitmask } = encodeFormat(option, variables)
      const from = { here: 0, beginning: F.BYTES_FROM_BEGINNING, end: F.BYTES_FROM_END }[option.from]
      return {
        code: 'BYTE_JUMP',
        flags: flags | from | (option.align ? F.BYTES_ALIGN : 0),
        fields: [count, 0, offset, base, bitmask, option.multiplier, option.postOffset]
      }
    }
    case 'byte_extract': {
      const { flags, count, offset, base, bitmask } = encodeFormat(option, variables)
      const variable = variables.of(option.variable)
      return {
        code: 'BYTE_EXTRACT',
        flags,
        fields: [count, variable, offset, base, bitmask, option.multiplier, option.align]
      }
    }
    case 'byte_math': {
      const { flags, count, offset, base, bitmask } = encodeFormat(option, variables)
      const right = operand(option.right, variables)
      return {
        code: 'BYTE_MATH',
        compare: ['+', '-', '*', '/', '<<', '>>'].indexOf(option.operator),
        flags: flags | (typeof option.right === 'string' ? F.BYTES_VALUE_IS_VARIABLE : 0),
        fields: [count, variables.of(option.variable), offset, base, bitmask, right]
      }
    }
    case 'isdataat':
      return {
        code: 'IS_DATA_AT',
        flags:
          (option.negated ? F.NEGATED : 0) |
          (option.relative ? F.RELATIVE : 0) |
          (typeof option.at === 'string' ? F.DATA_AT_IS_VARIABLE : 0),
        fields: [operand(option.at, variables)]
      }
    case 'buffer_size': {
      const { compare, low, high } = option.test
      return { code: 'BUFFER_SIZE', compare: COMPARE[compare], fields: [low, high] }
    }
    case 'base64_decode':
      return {
        code: 'BASE64_DECODE',
        flags: option.relative ? F.RELATIVE : 0,
        fields: [option.bytes, option.offset]
      }
    case 'asn1':
      return encodeAsn1(option)
    case 'ftpbounce':
      return { code: 'FTP_BOUNCE', flags: F.RELATIVE }
  }
}

function operand(value: Operand, variables: RuleVariables): number {
  return typeof value === 'string' ? variables.of(value) : value
}

function encodeContent(encoder: Encoder, content: Content, variables: RuleVariables): OptionRecord {
  const pattern = content.nocase ? lowered(content.pattern) : content.pattern
  const flags =
    (content.negated ? F.NEGATED : 0) |
    (content.relative ? F.RELATIVE : 0) |
    (content.nocase ? F.CONTENT_NOCASE : 0) |
    (typeof content.offset === 'string' ? F.CONTENT_OFFSET_IS_VARIABLE : 0) |
    (typeof content.depth === 'string' ? F.CONTENT_DEPTH_IS_VARIABLE : 0) |
    (content.depth === undefined ? 0 : F.CONTENT_HAS_DEPTH) |
    (content.endsWith ? F.CONTENT_ENDS_WITH : 0)
  return {
    code: 'CONTENT',
    flags,
    fields: [
      encoder.bytes.add(pattern),
      pattern.length,
      operand(content.offset, variables),
      content.depth === undefined ? 0 : operand(content.depth, variables)
    ]
  }
}

/** ASCII only. */
function lowered(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte))
}

function encodeFormat(
  format: ByteFormat,
  variables: RuleVariables
): { flags: number; count: number; offset: number; base: number; bitmask: number } {
  const orders = { big: 0, little: F.BYTES_LITTLE, dce: F.BYTES_DCE }
  const flags =
    (format.relative ? F.RELATIVE : 0) |
    orders[format.order] |
    (format.base === undefined ? 0 : F.BYTES_STRING) |
    (typeof format.count === 'string' ? F.BYTES_COUNT_IS_VARIABLE : 0) |
    (typeof format.offset === 'string' ? F.BYTES_OFFSET_IS_VARIABLE : 0)
  return {
    flags,
    count: operand(format.count, variables),
    offset: operand(format.offset, variables),
    base: format.base ?? 0,
    bitmask: format.bitmask
  }
}

function encodeAsn1(asn1: Asn1): OptionRecord {
  const bits =
    (asn1.bitstringOverflow ? 1 : 0) |
    (asn1.doubleOverflow ? 2 : 0) |
    (asn1.oversizeLength === undefined ? 0 : 4) |
    (asn1.absoluteOffset === undefined ? 0 : 8) |
    (asn1.relativeOffset === undefined ? 0 : 16)
  return {
    code: 'ASN1',
    flags: asn1.relativeOffset === undefined ? 0 : F.RELATIVE,
    fields: [bits, asn1.oversizeLength ?? 0, asn1.absoluteOffset ?? asn1.relativeOffset ?? 0]
  }
}

function encodeRegex(encoder: Encoder, option: RegexOption, place: Piece): OptionRecord {
  return {
    code: 'REGEX',
    flags: (option.negated ? F.NEGATED : 0) | (option.relative ? F.RELATIVE : 0),
    fields: [regexIndex(encoder, option.source, option.flags, place)]
  }
}

/** Equal expressions are compiled once for all rules of a table. */
const REGEXES = new WeakMap<Encoder, Map<string, number>>()

function regexIndex(encoder: Encoder, source: string, flags: string, place: Piece): number {
  const known = REGEXES.get(encoder) ?? new Map<string, number>()
  REGEXES.set(encoder, known)
  const key = `${flags}/${source}`
  const before = known.get(key)
  if (before !== undefined) return before
  const regex = parseRegex({ text: source, offset: place.offset }, flags)
  const program = compileRegex(regex, (set) => encoder.sets.add(set), place)
  const { REGEXES: records, REGEX_CODE } = encoder.sections
  const index = records.count
  const first = program.first === undefined ? 0 : encoder.sets.add(program.first)
  const bits =
    (program.isLinear ? REGEX_FLAG.LINEAR : 0) |
    (program.isAnchored ? REGEX_FLAG.ANCHORED : 0) |
    (program.first === undefined ? 0 : REGEX_FLAG.HAS_FIRST)
  records.u32(REGEX_CODE.count, program.words.length, bits, first)
  records.u16(program.captureCount, program.markCount).u32(0)
  REGEX_CODE.u32(...program.words)
  known.set(key, index)
  return index
}
