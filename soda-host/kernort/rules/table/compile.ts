/**
 * A set of rules to one table.
 *
 * Same rules in the same order, same variables: same bytes, same digest. A rule that cannot be encoded (its variables,
 * its expressions, a bound of the table) is refused with its place, and the others are not touched by it.
 */
import { resolveAddresses, IPV4_MAX, IPV6_MAX, type AddressGroup } from '../addresses.ts'
import type { EventPart, PacketField, Rule } from '../ast.ts'
import { bufferRow } from '../buffers.ts'
import type { Classes } from '../classes.ts'
import { protocolRow } from '../header.ts'
import { resolvePorts } from '../ports.ts'
import { refuse, RuleRefused, type Piece } from '../refusal.ts'
import { addRefusal, type PlacedRule, type RuleSet } from '../rule-file.ts'
import { splitRule } from '../rule-text.ts'
import type { Variables } from '../variables.ts'
import { encodeBufferOptions, RuleVariables } from './buffer-options.ts'
import { Encoder } from './encoder.ts'
import { missingInEngine } from './engine-support.ts'
import { writeEventRule } from './event-rules.ts'
import { chooseFastPattern, isApplication } from './fast-pattern.ts'
import { Grouping, type GroupedRule } from './groups.ts'
import {
  ACTION,
  APP,
  BLOCKS_MAX,
  BUFFER_ACTION,
  BUFFER_HEADER,
  FLOW,
  IP,
  RULE_FLAG,
  TRACK,
  TRANSFORM
} from './layout.ts'
import { encodeEffects, encodePacketOption, writeOption, type OptionRecord } from './packet-options.ts'
import { assemble } from './sections.ts'

/** Alerts of one signature that are never told. */
export interface Suppression {
  readonly gid: number
  readonly sid: number
  readonly track: 'by_src' | 'by_dst' | 'by_rule'
  readonly addresses: AddressGroup
}

export interface Table {
  readonly bytes: Buffer
  /** Hexadecimal SHA-256 that the table also carries. */
  readonly digest: string
}

export interface CompileInit {
  readonly variables: Variables
  readonly classes: Classes
  readonly suppressions?: readonly Suppression[]
}

const NOWHERE: Piece = { text: '', offset: 0 }

/**
 * Encodes the rules of `set`; those that cannot be encoded are taken out of it and told in its refusals.
 *
 * @throws ERR_RULESET_LIMIT when the table would be larger than 64 MiB
 */
export function compileRules(set: RuleSet, init: CompileInit): Table {
  const encoder = new Encoder()
  const grouping = new Grouping(encoder)
  const writer = new RuleWriter(encoder, init)
  const kept = set.rules.filter((placed) => {
    try {
      const { event } = placed.rule
      if (event === undefined) grouping.add(writer.write(placed))
      else writer.writeEvent(placed, event)
      return true
    } catch (error) {
      if (!(error instanceof RuleRefused)) throw error
      addRefusal(set, placed.place, error, placed.rule.sid)
      return false
    }
  })
  set.rules.splice(0, set.rules.length, ...kept)
  grouping.write()
  writeSuppressions(encoder, init.suppressions ?? [])
  return assemble(encoder.sections, {
    flowbits: encoder.flowbits.count,
    xbits: encoder.xbits.count,
    flowints: encoder.flowints.count
  })
}

function writeSuppressions(encoder: Encoder, suppressions: readonly Suppression[]): void {
  for (const { gid, sid, track, addresses } of suppressions.toSorted(
    (a, b) => a.gid - b.gid || a.sid - b.sid
  ))
    encoder.sections.SUPPRESSIONS.u32(gid, sid).u16(TRACK[track], encoder.addresses(addresses, NOWHERE))
}

interface EncodedBlock {
  readonly buffer: number
  readonly transforms: readonly number[]
  readonly records: readonly OptionRecord[]
}

class RuleWriter {
  private readonly encoder: Encoder
  private readonly init: CompileInit
  private readonly classes = new Map<string, number>()

  constructor(encoder: Encoder, init: CompileInit) {
    this.encoder = encoder
    this.init = init
    this.classIndex(undefined)
  }

  /** Nothing is written to the sections of rules, blocks and options before all of the rule is known to be good. */
  write({ rule, place }: PlacedRule): GroupedRule {
    const words = splitRule(place.line.text).words
    const at = (index: number): Piece => words[index] ?? NOWHERE
    const missing = missingInEngine(rule)
    if (missing !== undefined) refuse('unsupported', `the engine cannot evaluate ${missing} yet`, at(0))
    const { addresses, ports } = this.init.variables
    const { header } = rule
    const source = versioned(header.protocol, resolveAddresses(header.source, addresses, at(2)), at(2))
    const destination = versioned(
      header.protocol,
      resolveAddresses(header.destination, addresses, at(5)),
      at(5)
    )
    const sourcePorts = resolvePorts(header.sourcePorts, ports, at(3))
    const destinationPorts = resolvePorts(header.destinationPorts, ports, at(6))
    const groups = [
      this.encoder.addresses(source, at(2)),
      this.encoder.ports(sourcePorts, at(3)),
      this.encoder.addresses(destination, at(5)),
      this.encoder.ports(destinationPorts, at(6))
    ]
    const fast = chooseFastPattern(rule)
    const variables = new RuleVariables()
    const blocks = this.encodeBlocks(rule, variables, fast?.content)
    if (blocks.length > BLOCKS_MAX)
      refuse('limit', `a rule looks at no more than ${BLOCKS_MAX} buffers`, at(0))
    const index = this.encoder.sections.RULES.count
    const flags = ruleFlags(rule) | (fast === undefined ? 0 : RULE_FLAG.PREFILTERED)
    this.writeRule(rule, flags, groups, this.writeBlocks(blocks), variables.count)
    return { index, rule, flags, fast, source, destination, sourcePorts, destinationPorts }
  }

  /** A rule on events. */
  writeEvent({ rule, place }: PlacedRule, event: EventPart): void {
    const [, protocol = NOWHERE] = splitRule(place.line.text).words
    writeEventRule(this.encoder, rule, event, {
      variables: this.init.variables,
      classIndex: this.classIndex(rule.classtype),
      priority: this.priorityOf(rule),
      isSuppressed: (this.init.suppressions ?? []).some(
        ({ gid, sid, track }) => gid === rule.gid && sid === rule.sid && track === 'by_rule'
      ),
      place: protocol
    })
  }

  private priorityOf(rule: Rule): number {
    return rule.priority ?? this.init.classes.priorityOf(rule.classtype)
  }

  private encodeBlocks(
    rule: Rule,
    variables: RuleVariables,
    fast: Parameters<typeof encodeBufferOptions>[3]
  ): EncodedBlock[] {
    const { encoder } = this
    const blocks: EncodedBlock[] = []
    const add = (
      buffer: number,
      records: readonly OptionRecord[],
      transforms: readonly number[] = []
    ): void => {
      if (records.length > 0) blocks.push({ buffer, transforms, records })
    }
    add(
      BUFFER_HEADER,
      rule.packet.map((option) => encodePacketOption(encoder, option, NOWHERE))
    )
    for (const { buffer, transforms, options } of rule.blocks)
      add(
        bufferRow(buffer).code,
        encodeBufferOptions(encoder, options, variables, fast, NOWHERE),
        transforms.map((transform) => TRANSFORM[transform])
      )
    add(BUFFER_ACTION, encodeEffects(encoder, rule, NOWHERE))
    return blocks
  }

  private writeBlocks(blocks: readonly EncodedBlock[]): { first: number; count: number } {
    const { BLOCKS, OPTIONS } = this.encoder.sections
    const first = BLOCKS.count
    for (const { buffer, transforms, records } of blocks) {
      const [one = 0, two = 0, three = 0, four = 0] = transforms
      BLOCKS.u8(buffer, one, two, three, four, 0).u16(records.length).u32(OPTIONS.count)
      for (const record of records) writeOption(this.encoder, record)
    }
    return { first, count: blocks.length }
  }

  private writeRule(
    rule: Rule,
    flags: number,
    groups: readonly number[],
    blocks: { first: number; count: number },
    variableCount: number
  ): void {
    const message = this.encoder.text(rule.message)
    const ip = protocolRow(rule.header).ip.reduce((bits, name) => bits | IP[name], 0)
    this.encoder.sections.RULES.u32(rule.gid, rule.sid, rule.rev, message.offset)
      .u16(message.length, this.classIndex(rule.classtype))
      .u8(this.priorityOf(rule), ACTION[rule.header.action], ip, APP[rule.app ?? 'any'])
      .u16(flags, flowBits(rule), ...groups)
      .u32(blocks.first)
      .u16(blocks.count, variableCount)
      .u32(0, 0, 0, 0, 0)
  }

  private classIndex(name: string | undefined): number {
    const key = name ?? 'none'
    const known = this.classes.get(key)
    if (known !== undefined) return known
    const { CLASSES } = this.encoder.sections
    const index = CLASSES.count
    const short = this.encoder.text(key)
    const long = this.encoder.text(this.init.classes.textOf(name))
    CLASSES.u32(short.offset, short.length, long.offset, long.length)
    this.classes.set(key, index)
    return index
  }
}

/** `ip4` and `ip6` are restrictions of the addresses. */
function versioned(protocol: string, group: AddressGroup, place: Piece): AddressGroup {
  if (!/^ip(v?[46])$/.test(protocol)) return group
  const isFour = protocol.endsWith('4')
  const all = group ?? { v4: [{ low: 0n, high: IPV4_MAX }], v6: [{ low: 0n, high: IPV6_MAX }] }
  const left = isFour ? { v4: all.v4, v6: [] } : { v4: [], v6: all.v6 }
  if (left.v4.length === 0 && left.v6.length === 0) refuse('header', `no address of ${protocol}`, place)
  return left
}

function flowBits({ flow }: Rule): number {
  const words = [flow.direction, flow.state, flow.stream, flow.fragments]
  return words.reduce((bits, word) => bits | (word === undefined ? 0 : FLOW[word]), 0)
}

function ruleFlags(rule: Rule): number {
  const { payload, isIpOnly } = inspection(rule)
  return (
    (rule.header.isBidirectional ? RULE_FLAG.BIDIRECTIONAL : 0) |
    (rule.isNoAlert ? RULE_FLAG.NOALERT : 0) |
    (payload.packet ? RULE_FLAG.ON_PACKET : 0) |
    (payload.stream ? RULE_FLAG.ON_STREAM : 0) |
    (rule.blocks.some(({ buffer }) => isApplication(buffer)) ? RULE_FLAG.TRANSACTION : 0) |
    (isIpOnly ? RULE_FLAG.IP_ONLY : 0)
  )
}

/** Fields that only a packet has. */
const OF_PACKETS: ReadonlySet<string> = new Set<
  PacketField | 'flags' | 'fragbits' | 'ipopts' | 'sameip' | 'rpc'
>([
  ...(['dsize', 'ttl', 'fragoffset', 'itype', 'icode', 'tcp.mss', 'seq', 'ack', 'window', 'id'] as const),
  ...(['icmp_id', 'icmp_seq', 'tos', 'flags', 'fragbits', 'ipopts', 'sameip', 'rpc'] as const)
])

/** Packet or stream, by Suricata's rules (detect-parse.c, "pkt vs stream vs depth/offset"). */
function inspection(rule: Rule): { payload: { packet: boolean; stream: boolean }; isIpOnly: boolean } {
  const { on, ip } = protocolRow(rule.header)
  const kinds = rule.packet.map((option) => (option.kind === 'field' ? option.field : option.kind))
  let packet =
    on === 'packet' || rule.flow.stream === 'no_stream' || kinds.some((kind) => OF_PACKETS.has(kind))
  let stream = on === 'stream' || rule.flow.stream === 'only_stream'
  if (!ip.includes('tcp')) return { payload: { packet: true, stream: false }, isIpOnly: isIpOnly(rule) }
  if (!packet && !stream) {
    stream = true
    packet =
      kinds.includes('stream_size') ||
      rule.blocks.some((block) => block.buffer === 'payload' && isPositioned(block))
  }
  return { payload: { packet, stream }, isIpOnly: isIpOnly(rule) }
}

function isPositioned(block: Rule['blocks'][number]): boolean {
  return block.options.some(
    (option) =>
      option.kind === 'content' && !option.relative && (option.depth !== undefined || option.offset !== 0)
  )
}

function isIpOnly(rule: Rule): boolean {
  const { header, flow } = rule
  return (
    rule.blocks.length === 0 &&
    rule.packet.length === 0 &&
    rule.app === undefined &&
    header.sourcePorts.kind === 'any' &&
    header.destinationPorts.kind === 'any' &&
    flow.direction === undefined &&
    flow.state === undefined &&
    flow.stream === undefined &&
    flow.fragments === undefined
  )
}
