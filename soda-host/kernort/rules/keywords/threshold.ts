/** `threshold`, `detection_filter`, `tag`: how often a match is told, and what is kept with it. */
import type { Effect, Threshold, Track } from '../ast.ts'
import type { RuleDraft } from '../draft.ts'
import { refuse, splitPieces, type Piece } from '../refusal.ts'
import { firstWord, readChoice, readInteger } from '../values.ts'
import type { KeywordRow } from './row.ts'

const UINT32_MAX = 0xffff_ffff

export const TRACKS: Readonly<Record<string, Track>> = {
  by_src: 'by_src',
  by_dst: 'by_dst',
  by_rule: 'by_rule',
  by_both: 'by_both',
  by_flow: 'by_flow'
}
export const THRESHOLD_TYPES: Readonly<Record<string, Threshold['type']>> = {
  limit: 'limit',
  threshold: 'threshold',
  both: 'both'
}

/** `type limit, track by_src, count 1, seconds 60`: each word once, all of `wanted`. */
export function readPairs(value: Piece, wanted: readonly string[]): (word: string) => Piece {
  const pairs = new Map<string, Piece>()
  for (const piece of splitPieces(value, ',')) {
    const { word, rest } = firstWord(piece)
    if (!wanted.includes(word.text)) refuse('value', `'${word.text}' is not understood here`, word)
    if (pairs.has(word.text)) refuse('combination', `'${word.text}' twice`, word)
    pairs.set(word.text, rest)
  }
  return (word) => pairs.get(word) ?? refuse('value', `'${word}' is missing`, value)
}

export function readRate(get: (word: string) => Piece): { track: Track; count: number; seconds: number } {
  return {
    track: readChoice(get('track'), TRACKS),
    count: readInteger(get('count'), 1, UINT32_MAX),
    seconds: readInteger(get('seconds'), 1, UINT32_MAX)
  }
}

function applyThreshold(draft: RuleDraft, value: Piece, name: Piece): void {
  if (draft.threshold !== undefined) refuse('combination', "'threshold' twice", name)
  if (draft.detectionFilter !== undefined)
    refuse('combination', "'threshold' and 'detection_filter' exclude each other", name)
  const get = readPairs(value, ['type', 'track', 'count', 'seconds'])
  draft.threshold = { type: readChoice(get('type'), THRESHOLD_TYPES), ...readRate(get) }
}

function applyFilter(draft: RuleDraft, value: Piece, name: Piece): void {
  if (draft.detectionFilter !== undefined) refuse('combination', "'detection_filter' twice", name)
  if (draft.threshold !== undefined)
    refuse('combination', "'detection_filter' and 'threshold' exclude each other", name)
  draft.detectionFilter = readRate(readPairs(value, ['track', 'count', 'seconds']))
}

const METRICS = { packets: 'packets', seconds: 'seconds', bytes: 'bytes' } as const
/** Suricata's when only `session` is said. */
const TAG_PACKETS = 256

function applyTag(draft: RuleDraft, value: Piece): void {
  const [what = value, count, metric, side, extra] = splitPieces(value, ',')
  if (extra !== undefined) refuse('value', `'${extra.text}' is left over`, extra)
  const tag: Extract<Effect, { kind: 'tag' }> = {
    kind: 'tag',
    what: readChoice(what, { session: 'session', host: 'host' } as const),
    count: count === undefined ? TAG_PACKETS : readInteger(count, 1, UINT32_MAX),
    metric: metric === undefined ? 'packets' : readChoice(metric, METRICS),
    side: side === undefined ? 'src' : readChoice(side, { src: 'src', dst: 'dst' } as const)
  }
  if (tag.what === 'session' && side !== undefined)
    refuse('combination', "'session' takes no 'src' or 'dst'", side)
  draft.effects.push(tag)
}

export const THRESHOLD_KEYWORDS: readonly KeywordRow[] = [
  { names: ['threshold'], value: 'required', apply: applyThreshold },
  { names: ['detection_filter'], value: 'required', apply: applyFilter },
  { names: ['tag'], value: 'required', apply: applyTag }
]
