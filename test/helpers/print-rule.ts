/** Rules back to text, in Suricata's way of writing; for properties of the parser. */
import type {
  AddressSpec,
  BufferOption,
  ByteFormat,
  Content,
  Effect,
  NumberTest,
  PacketOption,
  PortSpec,
  Rule
} from '../../soda-host/kernort/rules/ast.ts'
import { bufferRow } from '../../soda-host/kernort/rules/buffers.ts'

export function printRule(rule: Rule): string {
  const { header } = rule
  const ends = [
    address(header.source),
    port(header.sourcePorts),
    header.isBidirectional ? '<>' : '->',
    address(header.destination),
    port(header.destinationPorts)
  ]
  const options = [
    ...facts(rule),
    ...rule.packet.map(packetOption),
    ...rule.effects.map(effect),
    ...buffers(rule)
  ]
  return `${header.action} ${header.protocol} ${ends.join(' ')} (${options.map((option) => `${option};`).join(' ')})`
}

function address(spec: AddressSpec): string {
  if (spec.kind === 'any') return 'any'
  const sign = spec.negated ? '!' : ''
  if (spec.kind === 'variable') return `${sign}$${spec.name}`
  if (spec.kind === 'list') return `${sign}[${spec.items.map(address).join()}]`
  const one = (value: bigint): string =>
    spec.version === 4
      ? [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')
      : Array.from({ length: 8 }, (_, at) => ((value >> BigInt(112 - 16 * at)) & 0xffffn).toString(16)).join(
          ':'
        )
  return `${sign}${one(spec.low)}-${one(spec.high)}`
}

function port(spec: PortSpec): string {
  if (spec.kind === 'any') return 'any'
  const sign = spec.negated ? '!' : ''
  if (spec.kind === 'variable') return `${sign}$${spec.name}`
  if (spec.kind === 'list') return `${sign}[${spec.items.map(port).join()}]`
  return `${sign}${spec.low}:${spec.high}`
}

function facts(rule: Rule): string[] {
  const { flow, threshold, detectionFilter: filter } = rule
  const words = [flow.direction, flow.state, flow.stream, flow.fragments].filter((word) => word !== undefined)
  return [
    `msg:"${rule.message.replaceAll(/[";:\\]/g, '\\$&')}"`,
    ...(words.length === 0 ? [] : [`flow:${words.join()}`]),
    ...(rule.classtype === undefined ? [] : [`classtype:${rule.classtype}`]),
    ...(rule.priority === undefined ? [] : [`priority:${rule.priority}`]),
    ...rule.references.map((text) => `reference:${text}`),
    ...rule.metadata.map((text) => `metadata:${text}`),
    ...(rule.isNoAlert ? ['noalert'] : []),
    ...(threshold === undefined ? [] : [`threshold:type ${threshold.type}, ${rate(threshold)}`]),
    ...(filter === undefined ? [] : [`detection_filter:${rate(filter)}`]),
    `gid:${rule.gid}`,
    `sid:${rule.sid}`,
    `rev:${rule.rev}`
  ]
}

function rate({ track, count, seconds }: { track: string; count: number; seconds: number }): string {
  return `track ${track}, count ${count}, seconds ${seconds}`
}

function test({ compare, low, high }: NumberTest): string {
  if (compare === 'between') return `${low}-${high}`
  return `${compare === '!=' ? '!' : compare}${low}`
}

/** `1-1` is no range to the parser: an exclusive one says the same. */
function range({ compare, low, high }: NumberTest): string {
  return compare === 'between' ? `${low - 1}<>${high + 1}` : test({ compare, low, high })
}

const MODES = { exact: '', all: '+', any: '*', not: '!' }

function letters(bits: number, names: Readonly<Record<string, number>>): string {
  const found = Object.entries(names).filter(([, bit]) => (bits & bit) !== 0)
  return found.length === 0 ? '0' : found.map(([letter]) => letter).join('')
}

const TCP = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32, E: 64, C: 128 }
const VERSIONS = { sslv2: 1, sslv3: 2, 'tls1.0': 4, 'tls1.1': 8, 'tls1.2': 16, 'tls1.3': 32 }
const STATES = { client_hello: 1, server_hello: 2, client_keyx: 4, server_keyx: 8, unknown: 16 }
const XBIT_TRACKS: Readonly<Record<string, string>> = {
  by_src: 'ip_src',
  by_dst: 'ip_dst',
  by_both: 'ip_pair'
}

function words(bits: number, names: Readonly<Record<string, number>>, negated: boolean): string {
  const found = Object.entries(names).filter(([, bit]) => (bits & bit) !== 0)
  return found.map(([word]) => `${negated ? '!' : ''}${word}`).join()
}

function packetOption(option: PacketOption): string {
  switch (option.kind) {
    case 'field':
      return `${option.field}:${range(option.test)}`
    case 'flags':
      return `flags:${MODES[option.mode]}${letters(option.flags, TCP)}${option.ignored === 0 ? '' : `,${letters(option.ignored, TCP)}`}`
    case 'fragbits':
      return `fragbits:${MODES[option.mode]}${letters(option.bits, { R: 0x8000, D: 0x4000, M: 0x2000 })}`
    case 'ipopts':
      return `ipopts:${option.option}`
    case 'sameip':
      return 'sameip'
    case 'stream_size':
      return `stream_size:${option.side},${option.test.compare},${option.test.low}`
    case 'flowbits':
      return `flowbits:${option.isSet ? 'isset' : 'isnotset'},${option.names.join('|')}`
    case 'xbits':
      return `xbits:${option.isSet ? 'isset' : 'isnotset'},${option.name},track ${XBIT_TRACKS[option.track] ?? ''}`
    case 'flowint':
      return `flowint:${option.name},${option.compare === '=' ? '==' : option.compare}${option.compare.startsWith('is') ? '' : `,${option.value}`}`
    case 'rpc':
      return `rpc:${option.program},${option.version ?? '*'},${option.procedure ?? '*'}`
    case 'tls_version':
      return `tls.version:${words(option.versions, VERSIONS, option.negated)}`
    case 'ssl_state':
      return `ssl_state:${words(option.states, STATES, option.negated)}`
    case 'dce_iface':
      return `dce_iface:${option.uuid}${option.version === undefined ? '' : `,${range(option.version)}`}${option.isAnyFragment ? ',any_frag' : ''}`
    case 'dce_opnum':
      return `dce_opnum:${option.ranges.map(([low, high]) => `${low}-${high}`).join()}`
  }
}

function effect(done: Effect): string {
  switch (done.kind) {
    case 'flowbits':
      return `flowbits:${done.change},${done.names.join('|')}`
    case 'xbits':
      return `xbits:${done.change},${done.name},track ${XBIT_TRACKS[done.track] ?? ''},expire ${done.expireSeconds}`
    case 'flowint':
      return `flowint:${done.name},${done.change},${done.value}`
    case 'tag':
      return `tag:${done.what},${done.count},${done.metric}${done.what === 'host' ? `,${done.side}` : ''}`
  }
}

function buffers(rule: Rule): string[] {
  return rule.blocks.flatMap((block) => [
    bufferRow(block.buffer).sticky[0] ?? '',
    ...block.transforms,
    ...block.options.flatMap(bufferOption)
  ])
}

function bufferOption(option: BufferOption): string[] {
  switch (option.kind) {
    case 'content':
      return content(option)
    case 'regex':
      return [
        `pcre:${option.negated ? '!' : ''}"/${option.source}/${option.flags}${option.relative ? 'R' : ''}"`
      ]
    case 'byte_test':
      return [
        `byte_test:${option.count},${option.negated ? '!' : ''}${option.compare},${option.value},${option.offset}${format(option)}`
      ]
    case 'byte_jump': {
      const from = { here: '', beginning: ',from_beginning', end: ',from_end' }[option.from]
      const rest = `${from}${option.align ? ',align' : ''},multiplier ${option.multiplier},post_offset ${option.postOffset}`
      return [`byte_jump:${option.count},${option.offset}${format(option)}${rest}`]
    }
    case 'byte_extract': {
      const align = option.align === 0 ? '' : `,align ${option.align}`
      return [
        `byte_extract:${option.count},${option.offset},${option.variable}${format(option)},multiplier ${option.multiplier}${align}`
      ]
    }
    case 'byte_math': {
      const base = { 8: 'oct', 10: 'dec', 16: 'hex' }[option.base ?? 10]
      const words = [
        ...[`bytes ${option.count}`, `offset ${option.offset}`, `oper ${option.operator}`],
        ...[`rvalue ${option.right}`, `result ${option.variable}`],
        ...(option.relative ? ['relative'] : []),
        ...(option.order === 'dce' ? ['dce'] : [`endian ${option.order}`]),
        ...(option.base === undefined ? [] : [`string ${base}`]),
        ...(option.bitmask === 0 ? [] : [`bitmask 0x${option.bitmask.toString(16)}`])
      ]
      return [`byte_math:${words.join()}`]
    }
    case 'isdataat':
      return [`isdataat:${option.negated ? '!' : ''}${option.at}${option.relative ? ',relative' : ''}`]
    case 'buffer_size':
      return [`bsize:${range(option.test)}`]
    case 'base64_decode': {
      const words = [
        ...(option.bytes === 0 ? [] : [`bytes ${option.bytes}`]),
        ...[`offset ${option.offset}`],
        ...(option.relative ? ['relative'] : [])
      ]
      return [`base64_decode:${words.join()}`]
    }
    case 'asn1': {
      const words = [
        ...(option.bitstringOverflow ? ['bitstring_overflow'] : []),
        ...(option.doubleOverflow ? ['double_overflow'] : []),
        ...(option.oversizeLength === undefined ? [] : [`oversize_length ${option.oversizeLength}`]),
        ...(option.absoluteOffset === undefined ? [] : [`absolute_offset ${option.absoluteOffset}`]),
        ...(option.relativeOffset === undefined ? [] : [`relative_offset ${option.relativeOffset}`])
      ]
      return [`asn1:${words.join()}`]
    }
    case 'ftpbounce':
      return ['ftpbounce']
  }
}

function content(option: Content): string[] {
  const hex = Buffer.from(option.pattern).toString('hex')
  const [from, depth] = option.relative ? ['distance', 'within'] : ['offset', 'depth']
  return [
    `content:${option.negated ? '!' : ''}"|${hex}|"`,
    ...(option.nocase ? ['nocase'] : []),
    ...(option.offset !== 0 || option.relative ? [`${from}:${option.offset}`] : []),
    ...(option.depth === undefined ? [] : [`${depth}:${option.depth}`]),
    ...(option.endsWith ? ['endswith'] : []),
    ...(option.fast ? ['fast_pattern'] : [])
  ]
}

function format({ relative, order, base, bitmask }: ByteFormat): string {
  return [
    ...(relative ? ['relative'] : []),
    ...[order],
    ...(base === undefined ? [] : ['string', { 8: 'oct', 10: 'dec', 16: 'hex' }[base]]),
    ...(bitmask === 0 ? [] : [`bitmask 0x${bitmask.toString(16)}`])
  ]
    .map((word) => `,${word}`)
    .join('')
}
