/** One rule: text to tree, or refused with the place. */
import type { AppProtocol, Block, Content, Flow, Rule } from './ast.ts'
import { bufferRow, type BufferName } from './buffers.ts'
import { RuleDraft } from './draft.ts'
import { checkEvent, checkEventKeyword } from './events/check.ts'
import { isEventKeyword } from './events/keywords.ts'
import { parseHeader } from './header.ts'
import { checkContents } from './keywords/content.ts'
import { KEYWORDS } from './keywords/table.ts'
import { refuse, type Piece } from './refusal.ts'
import { splitRule, type OptionText } from './rule-text.ts'

/**
 * @param text - one rule, latin1: a character is a byte
 * @throws RuleRefused with reason and place
 */
export function parseRule(text: string): Rule {
  const { words, options } = splitRule(text)
  const draft = new RuleDraft(parseHeader(words))
  for (const option of options) applyOption(draft, option)
  draft.endSticky()
  return finish(draft, words[1] ?? { text, offset: 0 })
}

function applyOption(draft: RuleDraft, { name, value }: OptionText): void {
  const row = KEYWORDS.get(name.text.toLowerCase())
  if (row === undefined) return refuse('unknown-keyword', `'${name.text.slice(0, 64)}' is no keyword`, name)
  checkEventKeyword(draft, name, isEventKeyword(name.text.toLowerCase()))
  draft.keywords.add(name.text.toLowerCase())
  const given = value === undefined || value.text === '' ? undefined : value
  if (row.value === 'optional') row.apply(draft, given, name)
  else if (row.value === 'none') {
    if (value !== undefined) refuse('syntax', `'${name.text}' takes no value`, value)
    row.apply(draft, name)
  } else if (given === undefined) refuse('syntax', `'${name.text}' needs a value`, name)
  else row.apply(draft, given, name)
}

const NO_FLOW: Flow = { direction: undefined, state: undefined, stream: undefined, fragments: undefined }

function finish(draft: RuleDraft, place: Piece): Rule {
  const sid = draft.text.get('sid')
  if (sid === undefined) refuse('combination', "'sid' is missing", place)
  checkContents(draft)
  const blocks = checkEvent(draft, place)
  for (const block of draft.blocks) checkSizes(draft, block, place)
  const app = appOf(draft, place)
  const priority = draft.text.get('priority')
  return {
    header: draft.header,
    gid: Number(draft.text.get('gid') ?? 1),
    sid: Number(sid),
    rev: Number(draft.text.get('rev') ?? 0),
    message: draft.text.get('msg') ?? '',
    classtype: draft.text.get('classtype'),
    priority: priority === undefined ? undefined : Number(priority),
    references: draft.references,
    metadata: draft.metadata,
    isNoAlert: draft.isNoAlert,
    app,
    event: draft.event,
    flow: withDirection(draft, draft.flow ?? NO_FLOW, place),
    packet: draft.packet,
    blocks,
    effects: draft.effects,
    threshold: draft.threshold,
    detectionFilter: draft.detectionFilter,
    keywords: [...draft.keywords]
  }
}

/** The application protocol that header and buffers agree on. */
function appOf(draft: RuleDraft, place: Piece): AppProtocol | undefined {
  let app = draft.protocol.app
  for (const block of draft.blocks) {
    const { apps } = bufferRow(block.buffer)
    if (apps.length === 0 || (app !== undefined && apps.includes(app))) continue
    if (app !== undefined) refuse('combination', `the buffer ${block.buffer} is not of ${app}`, place)
    if (apps.length === 1) app = apps[0]
  }
  if (app !== undefined && !draft.protocol.ip.some((ip) => ip === 'tcp' || ip === 'udp'))
    refuse('combination', `${app} does not run over ${draft.header.protocol}`, place)
  return app
}

/** Buffers of one side only say which way the traffic goes. */
function withDirection(draft: RuleDraft, flow: Flow, place: Piece): Flow {
  const sides = new Map<string, BufferName>()
  for (const { buffer } of draft.blocks) sides.set(bufferRow(buffer).side, buffer)
  const request = sides.get('request')
  const response = sides.get('response')
  if (request !== undefined && response !== undefined)
    refuse('combination', `${request} is in requests, ${response} in responses`, place)
  if (request !== undefined && flow.direction === 'to_client')
    refuse('combination', `${request} is in requests, the flow goes to the client`, place)
  if (response !== undefined && flow.direction === 'to_server')
    refuse('combination', `${response} is in responses, the flow goes to the server`, place)
  const direction =
    request !== undefined ? 'to_server' : response !== undefined ? 'to_client' : flow.direction
  return { ...flow, direction }
}

/** Contents that cannot be in a buffer of the size that the rule asks for. */
function checkSizes(draft: RuleDraft, block: Block, place: Piece): void {
  const tests = block.options.filter((option) => option.kind === 'buffer_size').map((option) => option.test)
  if (block.buffer === 'payload')
    for (const option of draft.packet)
      if (option.kind === 'field' && option.field === 'dsize') tests.push(option.test)
  const needed = Math.max(
    0,
    ...block.options.filter((o) => o.kind === 'content' && !o.negated).map((o) => bytesNeeded(o as Content))
  )
  for (const test of tests) {
    const most =
      test.compare === '=' || test.compare === '<='
        ? test.low
        : test.compare === '<'
          ? test.low - 1
          : test.compare === 'between'
            ? test.high
            : Infinity
    if (needed > most)
      refuse('combination', `a content needs ${needed} bytes, the size asked for is at most ${most}`, place)
  }
}

function bytesNeeded(content: Content): number {
  const offset = content.relative || typeof content.offset === 'string' ? 0 : content.offset
  return content.pattern.length + offset
}
