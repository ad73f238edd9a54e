/** Escapes that stand for one byte; the backslash is already read. */
import type { Reader } from './reader.ts'

const CONTROL: Readonly<Record<string, number>> = { a: 7, e: 27, f: 12, n: 10, r: 13, t: 9 }

export function byteEscape(reader: Reader): number {
  const hex = reader.match(/x(?:\{([0-9a-fA-F]{1,8})\}|([0-9a-fA-F]{0,2}))/y)
  if (hex !== undefined) return checked(reader, Number.parseInt(`0${hex[1] ?? hex[2] ?? ''}`, 16))
  const octal = reader.match(/(?:o\{([0-7]{1,8})\}|([0-7]{1,3}))/y)
  if (octal !== undefined) return checked(reader, Number.parseInt(octal[1] ?? octal[2] ?? '', 8))
  const control = reader.match(/c([\x20-\x7e])/y)
  if (control?.[1] !== undefined) return control[1].toUpperCase().charCodeAt(0) ^ 0x40
  const letter = reader.next()
  const known = CONTROL[letter]
  if (known !== undefined) return known
  if (/[A-Za-z0-9]/.test(letter)) reader.refuse(`'\\${letter}' is not understood`, 2)
  return letter.charCodeAt(0)
}

function checked(reader: Reader, byte: number): number {
  return byte > 0xff ? reader.refuse('a character of more than one byte', 0, 'unsupported') : byte
}
