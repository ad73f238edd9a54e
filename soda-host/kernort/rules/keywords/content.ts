/** `content` and what may be said of it. */
import type { Content, Operand } from '../ast.ts'
import type { ContentSaid, RuleDraft } from '../draft.ts'
import { CONTENT_BYTES_MAX } from '../limits.ts'
import { refuse, splitPieces, type Piece } from '../refusal.ts'
import { readInteger, readNegation, readOperand } from '../values.ts'
import { readPattern } from './pattern.ts'
import type { BareRow, KeywordRow, ValueRow } from './row.ts'

/** Suricata's and Snort's: a position is 16 bits. */
const POSITION_MAX = 65_535

function addContent(draft: RuleDraft, value: Piece, named?: 'http_uri'): void {
  const { negated, rest } = readNegation(value)
  const pattern = readPattern(rest)
  if (pattern.length > CONTENT_BYTES_MAX)
    refuse('limit', `a content is at most ${CONTENT_BYTES_MAX} bytes`, value)
  const content: Content = {
    kind: 'content',
    pattern,
    negated,
    nocase: false,
    relative: false,
    offset: 0,
    depth: undefined,
    endsWith: false,
    fast: false
  }
  draft.addContent(content, value, named)
}

function say(draft: RuleDraft, word: string, name: Piece, excluded: readonly string[] = []): ContentSaid {
  const said = draft.lastContent(name)
  if (said.words.has(word)) refuse('combination', `'${word}' twice for one content`, name)
  const other = excluded.find((candidate) => said.words.has(candidate))
  if (other !== undefined)
    refuse('combination', `'${word}' and '${other}' exclude each other for one content`, name)
  said.words.add(word)
  return said
}

const ABSOLUTE = ['offset', 'depth', 'startswith']
const RELATIVE = ['distance', 'within', 'startswith']

function position(word: 'offset' | 'depth' | 'distance' | 'within'): ValueRow {
  const isRelative = word === 'distance' || word === 'within'
  const isLength = word === 'depth' || word === 'within'
  return {
    names: [word],
    value: 'required',
    apply: (draft, value, name) => {
      const { content } = say(draft, word, name, isRelative ? ABSOLUTE : RELATIVE)
      const operand = readOperand(value, word === 'distance' ? -POSITION_MAX : 0, POSITION_MAX)
      draft.checkOperand(operand, value)
      if (isLength) setDepth(content, operand, value, word)
      else content.offset = operand
      if (isRelative) content.relative = true
    }
  }
}

function setDepth(content: Content, operand: Operand, value: Piece, word: string): void {
  if (typeof operand === 'number' && operand < content.pattern.length)
    refuse(
      'combination',
      `${word} ${operand} is less than the content's ${content.pattern.length} bytes`,
      value
    )
  content.depth = operand
}

const STARTS_WITH: BareRow = {
  names: ['startswith'],
  value: 'none',
  apply: (draft, name) => {
    const { content } = say(draft, 'startswith', name, ['offset', 'depth', 'distance', 'within'])
    content.depth = content.pattern.length
  }
}

const FAST_PATTERN: KeywordRow = {
  names: ['fast_pattern'],
  value: 'optional',
  apply: (draft, value, name) => {
    const { content, words } = say(draft, 'fast_pattern', name)
    if (draft.contents.some((other) => other.content !== content && other.content.fast))
      refuse('combination', "'fast_pattern' twice in one rule", name)
    content.fast = true
    if (value === undefined) return
    if (value.text === 'only') words.add('fast_pattern:only')
    else checkChop(content, value)
  }
}

function checkChop(content: Content, value: Piece): void {
  const [offset, length, extra] = splitPieces(value, ',')
  if (offset === undefined || length === undefined || extra !== undefined)
    return refuse('value', "'fast_pattern' takes nothing, 'only', or 'offset,length'", value)
  const from = readInteger(offset, 0, POSITION_MAX)
  if (from + readInteger(length, 1, POSITION_MAX) > content.pattern.length)
    refuse('value', 'the fast pattern ends behind its content', value)
}

export const CONTENT_KEYWORDS: readonly KeywordRow[] = [
  {
    names: ['content'],
    value: 'required',
    apply: (draft, value) => {
      addContent(draft, value)
    }
  },
  {
    names: ['uricontent'],
    value: 'required',
    apply: (draft, value) => {
      addContent(draft, value, 'http_uri')
    }
  },
  {
    names: ['nocase'],
    value: 'none',
    apply: (draft, name) => {
      say(draft, 'nocase', name).content.nocase = true
    }
  },
  // Telnet negotiation is not taken out of the payload here: it is raw anyway.
  {
    names: ['rawbytes'],
    value: 'none',
    apply: (draft, name) => {
      say(draft, 'rawbytes', name, ['buffer'])
    }
  },
  position('offset'),
  position('depth'),
  position('distance'),
  position('within'),
  STARTS_WITH,
  {
    names: ['endswith'],
    value: 'none',
    apply: (draft, name) => {
      say(draft, 'endswith', name).content.endsWith = true
    }
  },
  FAST_PATTERN
]

/** What can be judged only when the whole rule has been read. */
export function checkContents(draft: RuleDraft): void {
  for (const { content, words, place } of draft.contents) {
    const isPositioned = ['offset', 'depth', 'distance', 'within', 'startswith'].some((word) =>
      words.has(word)
    )
    if (content.fast && content.negated && (isPositioned || words.has('fast_pattern:only')))
      refuse('combination', 'a negated content with a position cannot be the fast pattern', place)
    if (words.has('fast_pattern:only') && isPositioned)
      refuse('combination', "'fast_pattern:only' excludes a position", place)
  }
}
