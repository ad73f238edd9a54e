/** `"GET|20 0d|\;"`: text with bytes in hexadecimal between bars. */
import { refuse, type Piece } from '../refusal.ts'

/**
 * @throws RuleRefused with the place of the byte that is wrong
 */
export function readPattern(piece: Piece): Uint8Array {
  const { text, offset } = piece
  if (!text.startsWith('"')) return refuse('syntax', 'a content stands in double quotes', piece)
  if (text.length < 2 || !text.endsWith('"')) return refuse('syntax', 'the closing quote is missing', piece)
  const bytes: number[] = []
  const end = text.length - 1
  let at = 1
  while (at < end) {
    const letter = text[at]
    if (letter === '|') at = readHex(piece, at, end, bytes)
    else if (letter === '"')
      return refuse('syntax', "a '\"' inside a content is not escaped", { text: '"', offset: offset + at })
    else {
      if (letter === '\\') at += 1
      if (at >= end)
        return refuse('syntax', 'the closing quote is escaped', { text: '"', offset: offset + at })
      bytes.push(text.charCodeAt(at))
      at += 1
    }
  }
  if (bytes.length === 0) refuse('value', 'an empty content', piece)
  return Uint8Array.from(bytes)
}

/** From the bar at `start`; gives the place behind the closing one. */
function readHex(piece: Piece, start: number, end: number, bytes: number[]): number {
  const close = piece.text.indexOf('|', start + 1)
  const here = { text: '|', offset: piece.offset + start }
  if (close === -1 || close >= end) return refuse('syntax', "the closing '|' is missing", here)
  const digits = piece.text.slice(start + 1, close).replaceAll(' ', '')
  const bad = /[^0-9a-fA-F]/.exec(digits)
  if (bad !== null) refuse('syntax', `'${bad[0]}' is no hexadecimal digit`, here)
  if (digits.length % 2 !== 0) refuse('syntax', 'half a byte between the bars', here)
  for (let at = 0; at < digits.length; at += 2) bytes.push(Number.parseInt(digits.slice(at, at + 2), 16))
  return close + 1
}
