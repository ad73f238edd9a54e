/** Sets of byte values: 256 bits, as the table holds them. */

export type ByteSet = Uint8Array

export const SET_BYTES = 32

export function emptySet(): ByteSet {
  return new Uint8Array(SET_BYTES)
}

export function addByte(set: ByteSet, byte: number): void {
  set[byte >> 3] = (set[byte >> 3] ?? 0) | (1 << (byte & 7))
}

export function hasByte(set: ByteSet, byte: number): boolean {
  return ((set[byte >> 3] ?? 0) & (1 << (byte & 7))) !== 0
}

export function addRange(set: ByteSet, low: number, high: number): void {
  for (let byte = low; byte <= high; byte++) addByte(set, byte)
}

export function addSet(set: ByteSet, other: ByteSet): void {
  for (let at = 0; at < SET_BYTES; at++) set[at] = (set[at] ?? 0) | (other[at] ?? 0)
}

export function inverted(set: ByteSet): ByteSet {
  return set.map((bits) => ~bits & 0xff)
}

export function setOf(...bytes: number[]): ByteSet {
  const set = emptySet()
  for (const byte of bytes) addByte(set, byte)
  return set
}

export function setOfRanges(...ranges: (readonly [number, number])[]): ByteSet {
  const set = emptySet()
  for (const [low, high] of ranges) addRange(set, low, high)
  return set
}

export function members(set: ByteSet): number[] {
  return Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => hasByte(set, byte))
}

/** With the other case of every ASCII letter in it. */
export function withoutCase(set: ByteSet): ByteSet {
  const both = Uint8Array.from(set)
  for (let upper = 0x41; upper <= 0x5a; upper++) {
    if (hasByte(set, upper)) addByte(both, upper + 32)
    if (hasByte(set, upper + 32)) addByte(both, upper)
  }
  return both
}

const DIGIT = setOfRanges([0x30, 0x39])
const WORD = setOfRanges([0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a])
const SPACE = setOf(0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x20)
const HORIZONTAL = setOf(0x09, 0x20, 0xa0)
const VERTICAL = setOf(0x0a, 0x0b, 0x0c, 0x0d, 0x85)
export const NEWLINE = setOf(0x0a)

/** `\d`, `\W` … by their letter. */
export const CLASS_LETTERS: Readonly<Record<string, ByteSet>> = {
  d: DIGIT,
  D: inverted(DIGIT),
  w: WORD,
  W: inverted(WORD),
  s: SPACE,
  S: inverted(SPACE),
  h: HORIZONTAL,
  H: inverted(HORIZONTAL),
  v: VERTICAL,
  V: inverted(VERTICAL),
  N: inverted(NEWLINE)
}

/** `[:alpha:]` … */
export const POSIX_CLASSES: Readonly<Record<string, ByteSet>> = {
  alnum: setOfRanges([0x30, 0x39], [0x41, 0x5a], [0x61, 0x7a]),
  alpha: setOfRanges([0x41, 0x5a], [0x61, 0x7a]),
  ascii: setOfRanges([0, 0x7f]),
  blank: setOf(0x09, 0x20),
  cntrl: setOfRanges([0, 0x1f], [0x7f, 0x7f]),
  digit: DIGIT,
  graph: setOfRanges([0x21, 0x7e]),
  lower: setOfRanges([0x61, 0x7a]),
  print: setOfRanges([0x20, 0x7e]),
  punct: setOfRanges([0x21, 0x2f], [0x3a, 0x40], [0x5b, 0x60], [0x7b, 0x7e]),
  space: SPACE,
  upper: setOfRanges([0x41, 0x5a]),
  word: WORD,
  xdigit: setOfRanges([0x30, 0x39], [0x41, 0x46], [0x61, 0x66])
}
