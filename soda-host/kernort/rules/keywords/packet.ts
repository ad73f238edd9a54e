/** Fields of the packet itself. */
import type { BitMode, PacketField } from '../ast.ts'
import type { RuleDraft } from '../draft.ts'
import type { IpProtocol } from '../ast.ts'
import { refuse, splitPieces, type Piece } from '../refusal.ts'
import { readInteger, readNegation, readNumberTest } from '../values.ts'
import type { KeywordRow, ValueRow } from './row.ts'

const UINT16_MAX = 0xffff
const UINT32_MAX = 0xffff_ffff

/** A rule for another protocol can never match. */
function needProtocol(draft: RuleDraft, protocol: IpProtocol, name: Piece): void {
  const isIcmp = protocol === 'icmp' && draft.protocol.ip.includes('icmp6')
  if (!isIcmp && !draft.protocol.ip.includes(protocol))
    refuse('combination', `'${name.text}' in a rule for ${draft.header.protocol}`, name)
}

function field(names: readonly string[], key: PacketField, high: number, protocol?: IpProtocol): ValueRow {
  return {
    names,
    value: 'required',
    apply: (draft, value, name) => {
      if (protocol !== undefined) needProtocol(draft, protocol, name)
      draft.packet.push({ kind: 'field', field: key, test: readNumberTest(value, 0, high) })
    }
  }
}

const IP_PROTOCOLS: Readonly<Record<string, string>> = {
  icmp: '1',
  igmp: '2',
  ip: '4',
  tcp: '6',
  udp: '17',
  ipv6: '41',
  gre: '47',
  esp: '50',
  ah: '51',
  icmpv6: '58',
  sctp: '132'
}

const IP_PROTO: ValueRow = {
  names: ['ip_proto'],
  value: 'required',
  apply: (draft, value) => {
    const [, sign = '', word = ''] = /^([!<>=]*)\s*(.*)$/.exec(value.text) ?? []
    const text = sign + (IP_PROTOCOLS[word.toLowerCase()] ?? word)
    draft.packet.push({ kind: 'field', field: 'ip_proto', test: readNumberTest({ ...value, text }, 0, 255) })
  }
}

const TCP_FLAGS: Readonly<Record<string, number>> = {
  F: 0x01,
  S: 0x02,
  R: 0x04,
  P: 0x08,
  A: 0x10,
  U: 0x20,
  E: 0x40,
  C: 0x80,
  '2': 0x40,
  '1': 0x80,
  '0': 0
}
const MODES: Readonly<Record<string, BitMode>> = { '+': 'all', '*': 'any', '!': 'not' }

/** Letters with `+`, `*` or `!` before or behind them. */
function readBits(piece: Piece, letters: Readonly<Record<string, number>>): { mode: BitMode; bits: number } {
  let mode: BitMode | undefined
  let bits = 0
  for (let at = 0; at < piece.text.length; at++) {
    const letter = piece.text.charAt(at)
    const place = { text: letter, offset: piece.offset + at }
    if (MODES[letter] !== undefined) {
      if (mode !== undefined) refuse('combination', 'two of + * !', place)
      mode = MODES[letter]
    } else if (letters[letter] !== undefined) bits |= letters[letter]
    else if (letter !== ' ' && letter !== ',') refuse('value', `'${letter}' is no flag`, place)
  }
  return { mode: mode ?? 'exact', bits }
}

const FLAGS: ValueRow = {
  names: ['flags', 'tcp.flags'],
  value: 'required',
  apply: (draft, value, name) => {
    needProtocol(draft, 'tcp', name)
    if (draft.packet.some((option) => option.kind === 'flags'))
      refuse('combination', `'${name.text}' twice`, name)
    const [flags = value, ...ignored] = splitPieces(value, ',')
    const { mode, bits } = readBits(flags, TCP_FLAGS)
    // `R,A` was meant as the flags to ignore by Snort: only letters that may be ignored stand there.
    const mask = ignored.reduce((all, piece) => all | readBits(piece, TCP_FLAGS).bits, 0)
    if (flags.text === '') refuse('value', 'no flags', value)
    draft.packet.push({ kind: 'flags', mode, flags: bits, ignored: mask })
  }
}

const FRAGMENT_BITS: Readonly<Record<string, number>> = { R: 0x8000, D: 0x4000, M: 0x2000 }

const FRAGBITS: ValueRow = {
  names: ['fragbits'],
  value: 'required',
  apply: (draft, value) => {
    const { mode, bits } = readBits(value, FRAGMENT_BITS)
    if (bits === 0) refuse('value', 'no bits', value)
    draft.packet.push({ kind: 'fragbits', mode, bits })
  }
}

export const IP_OPTIONS = ['rr', 'eol', 'nop', 'ts', 'sec', 'esec', 'lsrr', 'lsrre', 'ssrr', 'satid', 'any']

const IPOPTS: ValueRow = {
  names: ['ipopts'],
  value: 'required',
  apply: (draft, value) => {
    if (!IP_OPTIONS.includes(value.text)) refuse('value', `'${value.text}' is no IP option`, value)
    draft.packet.push({ kind: 'ipopts', option: value.text })
  }
}

const SIDES = ['server', 'client', 'both', 'either'] as const

const STREAM_SIZE: ValueRow = {
  names: ['stream_size'],
  value: 'required',
  apply: (draft, value, name) => {
    needProtocol(draft, 'tcp', name)
    const [word = value, sign = value, size, extra] = splitPieces(value, ',')
    const side = SIDES.find((candidate) => candidate === word.text)
    if (side === undefined) return refuse('value', `'${word.text}' is none of ${SIDES.join(', ')}`, word)
    if (size === undefined || extra !== undefined)
      return refuse('value', 'wanted: side, operator, bytes', value)
    const { text } = readNegation(sign).negated && sign.text === '!' ? { text: '!=' } : sign
    if (!['<', '>', '<=', '>=', '=', '!='].includes(text)) refuse('value', `'${text}' is no comparison`, sign)
    readInteger(size, 0, UINT32_MAX)
    const test = readNumberTest({ text: text + size.text, offset: size.offset - text.length }, 0, UINT32_MAX)
    draft.packet.push({ kind: 'stream_size', side, test })
  }
}

const RPC: ValueRow = {
  names: ['rpc'],
  value: 'required',
  apply: (draft, value) => {
    const [program = value, version, procedure, extra] = splitPieces(value, ',')
    if (extra !== undefined) refuse('value', 'wanted: program, version, procedure', extra)
    const part = (piece: Piece | undefined): number | undefined =>
      piece === undefined || piece.text === '*' ? undefined : readInteger(piece, 0, UINT32_MAX)
    draft.packet.push({
      kind: 'rpc',
      program: readInteger(program, 0, UINT32_MAX),
      version: part(version),
      procedure: part(procedure)
    })
  }
}

/** 802.3 ends long before; this is what the length field of IP can say. */
export const PACKET_KEYWORDS: readonly KeywordRow[] = [
  field(['dsize'], 'dsize', UINT16_MAX),
  field(['ttl'], 'ttl', 255),
  field(['tos'], 'tos', 255),
  field(['id'], 'id', UINT16_MAX),
  field(['fragoffset'], 'fragoffset', UINT16_MAX),
  field(['itype'], 'itype', 255, 'icmp'),
  field(['icode'], 'icode', 255, 'icmp'),
  field(['icmp_id'], 'icmp_id', UINT16_MAX, 'icmp'),
  field(['icmp_seq'], 'icmp_seq', UINT16_MAX, 'icmp'),
  field(['seq', 'tcp.seq'], 'seq', UINT32_MAX, 'tcp'),
  field(['ack', 'tcp.ack'], 'ack', UINT32_MAX, 'tcp'),
  field(['window', 'tcp.window'], 'window', UINT16_MAX, 'tcp'),
  field(['tcp.mss'], 'tcp.mss', UINT16_MAX, 'tcp'),
  IP_PROTO,
  FLAGS,
  FRAGBITS,
  IPOPTS,
  STREAM_SIZE,
  RPC,
  {
    names: ['sameip'],
    value: 'none',
    apply: (draft) => {
      draft.packet.push({ kind: 'sameip' })
    }
  }
]
