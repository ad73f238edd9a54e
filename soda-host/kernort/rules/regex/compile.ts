/**
 * Trees to programs.
 *
 * An expression without back-references, lookaround and atomic groups becomes a *linear* program: repetitions are
 * written out, and a Thompson/Pike machine can run it in time proportional to text times program. All others, and
 * those whose repetitions would not fit, keep counted repetitions of sets and run on a backtracker with a step
 * limit. Both kinds have Perl's priorities.
 */
import { refuse, type Piece } from '../refusal.ts'
import { addSet, emptySet, members, type ByteSet } from './byte-set.ts'
import {
  REGEX_CAPTURES_MAX,
  REGEX_CODE,
  REGEX_DEPTH_MAX,
  REGEX_LINEAR_WORDS_MAX,
  REGEX_MARKS_MAX,
  REGEX_WORDS_MAX,
  REPEAT_UNBOUNDED,
  type RegexCode,
  type RegexProgram,
  type SetIndex
} from './program.ts'
import { widths, type Regex, type RegexNode } from './tree.ts'

type Repeat = Extract<RegexNode, { kind: 'repeat' }>
type Look = Extract<RegexNode, { kind: 'look' }>

/**
 * @throws RuleRefused when the program would be too large
 */
export function compileRegex(regex: Regex, setIndex: SetIndex, place: Piece): RegexProgram {
  const isLinear = !hasBacktracking(regex.root)
  const program = isLinear
    ? new Compiler(regex, setIndex, place, REGEX_LINEAR_WORDS_MAX, true).compile()
    : undefined
  const words = program ?? new Compiler(regex, setIndex, place, REGEX_WORDS_MAX, false).compile()
  if (words === undefined)
    return refuse('limit', `the expression needs more than ${REGEX_WORDS_MAX} words`, place)
  return {
    ...words,
    isLinear: program !== undefined,
    isAnchored: isAnchored(regex.root),
    first: widths(regex.root).min === 0 ? undefined : firstSet(regex.root)
  }
}

function hasBacktracking(node: RegexNode): boolean {
  switch (node.kind) {
    case 'backref':
    case 'look':
    case 'atomic':
      return true
    case 'sequence':
    case 'choice':
      return node.items.some(hasBacktracking)
    case 'repeat':
      return node.mode === 'possessive' || hasBacktracking(node.item)
    case 'group':
      return hasBacktracking(node.item)
    case 'set':
    case 'assert':
      return false
  }
}

/** True if it can match at the start of the text only. */
function isAnchored(node: RegexNode): boolean {
  switch (node.kind) {
    case 'assert':
      return node.what === 'text_start'
    case 'sequence':
      return node.items[0] !== undefined && isAnchored(node.items[0])
    case 'choice':
      return node.items.every(isAnchored)
    case 'group':
    case 'atomic':
      return isAnchored(node.item)
    case 'repeat':
    case 'set':
    case 'backref':
    case 'look':
      return false
  }
}

/** Bytes that a match may begin with. Of a node that may be empty: bytes of it or of what follows are both seen. */
function firstSet(node: RegexNode): ByteSet {
  switch (node.kind) {
    case 'set':
      return node.set
    case 'choice':
      return union(node.items.map(firstSet))
    case 'sequence': {
      const empty = node.items.findIndex((item) => widths(item).min > 0)
      return union(node.items.slice(0, empty === -1 ? undefined : empty + 1).map(firstSet))
    }
    case 'repeat':
    case 'group':
    case 'atomic':
      return firstSet(node.item)
    case 'backref':
      return emptySet().fill(0xff)
    case 'assert':
    case 'look':
      return emptySet()
  }
}

function union(sets: readonly ByteSet[]): ByteSet {
  const all = emptySet()
  for (const set of sets) addSet(all, set)
  return all
}

class TooLarge extends Error {}

class Compiler {
  private readonly words: number[] = []
  private readonly referred = new Map<number, number>()
  private readonly setWords = new Map<ByteSet, number>()
  private depth = 0
  private marks = 0
  private readonly regex: Regex
  private readonly setIndex: SetIndex
  private readonly place: Piece
  private readonly limit: number
  private readonly isLinear: boolean

  constructor(regex: Regex, setIndex: SetIndex, place: Piece, limit: number, isLinear: boolean) {
    this.regex = regex
    this.setIndex = setIndex
    this.place = place
    this.limit = limit
    this.isLinear = isLinear
  }

  /** Undefined: too large. */
  compile(): { words: number[]; captureCount: number; markCount: number } | undefined {
    this.numberGroups(this.regex.root)
    try {
      this.emitNode(this.regex.root)
      this.emit('MATCH')
    } catch (error) {
      if (error instanceof TooLarge) return undefined
      throw error
    }
    return { words: this.words, captureCount: this.referred.size + 1, markCount: this.marks }
  }

  /** Only groups that something refers to are kept. */
  private numberGroups(node: RegexNode): void {
    if (node.kind === 'backref' && !this.referred.has(node.index)) {
      this.referred.set(node.index, this.referred.size + 1)
      if (this.referred.size >= REGEX_CAPTURES_MAX)
        refuse('limit', `the expression refers to more than ${REGEX_CAPTURES_MAX - 1} groups`, this.place)
    }
    if (node.kind === 'sequence' || node.kind === 'choice')
      for (const item of node.items) this.numberGroups(item)
    else if ('item' in node) this.numberGroups(node.item)
  }

  private emit(code: RegexCode, argument = 0): number {
    this.word(REGEX_CODE[code] | (argument << 8))
    return this.words.length - 1
  }

  private word(value: number): void {
    if (this.words.length >= this.limit) throw new TooLarge()
    this.words.push(value >>> 0)
  }

  /** Lets the word at `index` go to the place reached now. */
  private target(index: number): void {
    this.words[index] = ((this.words[index] ?? 0) & 0xff) | (this.words.length << 8)
  }

  private emitNode(node: RegexNode): void {
    switch (node.kind) {
      case 'set':
        this.emitSet(node.set)
        break
      case 'sequence':
        for (const item of node.items) this.emitNode(item)
        break
      case 'choice':
        this.emitChoice(node.items)
        break
      case 'repeat':
        if (node.mode !== 'possessive') this.emitRepeat(node)
        else this.emitBody('ATOMIC', () => this.emitRepeat({ ...node, mode: 'greedy' }))
        break
      case 'group':
        this.emitGroup(node.index, node.item)
        break
      case 'assert':
        this.emit(node.what.toUpperCase() as RegexCode)
        break
      case 'backref':
        this.emit(node.nocase ? 'BACKREF_NOCASE' : 'BACKREF', this.referred.get(node.index) ?? 0)
        break
      case 'look':
        this.emitLook(node)
        break
      case 'atomic':
        this.emitBody('ATOMIC', () => this.emitNode(node.item))
    }
  }

  /** Written out repetitions bring the same set many times. */
  private emitSet(set: ByteSet): void {
    const known = this.setWords.get(set)
    if (known !== undefined) {
      this.word(known)
      return
    }
    this.emitNewSet(set)
    this.setWords.set(set, this.words.at(-1) ?? 0)
  }

  private emitNewSet(set: ByteSet): void {
    const bytes = members(set)
    const [first = 0, second = first] = bytes
    if (bytes.length === 256) this.emit('ANY')
    else if (bytes.length === 1 || bytes.length === 2) this.emit('BYTE', first | (second << 8))
    else this.emit('SET', this.setIndex(set))
  }

  private emitChoice(items: readonly RegexNode[]): void {
    const ends: number[] = []
    for (const [index, item] of items.entries()) {
      if (index === items.length - 1) this.emitNode(item)
      else {
        const split = this.emit('SPLIT')
        this.emitNode(item)
        ends.push(this.emit('JUMP'))
        this.target(split)
      }
    }
    for (const end of ends) this.target(end)
  }

  private emitGroup(index: number, item: RegexNode): void {
    const slot = this.referred.get(index)
    if (slot === undefined) {
      this.emitNode(item)
      return
    }
    this.emit('SAVE', slot * 2)
    this.emitNode(item)
    this.emit('SAVE', slot * 2 + 1)
  }

  private emitRepeat(node: Repeat): void {
    if (node.item.kind === 'set' && !this.isLinear) {
      this.emitCountedSet(node, node.item.set)
      return
    }
    for (let count = 0; count < node.min; count++) this.emitNode(node.item)
    if (node.max === Infinity) this.emitLoop(node)
    else this.emitOptional(node, node.max - node.min)
  }

  private emitCountedSet(node: Repeat, set: ByteSet): void {
    if (node.min === 0 && node.max === Infinity) {
      this.emit(node.mode === 'lazy' ? 'STAR_LAZY' : 'STAR', this.setIndex(set))
      return
    }
    this.emit(node.mode === 'lazy' ? 'REPEAT_LAZY' : 'REPEAT', this.setIndex(set))
    this.word(node.min)
    this.word(node.max === Infinity ? REPEAT_UNBOUNDED : node.max)
  }

  /** `item*` */
  private emitLoop(node: Repeat): void {
    if (node.item.kind === 'set') {
      this.emit(node.mode === 'lazy' ? 'STAR_LAZY' : 'STAR', this.setIndex(node.item.set))
      return
    }
    const loop = this.emit(node.mode === 'lazy' ? 'SPLIT_TARGET' : 'SPLIT')
    const mark = widths(node.item).min === 0 ? this.newMark() : undefined
    if (mark !== undefined) this.emit('MARK', mark)
    this.emitNode(node.item)
    if (mark !== undefined) this.emit('MARK_MOVED', mark)
    this.emit('JUMP', loop)
    this.target(loop)
  }

  private newMark(): number {
    if (this.marks >= REGEX_MARKS_MAX)
      refuse('limit', `more than ${REGEX_MARKS_MAX} repetitions of what may be empty`, this.place)
    return this.marks++
  }

  /** `(item(item(item)?)?)?` */
  private emitOptional(node: Repeat, count: number): void {
    const splits: number[] = []
    for (let index = 0; index < count; index++) {
      splits.push(this.emit(node.mode === 'lazy' ? 'SPLIT_TARGET' : 'SPLIT'))
      this.emitNode(node.item)
    }
    for (const split of splits) this.target(split)
  }

  private emitBody(code: RegexCode, body: () => void, width?: number): void {
    this.depth += 1
    if (this.depth > REGEX_DEPTH_MAX)
      refuse('limit', `lookarounds are nested more than ${REGEX_DEPTH_MAX} deep`, this.place)
    const head = this.emit(code)
    if (width !== undefined) this.word(width)
    body()
    this.emit('MATCH')
    this.target(head)
    this.depth -= 1
  }

  private emitLook({ isAhead, negated, item }: Look): void {
    const body = (): void => this.emitNode(item)
    if (isAhead) {
      this.emitBody(negated ? 'NOT_AHEAD' : 'AHEAD', body)
      return
    }
    if (item.kind === 'choice') {
      this.emitBehindChoice(item.items, negated)
      return
    }
    const { min, max } = widths(item)
    if (min !== max) refuse('regex', 'what is looked for behind has no fixed length', this.place)
    this.emitBody(negated ? 'NOT_BEHIND' : 'BEHIND', body, min)
  }

  /** Each alternative may have its own length. */
  private emitBehindChoice(items: readonly RegexNode[], negated: boolean): void {
    const looks = items.map((item): RegexNode => ({ kind: 'look', isAhead: false, negated, item }))
    this.emitNode(negated ? { kind: 'sequence', items: looks } : { kind: 'choice', items: looks })
  }
}
