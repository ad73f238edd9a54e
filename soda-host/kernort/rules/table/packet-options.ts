/** Predicates on packets and flows, and effects, as option records. */
import type { Compare, Effect, NumberTest, PacketField, PacketOption, Rule } from '../ast.ts'
import type { Piece } from '../refusal.ts'
import type { Encoder } from './encoder.ts'
import type { EventOptionCode } from './event-layout.ts'
import { COMPARE, NONE, OPTION, OPTION_FLAG, TRACK, type OptionName } from './layout.ts'

/** One record; `fields` are a, b, c …, the rest 0. */
export interface OptionRecord {
  readonly code: OptionName | EventOptionCode
  readonly compare?: number
  readonly flags?: number
  readonly fields?: readonly number[]
}

export function writeOption(
  encoder: Encoder,
  { code, compare = 0, flags = 0, fields = [] }: OptionRecord
): void {
  const words = Array.from({ length: 7 }, (_, index) => fields[index] ?? 0)
  encoder.sections.OPTIONS.u8(typeof code === 'string' ? OPTION[code] : code, compare)
    .u16(flags)
    .u32(...words)
}

const FIELDS: Readonly<Record<PacketField, OptionName>> = {
  dsize: 'PAYLOAD_SIZE',
  ttl: 'IP_TTL',
  ip_proto: 'IP_PROTO',
  fragoffset: 'FRAG_OFFSET',
  itype: 'ICMP_TYPE',
  icode: 'ICMP_CODE',
  'tcp.mss': 'TCP_MSS',
  seq: 'TCP_SEQ',
  ack: 'TCP_ACK',
  window: 'TCP_WINDOW',
  id: 'IP_ID',
  icmp_id: 'ICMP_ID',
  icmp_seq: 'ICMP_SEQ',
  tos: 'IP_TOS'
}
const MODES = { exact: 0, all: 1, any: 2, not: 3 }
const SIDES = { server: 0, client: 1, both: 2, either: 3 }
/** Types of RFC 791 and its successors; "any" and "either source route" are our own. */
const IP_OPTION_TYPES: Readonly<Record<string, number>> = {
  eol: 0,
  nop: 1,
  rr: 7,
  ts: 68,
  sec: 130,
  lsrr: 131,
  lsrre: 131,
  esec: 133,
  satid: 136,
  ssrr: 137,
  any: 0xffff
}

function test({ compare, low, high }: NumberTest): { compare: number; fields: number[] } {
  return { compare: COMPARE[compare], fields: [low, high] }
}

export function encodePacketOption(encoder: Encoder, option: PacketOption, place: Piece): OptionRecord {
  const negated = (isIt: boolean): number => (isIt ? OPTION_FLAG.NEGATED : 0)
  switch (option.kind) {
    case 'field':
      return { code: FIELDS[option.field], ...test(option.test) }
    case 'flags':
      return { code: 'TCP_FLAGS', compare: MODES[option.mode], fields: [option.flags, option.ignored] }
    case 'fragbits':
      return { code: 'FRAG_BITS', compare: MODES[option.mode], fields: [option.bits] }
    case 'ipopts':
      return { code: 'IP_OPTS', fields: [IP_OPTION_TYPES[option.option] ?? 0] }
    case 'sameip':
      return { code: 'SAME_IP' }
    case 'stream_size': {
      const { compare, fields } = test(option.test)
      return { code: 'STREAM_SIZE', compare, fields: [SIDES[option.side], ...fields] }
    }
    case 'flowbits': {
      const bits = option.names.map((name) => encoder.flowbits.of(name, place))
      return {
        code: 'FLOWBITS_TEST',
        compare: option.isSet ? 0 : 1,
        fields: [encoder.words.addWords(bits), bits.length]
      }
    }
    case 'xbits':
      return {
        code: 'XBITS_TEST',
        compare: option.isSet ? 0 : 1,
        fields: [encoder.xbits.of(option.name, place), TRACK[option.track]]
      }
    case 'flowint':
      return {
        code: 'FLOWINT_TEST',
        compare: flowintCompare(option.compare),
        fields: [encoder.flowints.of(option.name, place), option.value]
      }
    case 'rpc':
      return { code: 'RPC', fields: [option.program, option.version ?? NONE, option.procedure ?? NONE] }
    case 'tls_version':
      return { code: 'TLS_VERSION', flags: negated(option.negated), fields: [option.versions] }
    case 'ssl_state':
      return { code: 'SSL_STATE', flags: negated(option.negated), fields: [option.states] }
    case 'dce_iface': {
      const uuid = encoder.bytes.add(Buffer.from(option.uuid.replaceAll('-', ''), 'hex'))
      const version = option.version === undefined ? undefined : test(option.version)
      return {
        code: 'DCE_INTERFACE',
        compare: version?.compare ?? 0,
        flags: (option.isAnyFragment ? 4 : 0) | (version === undefined ? 0 : 8),
        fields: [uuid, ...(version?.fields ?? [])]
      }
    }
    case 'dce_opnum':
      return {
        code: 'DCE_OPNUM',
        fields: [encoder.words.addWords(option.ranges.flat()), option.ranges.length]
      }
  }
}

/** Behind the codes of comparisons. */
const FLOWINT_IS_SET = 32
const FLOWINT_IS_NOT_SET = 33

function flowintCompare(compare: Compare | 'isset' | 'isnotset'): number {
  if (compare === 'isset') return FLOWINT_IS_SET
  return compare === 'isnotset' ? FLOWINT_IS_NOT_SET : COMPARE[compare]
}

const CHANGES = { set: 0, unset: 1, toggle: 2 }
const FLOWINT_CHANGES = { '=': 0, '+': 1, '-': 2 }
const METRICS = { packets: 0, seconds: 1, bytes: 2 }
const THRESHOLD_TYPES = { limit: 0, threshold: 1, both: 2 }

function encodeEffect(encoder: Encoder, effect: Effect, place: Piece): OptionRecord {
  switch (effect.kind) {
    case 'flowbits': {
      const bits = effect.names.map((name) => encoder.flowbits.of(name, place))
      return {
        code: 'FLOWBITS_SET',
        compare: CHANGES[effect.change],
        fields: [encoder.words.addWords(bits), bits.length]
      }
    }
    case 'xbits':
      return {
        code: 'XBITS_SET',
        compare: CHANGES[effect.change],
        fields: [encoder.xbits.of(effect.name, place), TRACK[effect.track], effect.expireSeconds]
      }
    case 'flowint':
      return {
        code: 'FLOWINT_SET',
        compare: FLOWINT_CHANGES[effect.change],
        fields: [encoder.flowints.of(effect.name, place), effect.value]
      }
    case 'tag':
      return {
        code: 'TAG',
        compare: effect.what === 'session' ? 0 : 1,
        fields: [effect.count, METRICS[effect.metric], effect.side === 'src' ? 0 : 1]
      }
  }
}

/** Everything that happens on a match, in the order that the engine needs. */
export function encodeEffects(encoder: Encoder, rule: Rule, place: Piece): OptionRecord[] {
  const records = rule.effects.map((effect) => encodeEffect(encoder, effect, place))
  const { detectionFilter: filter, threshold } = rule
  if (filter !== undefined)
    records.unshift({
      code: 'DETECTION_FILTER',
      compare: TRACK[filter.track],
      fields: [filter.count, filter.seconds]
    })
  if (threshold !== undefined)
    records.push({
      code: 'THRESHOLD',
      compare: THRESHOLD_TYPES[threshold.type],
      fields: [threshold.count, threshold.seconds, TRACK[threshold.track]]
    })
  return records
}
