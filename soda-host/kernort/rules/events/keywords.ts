/** Keywords that only rules on events have. */
import type { EventPart, NumberTest } from '../ast.ts'
import type { RuleDraft } from '../draft.ts'
import type { KeywordRow } from '../keywords/row.ts'
import { refuse, splitPieces, type Piece } from '../refusal.ts'
import { readChoice, readInteger, readNegation, readNumberTest } from '../values.ts'
import { EVENT_BUFFERS, isEventBuffer } from './buffers.ts'
import { EVENT_KINDS, type EventKind, type EventNumber } from './kinds.ts'

const UINT32_MAX = 0xffff_ffff

function partOf(draft: RuleDraft, name: Piece): EventPart {
  return draft.event ?? refuse('combination', `'${name.text}' is of syscall and console rules`, name)
}

const KINDS = Object.fromEntries(EVENT_KINDS.map((kind) => [kind, kind])) as Readonly<
  Record<string, EventKind>
>

/** `event:exec;`, `event:connect|bind;` */
function applyEvent(draft: RuleDraft, value: Piece, name: Piece): void {
  const part = partOf(draft, name)
  if (part.kinds.length > 0) refuse('combination', "'event' twice", name)
  const kinds = splitPieces(value, '|').map((piece) => {
    const kind = readChoice(piece, KINDS)
    if (kind === 'typed' || kind === 'shown')
      refuse('value', `'${kind}' is of console rules: 'flow' says which way`, piece)
    return kind
  })
  part.kinds = [...new Set(kinds)]
}

function add(draft: RuleDraft, number: EventNumber, test: NumberTest, name: Piece, negated = false): void {
  partOf(draft, name).tests.push({ number, test, negated })
}

function numberRow(number: EventNumber, high = UINT32_MAX): KeywordRow {
  return {
    names: [number],
    value: 'required',
    apply: (draft, value, name) => {
      const { negated, rest } = readNegation(value)
      const test = readNumberTest(rest, 0, high)
      if (negated && test.compare !== '=') refuse('value', "'!' stands before one number", value)
      add(draft, number, negated ? { ...test, compare: '!=' } : test, name)
    }
  }
}

function wordRow(number: EventNumber, words: Readonly<Record<string, number>>): KeywordRow {
  return {
    names: [number],
    value: 'required',
    apply: (draft, value, name) => {
      const { negated, rest } = readNegation(value)
      const low = readChoice(rest, words)
      add(draft, number, { compare: negated ? '!=' : '=', low, high: low }, name)
    }
  }
}

/** KERNORT_STDIO_* */
const STDIO = { socket: 1, local: 2, tty: 4, pipe: 8, file: 16 } as const

/** `stdio:socket;` some of the first three descriptors is one; `stdio:!socket;` none is. */
function stdioRow(number: 'stdio' | 'parent.stdio'): KeywordRow {
  return {
    names: [number],
    value: 'required',
    apply: (draft, value, name) => {
      const { negated, rest } = readNegation(value)
      const bits = splitPieces(rest, '|').reduce((all, piece) => all | readChoice(piece, STDIO), 0)
      add(draft, number, { compare: '&', low: bits, high: 0 }, name, negated)
    }
  }
}

const YES = { yes: 1, no: 0 }
const SOCKET_TYPES = { stream: 1, dgram: 2, raw: 3, seqpacket: 5 }
const SIGNAL_MAX = 64

/** `first_time;`, `first_time:60;`: the text of the sticky buffer is new; nothing is told in the first seconds. */
function applyFirstTime(draft: RuleDraft, value: Piece | undefined, name: Piece): void {
  const part = partOf(draft, name)
  const buffer = draft.stickyBuffer
  if (buffer === undefined || !isEventBuffer(buffer))
    return refuse('combination', "'first_time' needs a text before it, such as exec.path", name)
  if (part.firstTime !== undefined) refuse('combination', "'first_time' twice", name)
  draft.useSticky()
  part.firstTime = { buffer, learnSeconds: value === undefined ? 0 : readInteger(value, 0, UINT32_MAX) }
}

export const EVENT_KEYWORDS: readonly KeywordRow[] = [
  { names: ['event'], value: 'required', apply: applyEvent },
  numberRow('uid'),
  numberRow('euid'),
  wordRow('exec.setuid', YES),
  stdioRow('stdio'),
  stdioRow('parent.stdio'),
  numberRow('cred.uid_before'),
  numberRow('cred.uid_after'),
  numberRow('cred.euid_before'),
  numberRow('cred.euid_after'),
  numberRow('cred.saved_uid'),
  wordRow('socket.type', SOCKET_TYPES),
  numberRow('target.pid'),
  numberRow('target.uid'),
  numberRow('signal.number', SIGNAL_MAX),
  { names: ['first_time'], value: 'optional', apply: applyFirstTime }
]

const NAMES: ReadonlySet<string> = new Set([
  ...EVENT_KEYWORDS.flatMap(({ names }) => names),
  ...Object.values(EVENT_BUFFERS).flatMap(({ sticky }) => sticky)
])

/** True for what only rules on events may say. */
export function isEventKeyword(name: string): boolean {
  return NAMES.has(name)
}
