/**
 * Regular expressions as rules write them (PCRE), to a tree.
 *
 * Bytes, not characters: there is no Unicode here, as in Snort and Suricata. One pass, no backtracking; depth and
 * size are bounded. What PCRE knows but no matcher with a bound can do (recursion, conditions, callouts) is refused.
 */
import { refuse, type Piece } from '../refusal.ts'
import { CLASS_LETTERS, inverted, NEWLINE, setOf, withoutCase, emptySet, type ByteSet } from './byte-set.ts'
import { readClass } from './character-class.ts'
import { byteEscape } from './escape.ts'
import { Reader } from './reader.ts'
import type { Assertion, Regex, RegexNode } from './tree.ts'

const SOURCE_BYTES_MAX = 8192
const DEPTH_MAX = 64
const GROUPS_MAX = 99
const REPEAT_MAX = 65_535

interface Flags {
  readonly i: boolean
  readonly m: boolean
  readonly s: boolean
  readonly x: boolean
}

/**
 * @param flags - letters of `imsxAEG`
 * @throws RuleRefused with the place in the expression
 */
export function parseRegex(source: Piece, flags: string): Regex {
  if (source.text.length > SOURCE_BYTES_MAX)
    refuse('limit', `an expression is at most ${SOURCE_BYTES_MAX} bytes`, source)
  return new Parser(source, flags).parse()
}

class Parser {
  private readonly reader: Reader
  private readonly isUngreedy: boolean
  private readonly isEndOnly: boolean
  private readonly isAnchored: boolean
  private flags: Flags
  private depth = 0
  private groups = 0
  private readonly names = new Map<string, number>()
  private readonly references: { index: number; place: Piece }[] = []

  constructor(source: Piece, flags: string) {
    this.reader = new Reader(source)
    this.flags = {
      i: flags.includes('i'),
      m: flags.includes('m'),
      s: flags.includes('s'),
      x: flags.includes('x')
    }
    this.isUngreedy = flags.includes('G')
    this.isEndOnly = flags.includes('E')
    this.isAnchored = flags.includes('A')
  }

  parse(): Regex {
    const root = this.readChoice()
    if (!this.reader.isAtEnd) this.reader.refuse("a ')' without its '('")
    for (const { index, place } of this.references)
      if (index > this.groups) refuse('regex', `there is no group ${index}`, place)
    const items: RegexNode[] = this.isAnchored ? [{ kind: 'assert', what: 'text_start' }, root] : [root]
    return { root: items.length === 1 ? root : { kind: 'sequence', items }, groupCount: this.groups }
  }

  private readChoice(): RegexNode {
    this.depth += 1
    if (this.depth > DEPTH_MAX) this.reader.refuse(`groups are nested more than ${DEPTH_MAX} deep`)
    const before = this.flags
    const items = [this.readSequence()]
    while (this.reader.accept('|')) items.push(this.readSequence())
    this.flags = before
    this.depth -= 1
    const [only] = items
    return items.length === 1 && only !== undefined ? only : { kind: 'choice', items }
  }

  private readSequence(): RegexNode {
    const items: RegexNode[] = []
    for (;;) {
      if (this.flags.x) this.skipBlanks()
      if (this.reader.isAtEnd || this.reader.peek('|') || this.reader.peek(')')) break
      const item = this.readAtom()
      if (item !== undefined) items.push(this.readRepeats(item))
    }
    const [only] = items
    return items.length === 1 && only !== undefined ? only : { kind: 'sequence', items }
  }

  private skipBlanks(): void {
    for (;;) {
      if (this.reader.acceptBlank()) continue
      if (!this.reader.peek('#')) return
      this.reader.skipPast('\n')
    }
  }

  /** Undefined: something that stands for nothing (a comment, flags). */
  private readAtom(): RegexNode | undefined {
    const letter = this.reader.next()
    switch (letter) {
      case '(':
        return this.readGroup()
      case '[':
        return this.set(readClass(this.reader, this.flags.i))
      case '.':
        return this.set(this.flags.s ? inverted(emptySet()) : inverted(NEWLINE))
      case '^':
        return assertion(this.flags.m ? 'line_start' : 'text_start')
      case '$':
        return assertion(this.flags.m ? 'line_end' : this.isEndOnly ? 'text_end' : 'text_end_newline')
      case '\\':
        return this.readEscape()
      case '*':
      case '+':
      case '?':
        return this.reader.refuse(`nothing that '${letter}' could repeat`, 1)
      default:
        return this.literal(letter.charCodeAt(0))
    }
  }

  private set(set: ByteSet): RegexNode {
    return { kind: 'set', set }
  }

  private literal(byte: number): RegexNode {
    return this.set(this.flags.i ? withoutCase(setOf(byte)) : setOf(byte))
  }

  private readRepeats(item: RegexNode): RegexNode {
    if (this.flags.x) this.skipBlanks()
    const counts = this.readCounts()
    if (counts === undefined) return item
    if (item.kind === 'assert') {
      // Once or never: a repetition of something without width.
      if (this.reader.accept('?') || this.reader.accept('+')) return this.readRepeats(item)
      return counts.min === 0 ? { kind: 'sequence', items: [] } : item
    }
    const isLazy = this.reader.accept('?')
    const isPossessive = !isLazy && this.reader.accept('+')
    const mode = isPossessive ? 'possessive' : isLazy !== this.isUngreedy ? 'lazy' : 'greedy'
    if (this.readCounts() !== undefined) this.reader.refuse('a repetition of a repetition')
    return { kind: 'repeat', item, ...counts, mode }
  }

  private readCounts(): { min: number; max: number } | undefined {
    if (this.reader.accept('*')) return { min: 0, max: Infinity }
    if (this.reader.accept('+')) return { min: 1, max: Infinity }
    if (this.reader.accept('?')) return { min: 0, max: 1 }
    const found = this.reader.match(/\{(\d{1,6})(,?)(\d{0,6})\}/y)
    if (found === undefined) return undefined
    const [, first = '', comma = '', last = ''] = found
    const min = Number(first + (comma === '' ? last : ''))
    const max = comma === '' ? min : last === '' ? Infinity : Number(last)
    if (min > REPEAT_MAX || (max !== Infinity && max > REPEAT_MAX))
      this.reader.refuse(`a repetition is at most ${REPEAT_MAX}`)
    if (max < min) this.reader.refuse('the repetition runs backwards')
    return { min, max }
  }

  private readGroup(): RegexNode | undefined {
    const { reader } = this
    if (!reader.accept('?')) return this.closeCapture(this.openCapture())
    if (reader.accept(':')) return this.close(this.readChoice())
    if (reader.accept('>')) return { kind: 'atomic', item: this.close(this.readChoice()) }
    if (reader.accept('#')) {
      reader.skipPast(')')
      return undefined
    }
    const look = reader.match(/(<?)([=!])/y)
    if (look !== undefined) return this.readLook(look[1] === '', look[2] === '!')
    const name = reader.match(/(?:P?<(\w{1,32})>|'(\w{1,32})')/y)
    if (name !== undefined) return this.closeCapture(this.openCapture(name[1] ?? name[2]))
    const back = reader.match(/P=(\w{1,32})\)/y)
    if (back !== undefined) return this.namedReference(back[1] ?? '')
    const flags = reader.match(/([imsx]*)(?:-([imsx]*))?([:)])/y)
    if (flags !== undefined) return this.readFlags(flags[1] ?? '', flags[2] ?? '', flags[3] === ':')
    return reader.refuse('a kind of group that has no bounded matcher', 0, 'unsupported')
  }

  private readLook(isAhead: boolean, negated: boolean): RegexNode {
    return { kind: 'look', isAhead, negated, item: this.close(this.readChoice()) }
  }

  private readFlags(on: string, off: string, isGroup: boolean): RegexNode | undefined {
    const before = this.flags
    const pick = (letter: keyof Flags): boolean =>
      on.includes(letter) || (before[letter] && !off.includes(letter))
    this.flags = { i: pick('i'), m: pick('m'), s: pick('s'), x: pick('x') }
    if (!isGroup) return undefined
    const item = this.close(this.readChoice())
    this.flags = before
    return item
  }

  private openCapture(name?: string): number {
    this.groups += 1
    if (this.groups > GROUPS_MAX) this.reader.refuse(`more than ${GROUPS_MAX} groups`)
    if (name !== undefined) this.names.set(name, this.groups)
    return this.groups
  }

  private closeCapture(index: number): RegexNode {
    return { kind: 'group', index, item: this.close(this.readChoice()) }
  }

  private close(item: RegexNode): RegexNode {
    if (!this.reader.accept(')')) this.reader.refuse("a '(' without its ')'")
    return item
  }

  private reference(index: number): RegexNode {
    this.references.push({ index, place: this.reader.place })
    return { kind: 'backref', index, nocase: this.flags.i }
  }

  private namedReference(name: string): RegexNode {
    const index = this.names.get(name)
    return index === undefined ? this.reader.refuse(`there is no group '${name}'`) : this.reference(index)
  }

  private readEscape(): RegexNode {
    const { reader } = this
    const number = reader.match(/g\{?(-?\d{1,2})\}?/y)
    if (number !== undefined) {
      const value = Number(number[1])
      return this.reference(value < 0 ? this.groups + 1 + value : value)
    }
    const name = reader.match(/(?:k<(\w+)>|k'(\w+)'|[kg]\{(\w+)\})/y)
    if (name !== undefined) return this.namedReference(name[1] ?? name[2] ?? name[3] ?? '')
    // One digit, or as many groups as that: otherwise it is an octal byte.
    const digits = reader.match(
      /[1-9]\d?/y,
      (found) => found[0].length === 1 || Number(found[0]) <= this.groups
    )
    if (digits !== undefined) return this.reference(Number(digits[0]))
    const quoted = reader.match(/Q([\s\S]*?)(?:\\E|$)/y)
    if (quoted !== undefined)
      return {
        kind: 'sequence',
        items: Array.from(quoted[1] ?? '', (letter) => this.literal(letter.charCodeAt(0)))
      }
    return this.readSimpleEscape()
  }

  private readSimpleEscape(): RegexNode {
    const { reader } = this
    const letter = reader.peekLetter()
    const what = ASSERTIONS[letter]
    const set = CLASS_LETTERS[letter]
    if (what !== undefined || set !== undefined || letter === 'R' || letter === 'E') reader.next()
    if (what !== undefined) return assertion(what)
    if (set !== undefined) return this.set(set)
    if (letter === 'R') return ANY_LINE_END
    if (letter === 'E') return { kind: 'sequence', items: [] }
    return this.literal(byteEscape(reader))
  }
}

const ASSERTIONS: Readonly<Record<string, Assertion>> = {
  A: 'text_start',
  G: 'text_start',
  z: 'text_end',
  Z: 'text_end_newline',
  b: 'word_boundary',
  B: 'not_word_boundary'
}

const ANY_LINE_END: RegexNode = {
  kind: 'choice',
  items: [
    {
      kind: 'sequence',
      items: [
        { kind: 'set', set: setOf(0x0d) },
        { kind: 'set', set: setOf(0x0a) }
      ]
    },
    { kind: 'set', set: CLASS_LETTERS['v'] ?? emptySet() }
  ]
}

function assertion(what: Assertion): RegexNode {
  return { kind: 'assert', what }
}
