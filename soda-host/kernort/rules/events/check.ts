/** What can be judged of a rule on events only when all of it has been read. */
import type { Block, EventPart, RuleHeader } from '../ast.ts'
import { bufferRow } from '../buffers.ts'
import type { RuleDraft } from '../draft.ts'
import { refuse, type Piece } from '../refusal.ts'
import { isEventBuffer } from './buffers.ts'
import { KIND_ROWS, type EventKind } from './kinds.ts'

/** Keywords that all rules have and that mean something where there is no packet. */
const SHARED: ReadonlySet<string> = new Set([
  ...['msg', 'sid', 'gid', 'rev', 'priority', 'classtype', 'reference', 'metadata', 'noalert', 'alert'],
  ...['content', 'nocase', 'offset', 'depth', 'distance', 'within', 'startswith', 'endswith', 'rawbytes'],
  ...['fast_pattern', 'pcre', 'isdataat', 'bsize', 'flowbits', 'threshold', 'detection_filter']
])

/** Refuses a keyword that is for packets, at its place. */
export function checkEventKeyword(draft: RuleDraft, name: Piece, isOfEvents: boolean): void {
  const word = name.text.toLowerCase()
  if (draft.event === undefined || isOfEvents || SHARED.has(word)) return
  if (word === 'flow' && draft.header.protocol === 'console') return
  refuse('combination', `'${word}' is of packets, not of ${draft.header.protocol} rules`, name)
}

/** `console` rules say by `flow` which way; the text that they look at without saying so is the line. */
function completeConsole(draft: RuleDraft, part: EventPart, place: Piece): void {
  const { direction, ...others } = draft.flow ?? { direction: undefined }
  if (Object.values(others).some((word) => word !== undefined))
    refuse('value', 'of a terminal, flow says to_server (typed) or to_client (shown)', place)
  if (direction === undefined) part.kinds = ['typed', 'shown']
  else part.kinds = [direction === 'to_server' ? 'typed' : 'shown']
}

/**
 * Blocks and kinds of a rule on events; of another rule its blocks as they are.
 *
 * @throws RuleRefused when something asks for what its events do not tell, or cannot be forbidden
 */
export function checkEvent(draft: RuleDraft, place: Piece): readonly Block[] {
  const { event: part, header } = draft
  if (part === undefined) {
    const stray = draft.blocks.find(({ buffer }) => isEventBuffer(buffer))
    if (stray !== undefined)
      refuse('combination', `'${bufferRow(stray.buffer).sticky[0] ?? ''}' is of syscall rules`, place)
    return draft.blocks
  }
  if (header.protocol === 'console') completeConsole(draft, part, place)
  if (part.kinds.length === 0) refuse('combination', "'event' is missing", place)
  const blocks = draft.blocks.map((block) => textBlock(block, header, place))
  for (const kind of part.kinds) checkKind(kind, part, blocks, place)
  checkHeader(header, part.kinds, place)
  if (header.action === 'drop' || header.action === 'reject') {
    const done = part.kinds.find((kind) => !KIND_ROWS[kind].isDeniable)
    if (done !== undefined) refuse('combination', `'${done}' cannot be forbidden, only told`, place)
  }
  return blocks
}

function textBlock(block: Block, header: RuleHeader, place: Piece): Block {
  if (isEventBuffer(block.buffer)) return block
  if (block.buffer !== 'payload')
    return refuse('combination', `the buffer ${block.buffer} is of packets`, place)
  if (header.protocol === 'console') return { ...block, buffer: 'console_line' }
  return refuse('combination', 'a content needs a text before it, such as exec.path', place)
}

function checkKind(kind: EventKind, part: EventPart, blocks: readonly Block[], place: Piece): void {
  const { numbers, texts } = KIND_ROWS[kind]
  const number = part.tests.find((test) => !numbers.includes(test.number))?.number
  if (number !== undefined) refuse('combination', `'${number}' is not told of '${kind}'`, place)
  const asked = [...blocks.map(({ buffer }) => buffer), ...(part.firstTime ? [part.firstTime.buffer] : [])]
  for (const buffer of asked)
    if (!isEventBuffer(buffer) || !texts.includes(buffer))
      refuse('combination', `'${bufferRow(buffer).sticky[0] ?? ''}' is not told of '${kind}'`, place)
}

/** Only sockets have an address, and only the end that is not the process's own. */
function checkHeader(header: RuleHeader, kinds: readonly EventKind[], place: Piece): void {
  if (header.isBidirectional) refuse('header', "'<>' means nothing here: '->'", place)
  const ends = {
    source: header.source.kind !== 'any' || header.sourcePorts.kind !== 'any',
    destination: header.destination.kind !== 'any' || header.destinationPorts.kind !== 'any'
  }
  for (const side of ['source', 'destination'] as const) {
    const other = kinds.find((kind) => KIND_ROWS[kind].address !== side)
    if (ends[side] && other !== undefined) refuse('header', `'${other}' has no ${side} address`, place)
  }
}
