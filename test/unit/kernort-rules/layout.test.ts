import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import { BUFFER_NAMES, bufferRow } from '../../../soda-host/kernort/rules/buffers.ts'
import {
  EVENT_BUFFER,
  EVENT_BUFFERS,
  isEventBuffer
} from '../../../soda-host/kernort/rules/events/buffers.ts'
import { EVENT_KINDS, EVENT_NUMBERS } from '../../../soda-host/kernort/rules/events/kinds.ts'
import { REGEX_CODES } from '../../../soda-host/kernort/rules/regex/program.ts'
import * as events from '../../../soda-host/kernort/rules/table/event-layout.ts'
import { BUFFERS_MISSING } from '../../../soda-host/kernort/rules/table/engine-support.ts'
import * as layout from '../../../soda-host/kernort/rules/table/layout.ts'

const HEADER = new URL('../../../soda-host/kernort/include/kernort_ruleset.h', import.meta.url)
const EVENT_HEADER = new URL('../../../soda-host/kernort/include/kernort_event.h', import.meta.url)
/** Those of packets. */
const PACKET_BUFFERS = BUFFER_NAMES.filter((name) => !isEventBuffer(name))

/** Names of an enum of the header, in order, without prefix and count. */
function enumOf(header: string, name: string, prefix: string): string[] {
  const body = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(header)?.[1] ?? ''
  const names = [...body.replaceAll(/\/\*[\s\S]*?\*\//g, '').matchAll(/\b[A-Z][A-Z0-9_]+/g)].map(
    ([word]) => word
  )
  return names.map((word) => word.slice(prefix.length)).filter((word) => word !== 'COUNT')
}

function defineOf(header: string, name: string): number {
  const value = new RegExp(`#define ${name} (\\(?[^\\n/]*\\)?)`).exec(header)?.[1] ?? ''
  const [, base = '', shift] = /^\(?(0x[0-9a-f]+|\d+)[uUlL]*(?:\s*<<\s*(\d+))?\)?$/.exec(value.trim()) ?? []
  return Number(base) * 2 ** Number(shift ?? 0)
}

const WIDTHS: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, u64: 8 }

/** Bytes of a struct of the header; all are packed by construction. */
function sizeOf(header: string, name: string): number {
  const body = new RegExp(`struct ${name} \\{([\\s\\S]*?)\\n\\};`).exec(header)?.[1] ?? ''
  const lines = body.replaceAll(/\/\*[\s\S]*?\*\//g, '').matchAll(/(struct )?(\w+) ([^;]+);/g)
  let bytes = 0
  for (const [, isStruct, type = '', names = ''] of lines)
    for (const field of names.split(',')) {
      const count = /\[(\w+)\]/.exec(field)?.[1]
      const times = count === undefined ? 1 : /^\d+$/.test(count) ? Number(count) : defineOf(header, count)
      bytes += times * (isStruct === undefined ? (WIDTHS[type] ?? 0) : sizeOf(header, type))
    }
  return bytes
}

function namesOf(codes: Readonly<Record<string, number>>): string[] {
  return Object.keys(codes).map((name) => name.toUpperCase().replaceAll('-', '_'))
}

describe('the two descriptions of the table', () => {
  let header = ''
  before(async () => {
    header = await readFile(HEADER, 'utf8')
  })

  it('name the same sections, with entries of the same size', () => {
    const sections = enumOf(header, 'kernort_ruleset_section_kind', 'KERNORT_SECTION_')
    expect(sections).to.deep.equal([...layout.SECTION_NAMES])
    const structs: Partial<Record<layout.SectionName, string>> = {
      ADDRESSES4: 'address4',
      ADDRESSES6: 'address6',
      ADDRESS_GROUPS: 'address_group',
      PORTS: 'port_range',
      PORT_GROUPS: 'port_group',
      CLASSES: 'class',
      RULES: 'rule',
      BLOCKS: 'block',
      OPTIONS: 'option',
      REGEXES: 'regex',
      PATTERNS: 'pattern',
      GRAMS: 'gram',
      SCANNERS: 'scanner',
      GROUPS: 'group',
      ADDRESS_INDEX: 'address_index',
      SUPPRESSIONS: 'suppression'
    }
    for (const [section, struct] of Object.entries(structs))
      expect(sizeOf(header, `kernort_ruleset_${struct}`), struct).to.equal(
        layout.SECTIONS[section as layout.SectionName]
      )
    expect(sizeOf(header, 'kernort_ruleset_section')).to.equal(layout.SECTION_BYTES)
  })

  it('give the same codes to options, expressions, buffers and words', () => {
    expect(enumOf(header, 'kernort_option_code', 'KERNORT_OPTION_')).to.deep.equal([...layout.OPTION_NAMES])
    expect(
      enumOf(header, 'kernort_regex_code', 'KERNORT_REGEX_').filter((name) => name !== 'CODE_COUNT')
    ).to.deep.equal([...REGEX_CODES])
    expect(enumOf(header, 'kernort_app', 'KERNORT_APP_')).to.deep.equal(namesOf(layout.APP))
    expect(enumOf(header, 'kernort_rule_action', 'KERNORT_ACTION_')).to.deep.equal(namesOf(layout.ACTION))
    expect(enumOf(header, 'kernort_track', 'KERNORT_TRACK_')).to.deep.equal(namesOf(layout.TRACK))
    expect(enumOf(header, 'kernort_transform', 'KERNORT_TRANSFORM_')).to.deep.equal(namesOf(layout.TRANSFORM))
    expect(enumOf(header, 'kernort_group_side', 'KERNORT_SIDE_')).to.deep.equal(namesOf(layout.SIDE))
    const buffers = enumOf(header, 'kernort_buffer', 'KERNORT_BUFFER_')
    expect(buffers.slice(0, 2)).to.deep.equal(['HEADER', 'ACTION'])
    expect(PACKET_BUFFERS.map((name) => bufferRow(name).code)).to.deep.equal(
      buffers.slice(2).map((_, index) => index + 2)
    )
  })

  it('say the same of rules on events', async () => {
    const header = await readFile(EVENT_HEADER, 'utf8')
    const words = (names: readonly string[]): string[] =>
      names.map((name) => name.toUpperCase().replaceAll(/[.]/g, '_'))
    expect(sizeOf(header, 'kernort_ruleset_event_rule')).to.equal(layout.SECTIONS.EVENT_RULES)
    expect(enumOf(header, 'kernort_event_kind', 'KERNORT_EVENT_')).to.deep.equal(words(EVENT_KINDS))
    expect(enumOf(header, 'kernort_event_number', 'KERNORT_NUMBER_')).to.deep.equal(words(EVENT_NUMBERS))
    const texts = enumOf(header, 'kernort_event_text', 'KERNORT_TEXT_')
    expect(texts).to.deep.equal(words(Object.values(EVENT_BUFFERS).flatMap(({ sticky }) => sticky)))
    expect(Object.values(EVENT_BUFFERS).map(({ code }) => code - EVENT_BUFFER)).to.deep.equal([
      ...texts.keys()
    ])
    expect(defineOf(header, 'KERNORT_EVENT_BUFFER')).to.equal(EVENT_BUFFER)
    expect(defineOf(header, 'KERNORT_EVENT_RULES_MAX')).to.equal(events.EVENT_RULES_MAX)
    expect(defineOf(header, 'KERNORT_EVENT_BITS_MAX')).to.equal(events.EVENT_BITS_MAX)
    const options = enumOf(header, 'kernort_event_option', 'KERNORT_EVENT_OPTION_')
    expect(Object.keys(events.EVENT_OPTION)).to.deep.equal(options)
    expect(Object.values(events.EVENT_OPTION)).to.deep.equal([...options.keys()].map((index) => 0x80 + index))
  })

  it('give the same bits to flags', () => {
    const groups = {
      KERNORT_RULE_: layout.RULE_FLAG,
      KERNORT_FLOW_: layout.FLOW,
      KERNORT_IP_: layout.IP,
      KERNORT_REGEX_: layout.REGEX_FLAG
    }
    for (const [prefix, flags] of Object.entries(groups))
      for (const [name, bit] of Object.entries(flags))
        expect(defineOf(header, prefix + name.toUpperCase()), prefix + name).to.equal(bit)
    for (const [name, bit] of Object.entries(layout.OPTION_FLAG)) {
      const isOwn = /^(CONTENT|BYTES|DATA)_/.test(name)
      expect(defineOf(header, `KERNORT_${isOwn ? '' : 'OPTION_'}${name}`), name).to.equal(bit)
    }
  })

  it('keep the same bounds', () => {
    const bounds = {
      KERNORT_RULESET_VERSION: layout.VERSION,
      KERNORT_GROUP_IP_ONLY: layout.GROUP_IP_ONLY,
      KERNORT_PATTERN_BYTES_MAX: layout.PATTERN_BYTES_MAX,
      KERNORT_MARK_SHIFT: layout.MARK_SHIFT,
      KERNORT_MARK_BIT_SHIFT: layout.MARK_BIT_SHIFT,
      KERNORT_MARK_LOTS: layout.MARK_LOTS,
      KERNORT_MARK_FIRST: layout.MARK_FIRST,
      KERNORT_MARK_ALONE: layout.MARK_ALONE,
      KERNORT_MARK_SECOND: layout.MARK_SECOND,
      KERNORT_RULESET_ALIGN: layout.ALIGN,
      KERNORT_RULESET_SIZE_MAX: layout.SIZE_MAX,
      KERNORT_RULESET_NONE: layout.NONE,
      KERNORT_RULESET_BLOCKS_MAX: layout.BLOCKS_MAX,
      KERNORT_RULESET_FLOWBITS_MAX: layout.FLOWBITS_MAX,
      KERNORT_RULESET_XBITS_MAX: layout.XBITS_MAX,
      KERNORT_RULESET_FLOWINTS_MAX: layout.FLOWINTS_MAX,
      KERNORT_GRAM_HASH: layout.GRAM_HASH
    }
    for (const [name, value] of Object.entries(bounds)) expect(defineOf(header, name), name).to.equal(value)
  })

  it('have the engine evaluate every buffer, but those that rules are refused for', async () => {
    const engine = new URL('../../../soda-host/kernort/engine/', import.meta.url)
    const files = readdirSync(engine).filter((file) => file.endsWith('.c'))
    const text = (await Promise.all(files.map((file) => readFile(new URL(file, engine), 'utf8')))).join('')
    const names = enumOf(header, 'kernort_buffer', 'KERNORT_BUFFER_').slice(2)
    const unknown = PACKET_BUFFERS.filter(
      (_, index) => !new RegExp(`KERNORT_BUFFER_${names[index] ?? ''}\\b`).test(text)
    )
    expect(unknown).to.have.members([...BUFFERS_MISSING])
  })
})
