/**
 * A rule's text: from file to logical lines, from line to header and options. No meaning yet.
 *
 * As in Snort and Suricata an option ends at the first `;` that is not escaped, whether or not quotes are open.
 */
import { RULE_BYTES_MAX, RULE_OPTIONS_MAX } from './limits.ts'
import { refuse, trimmed, type Piece } from './refusal.ts'

/** One rule, continuation lines joined. `starts`: for each line its number (from 1) and offset in `text`. */
export interface RuleLine {
  readonly text: string
  readonly isDisabled: boolean
  readonly starts: readonly { readonly line: number; readonly offset: number; readonly column: number }[]
}

export interface OptionText {
  readonly name: Piece
  /** Undefined: no colon. */
  readonly value: Piece | undefined
}

export interface RuleText {
  /** Words before the parenthesis. */
  readonly words: readonly Piece[]
  readonly options: readonly OptionText[]
}

const DISABLED = /^[#\s]*#\s*((?:alert|log|pass|drop|reject|sdrop|rejectsrc|rejectdst|rejectboth)\s.*)$/s

/** Lines of a file (latin1: one character a byte). Blank lines and comments that are no rules are left out. */
export function* ruleLines(file: string): Generator<RuleLine> {
  const lines = file.split('\n')
  for (let index = 0; index < lines.length; index++) {
    const first = stripReturn(lines[index])
    if (first.trim() === '') continue
    if (first.trimStart().startsWith('#')) {
      const disabled = DISABLED.exec(first)?.[1]
      const column = disabled === undefined ? 0 : first.length - disabled.length
      if (disabled !== undefined)
        yield { text: disabled, isDisabled: true, starts: [{ line: index + 1, offset: 0, column }] }
      continue
    }
    const starts = [{ line: index + 1, offset: 0, column: 0 }]
    const parts = [first]
    let length = first.length
    while (parts.at(-1)?.endsWith('\\') === true && index + 1 < lines.length) {
      parts.push(`${(parts.pop() ?? '').slice(0, -1)} `)
      index += 1
      starts.push({ line: index + 1, offset: length, column: 0 })
      const next = stripReturn(lines[index])
      length += next.length
      parts.push(next)
      // The rest of an endless rule is still skipped over, without being kept.
      if (length > RULE_BYTES_MAX) parts.splice(0, parts.length, 'x'.repeat(RULE_BYTES_MAX + 1), next)
    }
    yield { text: parts.join(''), isDisabled: false, starts }
  }
}

function stripReturn(line: string | undefined): string {
  if (line === undefined) return ''
  return line.endsWith('\r') ? line.slice(0, -1) : line
}

/** Line and column, both from 1, of an offset in a rule's text. */
export function placeOf(line: RuleLine, offset: number): { line: number; column: number } {
  const start = line.starts.findLast((candidate) => candidate.offset <= offset) ?? line.starts[0]
  if (start === undefined) return { line: 1, column: 1 }
  return { line: start.line, column: offset - start.offset + start.column + 1 }
}

/**
 * Header words and options of one rule.
 *
 * @throws RuleRefused with the place, when the text has not the form `words (name[:value]; …)`
 */
export function splitRule(text: string): RuleText {
  if (text.length > RULE_BYTES_MAX) {
    return refuse('limit', `a rule is at most ${RULE_BYTES_MAX} bytes`, { text: '', offset: 0 })
  }
  const open = text.indexOf('(')
  if (open === -1) refuse('syntax', "no '(' that begins the options", { text, offset: text.length })
  const end = text.trimEnd().length - 1
  if (text[end] !== ')') refuse('syntax', "the rule does not end in ')'", { text, offset: end + 1 })
  const words = [...text.slice(0, open).matchAll(/\S+/g)].map((m) => ({ text: m[0], offset: m.index }))
  return { words: joinLists(words), options: splitOptions(text, open + 1, end) }
}

/** Lists may hold blanks: `[80, 443]` is one word. */
function joinLists(words: readonly Piece[]): Piece[] {
  const joined: Piece[] = []
  let depth = 0
  let list: Piece | undefined
  for (const word of words) {
    const last = joined.at(-1)
    if (depth > 0 && last !== undefined) {
      // Blanks are kept so that offsets stay true.
      const gap = ' '.repeat(word.offset - last.offset - last.text.length)
      joined[joined.length - 1] = { text: last.text + gap + word.text, offset: last.offset }
    } else {
      joined.push(word)
      list = word
    }
    for (const letter of word.text) depth += letter === '[' ? 1 : letter === ']' ? -1 : 0
  }
  if (depth > 0 && list !== undefined) refuse('header', "a '[' without its ']'", list)
  return joined
}

function splitOptions(text: string, from: number, end: number): OptionText[] {
  const options: OptionText[] = []
  let start = from
  for (let at = from; at < end; at++) {
    if (text[at] === '\\') at += 1
    else if (text[at] === ';') {
      options.push(splitOption(trimmed({ text: text.slice(start, at), offset: start })))
      if (options.length > RULE_OPTIONS_MAX) {
        refuse('limit', `a rule has at most ${RULE_OPTIONS_MAX} options`, { text: '', offset: at })
      }
      start = at + 1
    }
  }
  const rest = trimmed({ text: text.slice(start, end), offset: start })
  if (rest.text !== '') refuse('syntax', "the last option does not end in ';'", rest)
  return options
}

function splitOption(option: Piece): OptionText {
  if (option.text === '') return refuse('syntax', 'an empty option', option)
  const colon = option.text.indexOf(':')
  if (colon === -1) return { name: option, value: undefined }
  return {
    name: trimmed({ text: option.text.slice(0, colon), offset: option.offset }),
    value: trimmed({ text: option.text.slice(colon + 1), offset: option.offset + colon + 1 })
  }
}
