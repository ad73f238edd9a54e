/** Rules on events as entries of the section EVENT_RULES. They have no prefilter, so they are in no group. */
import { resolveAddresses } from '../addresses.ts'
import type { EventPart, Rule } from '../ast.ts'
import { bufferRow } from '../buffers.ts'
import { EVENT_BUFFER } from '../events/buffers.ts'
import { EVENT_KINDS, EVENT_NUMBERS } from '../events/kinds.ts'
import { resolvePorts } from '../ports.ts'
import { refuse, type Piece } from '../refusal.ts'
import type { Variables } from '../variables.ts'
import { encodeBufferOptions, RuleVariables } from './buffer-options.ts'
import type { Encoder } from './encoder.ts'
import { EVENT_OPTION, EVENT_RULES_MAX } from './event-layout.ts'
import { ACTION, BUFFER_ACTION, BUFFER_HEADER, COMPARE, OPTION_FLAG, RULE_FLAG } from './layout.ts'
import { encodeEffects, writeOption, type OptionRecord } from './packet-options.ts'

/** What all rules of a table share. */
export interface EventRuleInit {
  readonly variables: Variables
  readonly classIndex: number
  readonly priority: number
  /** Said by threshold.config: it matches, and is not told. */
  readonly isSuppressed: boolean
  readonly place: Piece
}

interface EncodedBlock {
  readonly buffer: number
  readonly records: readonly OptionRecord[]
}

/** Nothing is written before all of the rule is known to be good. */
export function writeEventRule(encoder: Encoder, rule: Rule, event: EventPart, init: EventRuleInit): void {
  const { EVENT_RULES, BLOCKS, OPTIONS } = encoder.sections
  const { place, variables } = init
  if (EVENT_RULES.count >= EVENT_RULES_MAX)
    refuse('limit', `more than ${EVENT_RULES_MAX} syscall and console rules`, place)
  const { header } = rule
  const groups = [
    encoder.addresses(resolveAddresses(header.source, variables.addresses, place), place),
    encoder.ports(resolvePorts(header.sourcePorts, variables.ports, place), place),
    encoder.addresses(resolveAddresses(header.destination, variables.addresses, place), place),
    encoder.ports(resolvePorts(header.destinationPorts, variables.ports, place), place)
  ]
  const blocks = encodeBlocks(encoder, rule, event, place).filter(({ records }) => records.length > 0)
  const message = encoder.text(rule.message)
  const first = BLOCKS.count
  for (const { buffer, records } of blocks) {
    BLOCKS.u8(buffer, 0, 0, 0, 0, 0).u16(records.length).u32(OPTIONS.count)
    for (const record of records) writeOption(encoder, record)
  }
  const kinds = event.kinds.reduce((bits, kind) => bits | (1 << EVENT_KINDS.indexOf(kind)), 0)
  EVENT_RULES.u32(rule.gid, rule.sid, rule.rev, message.offset)
    .u16(message.length, init.classIndex)
    .u8(init.priority, ACTION[header.action])
    .u16(rule.isNoAlert || init.isSuppressed ? RULE_FLAG.NOALERT : 0)
    .u32(kinds)
    .u16(...groups)
    .u32(first)
    .u16(blocks.length, 0)
    .u32(0, 0, 0, 0, 0)
}

function encodeBlocks(encoder: Encoder, rule: Rule, event: EventPart, place: Piece): EncodedBlock[] {
  const numbers = event.tests.map(({ number, test, negated }): OptionRecord => ({
    code: EVENT_OPTION.NUMBER,
    compare: COMPARE[test.compare],
    flags: negated ? OPTION_FLAG.NEGATED : 0,
    fields: [EVENT_NUMBERS.indexOf(number), test.low, test.high]
  }))
  const variables = new RuleVariables()
  return [
    { buffer: BUFFER_HEADER, records: [...numbers, ...encodeBitTests(encoder, rule, place)] },
    ...rule.blocks.map(({ buffer, options }) => ({
      buffer: bufferRow(buffer).code,
      records: encodeBufferOptions(encoder, options, variables, undefined, place)
    })),
    { buffer: BUFFER_ACTION, records: encodeActions(encoder, rule, event, place) }
  ]
}

function bits(encoder: Encoder, names: readonly string[], place: Piece): [low: number, high: number] {
  const mask = names.reduce((all, name) => all | (1n << BigInt(encoder.eventBits.of(name, place))), 0n)
  return [Number(mask & 0xffff_ffffn), Number(mask >> 32n)]
}

function encodeBitTests(encoder: Encoder, rule: Rule, place: Piece): OptionRecord[] {
  return rule.packet.flatMap((option) =>
    option.kind === 'flowbits'
      ? [
          {
            code: EVENT_OPTION.BITS_TEST,
            compare: option.isSet ? 0 : 1,
            fields: bits(encoder, option.names, place)
          }
        ]
      : []
  )
}

const CHANGES = { set: 0, unset: 1, toggle: 2 }

/** Filter, novelty, bits, threshold: the engine goes through them in this order. */
function encodeActions(encoder: Encoder, rule: Rule, event: EventPart, place: Piece): OptionRecord[] {
  for (const rate of [rule.detectionFilter, rule.threshold])
    if (rate !== undefined && rate.track !== 'by_src' && rate.track !== 'by_rule')
      refuse('value', "of events, 'track' is by_src (the process) or by_rule", place)
  const counted = encodeEffects(encoder, { ...rule, effects: [] }, place)
  const isFiltered = rule.detectionFilter !== undefined
  const novelty = event.firstTime && {
    code: EVENT_OPTION.FIRST_TIME,
    fields: [bufferRow(event.firstTime.buffer).code - EVENT_BUFFER, event.firstTime.learnSeconds]
  }
  const changes = rule.effects.flatMap((effect) =>
    effect.kind === 'flowbits'
      ? [
          {
            code: EVENT_OPTION.BITS_SET,
            compare: CHANGES[effect.change],
            fields: bits(encoder, effect.names, place)
          }
        ]
      : []
  )
  return [
    ...(isFiltered ? counted : []),
    ...(novelty === undefined ? [] : [novelty]),
    ...changes,
    ...(isFiltered ? [] : counted)
  ]
}
