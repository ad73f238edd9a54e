/** `[a-z\d]`: the bracket is already read. */
import {
  addByte,
  addRange,
  addSet,
  CLASS_LETTERS,
  emptySet,
  inverted,
  POSIX_CLASSES,
  withoutCase,
  type ByteSet
} from './byte-set.ts'
import { byteEscape } from './escape.ts'
import type { Reader } from './reader.ts'

export function readClass(reader: Reader, nocase: boolean): ByteSet {
  const isNegated = reader.accept('^')
  const set = emptySet()
  // A ']' that comes first stands for itself.
  let isFirst = true
  while (isFirst || !reader.peek(']')) {
    if (reader.isAtEnd) return reader.refuse("a '[' without its ']'")
    readItem(reader, set)
    isFirst = false
  }
  reader.next()
  const folded = nocase ? withoutCase(set) : set
  return isNegated ? inverted(folded) : folded
}

function readItem(reader: Reader, set: ByteSet): void {
  const posix = reader.match(/\[:(\^?)(\w+):\]/y)
  if (posix !== undefined) {
    const named = POSIX_CLASSES[posix[2] ?? '']
    if (named === undefined) return reader.refuse(`there is no class '${posix[2] ?? ''}'`)
    addSet(set, posix[1] === '^' ? inverted(named) : named)
    return
  }
  const low = readMember(reader)
  if (typeof low !== 'number') {
    addSet(set, low)
    return
  }
  if (reader.match(/-(?!\])/y) === undefined) {
    addByte(set, low)
    return
  }
  const high = readMember(reader)
  if (typeof high !== 'number') {
    // `[a-\d]`: the hyphen stands for itself.
    addByte(set, low)
    addByte(set, 0x2d)
    addSet(set, high)
  } else if (high < low) reader.refuse('the range runs backwards')
  else addRange(set, low, high)
}

function readMember(reader: Reader): number | ByteSet {
  const letter = reader.next()
  if (letter !== '\\') return letter.charCodeAt(0)
  const known = CLASS_LETTERS[reader.peekLetter()]
  if (known !== undefined) {
    reader.next()
    return known
  }
  // Inside brackets \b is a backspace.
  if (reader.accept('b')) return 8
  return byteEscape(reader)
}
