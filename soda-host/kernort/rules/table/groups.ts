/**
 * Which rules are looked at when: groups by buffer, IP protocol, direction and port, and the index of addresses.
 *
 * Every rule is entered once per situation in which it can match, either by its fast pattern or, without one, in
 * the list of its group. Each group that applies is one more scan over the traffic, so fast patterns are in the groups for
 * all ports, with the ports that they count on; only what ordinary traffic is full of is in groups of its ports.
 */
import type { AddressGroup } from '../addresses.ts'
import type { IpProtocol, Rule } from '../ast.ts'
import { bufferRow, type BufferName } from '../buffers.ts'
import { protocolRow } from '../header.ts'
import type { PortGroup } from '../ports.ts'
import type { Encoder } from './encoder.ts'
import { isApplication, isFrequent, type FastPattern } from './fast-pattern.ts'
import { BUFFER_HEADER, FLOW, GROUP_IP_ONLY, IP, RULE_FLAG, SIDE } from './layout.ts'
import { ScannerWriter, type Pattern } from './scanner.ts'

/** What the grouping needs of a rule. */
export interface GroupedRule {
  readonly index: number
  readonly rule: Rule
  /** Bits of RULE_FLAG. */
  readonly flags: number
  readonly fast: FastPattern | undefined
  readonly source: AddressGroup
  readonly destination: AddressGroup
  readonly sourcePorts: PortGroup
  readonly destinationPorts: PortGroup
}

interface Group {
  readonly patterns: Map<string, Pattern & { readonly rules: number[] }>
  readonly rules: number[]
}

/** Above this a rule counts as one for any port. */
const PORTS_MAX = 64
/** Above this an address group counts as any: networks of the owner, not lists of strangers. */
const ADDRESSES_MAX = 1n << 24n

/** The ports of a group, and those of the packet by which a pattern of it counts. */
interface Place {
  readonly side: number
  readonly port: number
  readonly filter?: Filter
}

type Filter = Pick<Pattern, 'side' | 'ports'>

const ANY_PORT: Place = { side: SIDE.ANY, port: 0 }

export class Grouping {
  private readonly encoder: Encoder
  private readonly groups = new Map<string, Group>()
  private readonly byAddress: {
    readonly side: number
    readonly low: number
    readonly high: number
    readonly rule: number
  }[] = []

  constructor(encoder: Encoder) {
    this.encoder = encoder
  }

  add(grouped: GroupedRule): void {
    const { rule, fast, index, flags } = grouped
    const buffer = fast?.buffer ?? wakingBuffer(rule)
    if (buffer !== undefined && isApplication(buffer)) {
      const row = bufferRow(buffer)
      const side = { request: 'to_server', response: 'to_client', both: undefined } as const
      for (const direction of directions(rule, side[row.side]))
        this.enter([scannedAs(buffer), 0, direction, SIDE.ANY, 0], fast, index)
      return
    }
    if (buffer === undefined && this.addAddresses(grouped)) return
    const code =
      buffer === undefined
        ? flags & RULE_FLAG.IP_ONLY
          ? GROUP_IP_ONLY
          : BUFFER_HEADER
        : bufferRow(buffer).code
    for (const ip of protocolRow(rule.header).ip)
      for (const direction of directions(rule))
        for (const { side, port, filter } of this.places(grouped, ip))
          this.enter([code, IP[ip], direction, side, port], fast, index, filter)
  }

  private enter(
    key: readonly number[],
    fast: FastPattern | undefined,
    index: number,
    filter: Filter = { side: SIDE.ANY, ports: 0 }
  ): void {
    const name = key.join()
    const group = this.groups.get(name) ?? {
      patterns: new Map<string, Pattern & { readonly rules: number[] }>(),
      rules: []
    }
    this.groups.set(name, group)
    if (fast === undefined) {
      pushOnce(group.rules, index)
      return
    }
    const bytes = Buffer.from(fast.bytes).toString('latin1')
    const of = `${filter.side},${filter.ports},${bytes}`
    const pattern = group.patterns.get(of) ?? { bytes, ...filter, rules: [] }
    group.patterns.set(of, pattern)
    pushOnce(pattern.rules, index)
  }

  /** Where a rule is entered by its ports; several when it reads both ways. */
  private places(grouped: GroupedRule, ip: IpProtocol): Place[] {
    const { rule, fast, sourcePorts, destinationPorts } = grouped
    if (ip !== 'tcp' && ip !== 'udp') return [ANY_PORT]
    if (fast === undefined || isFrequent(fast.bytes)) {
      const narrow = narrowPlaces(grouped)
      if (narrow !== undefined || fast === undefined) return narrow ?? [ANY_PORT]
    }
    const isByDestination = destinationPorts !== undefined
    const group = destinationPorts ?? sourcePorts
    if (group === undefined) return [ANY_PORT]
    const ports = this.encoder.ports(group, { text: '', offset: 0 })
    const sides = isByDestination ? [SIDE.DESTINATION, SIDE.SOURCE] : [SIDE.SOURCE, SIDE.DESTINATION]
    return (rule.header.isBidirectional ? sides : sides.slice(0, 1)).map((side) => ({
      ...ANY_PORT,
      filter: { side, ports }
    }))
  }

  /** Reputation lists: true if an address of its own wakes the rule. */
  private addAddresses({
    rule,
    source,
    destination,
    sourcePorts,
    destinationPorts,
    index
  }: GroupedRule): boolean {
    if (isNarrow(sourcePorts) || isNarrow(destinationPorts)) return false
    const side = isFew(source) ? SIDE.SOURCE : isFew(destination) ? SIDE.DESTINATION : undefined
    if (side === undefined) return false
    const ranges = (side === SIDE.SOURCE ? source : destination)?.v4 ?? []
    const sides = rule.header.isBidirectional ? [SIDE.SOURCE, SIDE.DESTINATION] : [side]
    for (const where of sides)
      for (const { low, high } of ranges)
        this.byAddress.push({ side: where, low: Number(low), high: Number(high), rule: index })
    return true
  }

  write(): void {
    const scanners = new ScannerWriter(this.encoder)
    const keys = [...this.groups].map(([name, group]) => ({ key: name.split(',').map(Number), group }))
    keys.sort((a, b) => compareKeys(a.key, b.key))
    for (const { key, group } of keys) {
      const [buffer = 0, ip = 0, direction = 0, side = 0, port = 0] = key
      const scanner = scanners.write([...group.patterns.values()])
      const rules = this.encoder.words.addWords(group.rules)
      this.encoder.sections.GROUPS.u8(buffer, ip, direction, side)
        .u16(port, 0)
        .u32(scanner, rules, group.rules.length)
    }
    for (const side of [SIDE.DESTINATION, SIDE.SOURCE]) this.writeAddresses(side)
  }

  /** Overlapping ranges become disjoint ones, each with all its rules. */
  private writeAddresses(side: number): void {
    const ranges = this.byAddress.filter((range) => range.side === side)
    const starts = Map.groupBy(ranges, ({ low }) => low)
    const ends = Map.groupBy(ranges, ({ high }) => high + 1)
    const edges = [...new Set([...starts.keys(), ...ends.keys()])].sort((a, b) => a - b)
    const active = new Map<number, number>()
    for (const [at, low] of edges.entries()) {
      for (const { rule } of ends.get(low) ?? []) active.set(rule, (active.get(rule) ?? 0) - 1)
      for (const { rule } of starts.get(low) ?? []) active.set(rule, (active.get(rule) ?? 0) + 1)
      for (const [rule, count] of active) if (count <= 0) active.delete(rule)
      const next = edges[at + 1]
      if (next === undefined || active.size === 0) continue
      const rules = [...active.keys()].sort((a, b) => a - b)
      this.encoder.sections.ADDRESS_INDEX.u32(
        side,
        low,
        next - 1,
        this.encoder.words.addWords(rules),
        rules.length
      )
    }
  }
}

/** A body is also a file: one scan serves for both names. */
function scannedAs(buffer: BufferName): number {
  const isBody = buffer === 'http_request_body' || buffer === 'http_response_body'
  return bufferRow(isBody ? 'file_data' : buffer).code
}

function compareKeys(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < a.length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function pushOnce(list: number[], index: number): void {
  if (list.at(-1) !== index) list.push(index)
}

/** What wakes a rule without a fast pattern: an application buffer, else the payload, else every packet. */
function wakingBuffer(rule: Rule): FastPattern['buffer'] | undefined {
  const buffers = rule.blocks.map(({ buffer }) => buffer).filter((buffer) => buffer !== 'base64_data')
  return buffers.find(isApplication) ?? buffers[0]
}

function directions(rule: Rule, only?: 'to_server' | 'to_client'): number[] {
  const direction = only ?? rule.flow.direction
  return direction === undefined ? [FLOW.to_server, FLOW.to_client] : [FLOW[direction]]
}

function isNarrow(group: PortGroup): group is readonly { low: number; high: number }[] {
  return group !== undefined && group.reduce((sum, { low, high }) => sum + high - low + 1, 0) <= PORTS_MAX
}

function isFew(group: AddressGroup): boolean {
  if (group === undefined || group.v6.length > 0) return false
  return group.v4.reduce((sum, { low, high }) => sum + high - low + 1n, 0n) <= ADDRESSES_MAX
}

/** The groups of a rule's few ports; undefined: it names none, or many. */
function narrowPlaces({ rule, sourcePorts, destinationPorts }: GroupedRule): Place[] | undefined {
  const { isBidirectional } = rule.header
  const spread = (group: readonly { low: number; high: number }[], side: number, mirror: number): Place[] =>
    group.flatMap(({ low, high }) =>
      Array.from({ length: high - low + 1 }, (_, at) => low + at).flatMap((port) =>
        (isBidirectional ? [side, mirror] : [side]).map((where) => ({ side: where, port }))
      )
    )
  if (isNarrow(destinationPorts)) return spread(destinationPorts, SIDE.DESTINATION, SIDE.SOURCE)
  if (isNarrow(sourcePorts)) return spread(sourcePorts, SIDE.SOURCE, SIDE.DESTINATION)
  return undefined
}
