/**
 * The slow, obvious matcher of compiled expressions: what a program means, to compare the C machine and the compiler
 * with. A plain backtracker over the words, recursion turned into an explicit stack of choices.
 */
import { hasByte, type ByteSet } from './byte-set.ts'
import { REGEX_CODES, type RegexProgram } from './program.ts'

export interface Span {
  readonly start: number
  readonly end: number
}

export type Outcome = Span | 'none' | 'cut off'

interface Thread {
  pc: number
  at: number
  readonly captures: readonly number[]
  readonly marks: readonly number[]
}

/** Steps that one search may take. */
const STEPS_MAX = 2_000_000

export class RegexMachine {
  private readonly words: readonly number[]
  private readonly program: RegexProgram
  private readonly sets: readonly ByteSet[]
  private readonly subject: Uint8Array
  private steps = 0

  constructor(program: RegexProgram, sets: readonly ByteSet[], subject: Uint8Array) {
    this.program = program
    this.words = program.words
    this.sets = sets
    this.subject = subject
  }

  /** The leftmost match that starts at `from` or later. */
  search(from = 0): Outcome {
    const last = this.program.isAnchored ? Math.min(from, 0) : this.subject.length
    for (let start = from; start <= last; start++) {
      const captures = new Array<number>(this.program.captureCount * 2).fill(-1)
      const end = this.run({ pc: 0, at: start, captures, marks: [] })
      if (end === 'cut off') return 'cut off'
      if (end !== undefined) return { start, end: end.at }
    }
    return 'none'
  }

  /** Runs to MATCH; undefined if no way leads there. */
  private run(first: Thread): Thread | undefined | 'cut off' {
    const stack = [first]
    for (let thread = stack.pop(); thread !== undefined; thread = stack.pop()) {
      let current: Thread | undefined = { ...thread }
      while (current !== undefined) {
        this.steps += 1
        if (this.steps > STEPS_MAX) return 'cut off'
        const word: number = this.words[current.pc] ?? 0
        if ((word & 0xff) === 0) return current
        const next = this.step(current, word, stack)
        if (next === 'cut off') return next
        current = next
      }
    }
    return undefined
  }

  private step(thread: Thread, word: number, stack: Thread[]): Thread | undefined | 'cut off' {
    const argument = word >>> 8
    const { pc, at } = thread
    const byte = this.subject[at]
    const go = (isTrue: boolean, moved = 0): Thread | undefined =>
      isTrue ? { ...thread, pc: pc + 1, at: at + moved } : undefined
    const code = REGEX_CODES[word & 0xff]
    switch (code) {
      case 'BYTE':
        return go(byte !== undefined && (byte === (argument & 0xff) || byte === argument >>> 8), 1)
      case 'SET':
        return go(byte !== undefined && hasByte(this.set(argument), byte), 1)
      case 'ANY':
        return go(byte !== undefined, 1)
      case 'JUMP':
        return { ...thread, pc: argument }
      case 'SPLIT':
        stack.push({ ...thread, pc: argument })
        return { ...thread, pc: pc + 1 }
      case 'SPLIT_TARGET':
        stack.push({ ...thread, pc: pc + 1 })
        return { ...thread, pc: argument }
      case 'STAR':
      case 'STAR_LAZY':
        return this.repeat(thread, argument, 0, Infinity, code === 'STAR_LAZY', 1, stack)
      case 'REPEAT':
      case 'REPEAT_LAZY': {
        const max = this.words[pc + 2] ?? 0
        const bound = max === 0xffff_ffff ? Infinity : max
        return this.repeat(thread, argument, this.words[pc + 1] ?? 0, bound, code === 'REPEAT_LAZY', 3, stack)
      }
      case 'SAVE':
        return { ...thread, pc: pc + 1, captures: thread.captures.with(argument, at) }
      case 'MARK': {
        const marks = [...thread.marks]
        marks[argument] = at
        return { ...thread, pc: pc + 1, marks }
      }
      case 'MARK_MOVED':
        return { ...thread, pc: pc + (thread.marks[argument] === at ? 2 : 1) }
      case 'BACKREF':
      case 'BACKREF_NOCASE':
        return this.backref(thread, argument, code === 'BACKREF_NOCASE')
      case 'AHEAD':
      case 'NOT_AHEAD':
      case 'BEHIND':
      case 'NOT_BEHIND':
      case 'ATOMIC':
        return this.body(thread, code, argument)
      case 'MATCH':
      case undefined:
        break
      case 'TEXT_START':
      case 'TEXT_END':
      case 'TEXT_END_NEWLINE':
      case 'LINE_START':
      case 'LINE_END':
      case 'WORD_BOUNDARY':
      case 'NOT_WORD_BOUNDARY':
        return go(this.holds(code, at))
    }
    return undefined
  }

  private set(index: number): ByteSet {
    return this.sets[index] ?? new Uint8Array(32)
  }

  private holds(assertion: string, at: number): boolean {
    const { length } = this.subject
    const isNewline = (index: number): boolean => this.subject[index] === 0x0a
    switch (assertion) {
      case 'TEXT_START':
        return at === 0
      case 'TEXT_END':
        return at === length
      case 'TEXT_END_NEWLINE':
        return at === length || (at === length - 1 && isNewline(at))
      case 'LINE_START':
        return at === 0 || (isNewline(at - 1) && at < length)
      case 'LINE_END':
        return at === length || isNewline(at)
      case 'WORD_BOUNDARY':
        return this.isWord(at - 1) !== this.isWord(at)
      default:
        return this.isWord(at - 1) === this.isWord(at)
    }
  }

  private isWord(at: number): boolean {
    const byte = this.subject[at]
    return byte !== undefined && /\w/.test(String.fromCharCode(byte)) && byte < 0x80
  }

  private repeat(
    thread: Thread,
    setIndex: number,
    min: number,
    max: number,
    isLazy: boolean,
    width: number,
    stack: Thread[]
  ): Thread | undefined {
    const set = this.set(setIndex)
    let count = 0
    while (count < max && hasByteAt(set, this.subject, thread.at + count)) count += 1
    if (count < min) return undefined
    const ways: Thread[] = []
    for (let taken = min; taken <= count; taken++)
      ways.push({ ...thread, pc: thread.pc + width, at: thread.at + taken })
    if (isLazy) ways.reverse()
    this.steps += ways.length
    const best = ways.pop()
    stack.push(...ways)
    return best
  }

  private backref(thread: Thread, group: number, nocase: boolean): Thread | undefined {
    const start = thread.captures[group * 2] ?? -1
    const end = thread.captures[group * 2 + 1] ?? -1
    if (start < 0 || end < start) return undefined
    const fold = (byte: number | undefined): number | undefined =>
      nocase && byte !== undefined && byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte
    for (let at = start; at < end; at++) {
      const other = this.subject[thread.at + at - start]
      if (other === undefined || fold(other) !== fold(this.subject[at])) return undefined
    }
    return { ...thread, pc: thread.pc + 1, at: thread.at + end - start }
  }

  private body(thread: Thread, code: string, target: number): Thread | undefined | 'cut off' {
    const isBehind = code.endsWith('BEHIND')
    const width = isBehind ? (this.words[thread.pc + 1] ?? 0) : 0
    const start = thread.at - width
    const found =
      start < 0 ? undefined : this.run({ ...thread, pc: thread.pc + (isBehind ? 2 : 1), at: start })
    if (found === 'cut off') return 'cut off'
    if (code.startsWith('NOT_')) return found === undefined ? { ...thread, pc: target } : undefined
    if (found === undefined) return undefined
    const at = code === 'ATOMIC' ? found.at : thread.at
    return { ...thread, pc: target, at, captures: found.captures }
  }
}

function hasByteAt(set: ByteSet, subject: Uint8Array, at: number): boolean {
  const byte = subject[at]
  return byte !== undefined && hasByte(set, byte)
}
