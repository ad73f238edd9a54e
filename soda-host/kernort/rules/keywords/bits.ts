/** `flowbits`, `xbits`, `flowint`: what rules remember for each other. */
import type { Compare, Track } from '../ast.ts'
import type { RuleDraft } from '../draft.ts'
import { refuse, splitPieces, type Piece } from '../refusal.ts'
import { firstWord, readChoice, readInteger } from '../values.ts'
import type { KeywordRow } from './row.ts'

const UINT32_MAX = 0xffff_ffff
/** Suricata's. */
const XBITS_EXPIRE_SECONDS = 30

function readName(piece: Piece | undefined, whole: Piece): string {
  if (piece === undefined || !/^[\w.~:/+@-]{1,128}$/.test(piece.text))
    return refuse('value', `'${piece?.text ?? ''}' is no name`, piece ?? whole)
  return piece.text
}

const CHANGES = { set: 'set', unset: 'unset', toggle: 'toggle' } as const
const TESTS: Readonly<Record<string, boolean>> = { isset: true, isnotset: false }

function applyFlowbits(draft: RuleDraft, value: Piece): void {
  const [action = value, list, extra] = splitPieces(value, ',')
  // A group (Snort's third word) is only a name for several bits.
  if (extra !== undefined) refuse('unsupported', 'flowbits groups', extra)
  if (action.text === 'noalert') {
    if (list !== undefined) refuse('value', "'noalert' takes no name", list)
    draft.isNoAlert = true
    return
  }
  if (list === undefined) return refuse('value', `'${action.text}' needs a name`, action)
  const names = list.text.includes('&') ? [splitPieces(list, '&')].flat() : [...splitPieces(list, '|')]
  const words = names.map((piece) => readName(piece, list))
  const isSet = Object.hasOwn(TESTS, action.text) ? TESTS[action.text] : undefined
  if (isSet === undefined) {
    draft.effects.push({ kind: 'flowbits', change: readChoice(action, { ...CHANGES }), names: words })
  } else if (list.text.includes('&')) {
    for (const name of words) draft.packet.push({ kind: 'flowbits', isSet, names: [name] })
  } else draft.packet.push({ kind: 'flowbits', isSet, names: words })
}

const XBITS_TRACKS: Readonly<Record<string, Track>> = {
  ip_src: 'by_src',
  ip_dst: 'by_dst',
  ip_pair: 'by_both'
}

function applyXbits(draft: RuleDraft, value: Piece): void {
  const [action = value, nameText, ...rest] = splitPieces(value, ',')
  const name = readName(nameText, value)
  let track: Track | undefined
  let expireSeconds = XBITS_EXPIRE_SECONDS
  for (const piece of rest) {
    const { word, rest: text } = firstWord(piece)
    if (word.text === 'track') track = readChoice(text, XBITS_TRACKS)
    else if (word.text === 'expire') expireSeconds = readInteger(text, 1, UINT32_MAX)
    else refuse('value', `'${piece.text}' is not understood here`, piece)
  }
  if (track === undefined) return refuse('value', "'track' is missing", value)
  const isSet = Object.hasOwn(TESTS, action.text) ? TESTS[action.text] : undefined
  if (isSet !== undefined) draft.packet.push({ kind: 'xbits', isSet, name, track })
  else draft.effects.push({ kind: 'xbits', change: readChoice(action, CHANGES), name, track, expireSeconds })
}

const FLOWINT_TESTS: Readonly<Record<string, Compare>> = {
  '==': '=',
  '=': '=',
  '!=': '!=',
  '<': '<',
  '<=': '<=',
  '>': '>',
  '>=': '>='
}

function applyFlowint(draft: RuleDraft, value: Piece): void {
  const [nameText, action = value, operand, extra] = splitPieces(value, ',')
  const name = readName(nameText, value)
  if (extra !== undefined) refuse('value', `'${extra.text}' is left over`, extra)
  if (action.text === 'isset' || action.text === 'isnotset' || action.text === 'notset') {
    const compare = action.text === 'isset' ? 'isset' : 'isnotset'
    draft.packet.push({ kind: 'flowint', name, compare, value: 0 })
    return
  }
  if (operand === undefined) return refuse('value', `'${action.text}' needs a number`, action)
  const number = readInteger(operand, 0, UINT32_MAX)
  if (action.text === '+' || action.text === '-' || action.text === '=')
    draft.effects.push({ kind: 'flowint', name, change: action.text, value: number })
  else draft.packet.push({ kind: 'flowint', name, compare: readChoice(action, FLOWINT_TESTS), value: number })
}

export const BIT_KEYWORDS: readonly KeywordRow[] = [
  { names: ['flowbits'], value: 'required', apply: applyFlowbits },
  { names: ['xbits'], value: 'required', apply: applyXbits },
  { names: ['flowint'], value: 'required', apply: applyFlowint }
]
