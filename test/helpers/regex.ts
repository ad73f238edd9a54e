/** Expressions compiled for tests, and trees of them for properties. */
import fc from 'fast-check'
import type { ByteSet } from '../../soda-host/kernort/rules/regex/byte-set.ts'
import { compileRegex } from '../../soda-host/kernort/rules/regex/compile.ts'
import { RegexMachine, type Outcome } from '../../soda-host/kernort/rules/regex/machine.ts'
import { parseRegex } from '../../soda-host/kernort/rules/regex/parse.ts'
import type { RegexProgram } from '../../soda-host/kernort/rules/regex/program.ts'

export interface CompiledRegex {
  readonly program: RegexProgram
  readonly sets: readonly ByteSet[]
}

export function compiled(source: string, flags = ''): CompiledRegex {
  const sets: ByteSet[] = []
  const place = { text: source, offset: 0 }
  const setIndex = (set: ByteSet): number => {
    const known = sets.findIndex((other) => Buffer.from(other).equals(set))
    return known === -1 ? sets.push(set) - 1 : known
  }
  return { program: compileRegex(parseRegex(place, flags), setIndex, place), sets }
}

export function search({ program, sets }: CompiledRegex, subject: string, from = 0): Outcome {
  return new RegexMachine(program, sets, Buffer.from(subject, 'latin1')).search(from)
}

/** What JavaScript finds: `start-end`, or `none`. `$`, and `^` after a newline that is last, are PCRE's. */
export function searchByJavaScript(source: string, flags: string, subject: string): string {
  const isMultiline = flags.includes('m')
  const end = isMultiline ? '$' : '(?=\\n?$(?![\\s\\S]))'
  const start = isMultiline ? '(?:(?<![\\s\\S])|(?<=\\n)(?=[\\s\\S]))' : '^'
  const same = source.replaceAll('$', () => end).replaceAll(/(?<!\[)\^/g, () => start)
  const found = new RegExp(same, flags).exec(subject)
  return found === null ? 'none' : `${found.index}-${found.index + found[0].length}`
}

export function spelled(outcome: Outcome): string {
  return typeof outcome === 'string' ? outcome : `${outcome.start}-${outcome.end}`
}

const atom = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 'c', 'A', '\\n', '-') },
  { weight: 3, arbitrary: fc.constantFrom('.', '[ab]', '[^a]', '[a-c-]', '\\d', '\\w', '\\W', '[^\\w-]') },
  { weight: 1, arbitrary: fc.constantFrom('^', '$', '\\b', '\\B') }
)
const quantifier = fc.constantFrom(
  '',
  '',
  '',
  '*',
  '+',
  '?',
  '*?',
  '+?',
  '??',
  '{2}',
  '{1,3}',
  '{0,2}?',
  '{2,}'
)

/** Sources that mean the same to PCRE and to JavaScript. */
export const { source: regexSource } = fc.letrec<{ source: string; piece: string }>((tie) => ({
  piece: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.tuple(atom, quantifier).map(([text, times]) => (/^[\^$]$|^\\[bB]$/.test(text) ? text : text + times)),
    // Never empty: after an empty round Perl goes on behind the loop, JavaScript tries another way.
    fc.tuple(tie('source'), quantifier).map(([inner, times]) => `(?:b(?:${inner}))${times}`),
    tie('source').map((inner) => `(${inner})`)
  ),
  source: fc
    .array(
      fc.array(tie('piece'), { maxLength: 3 }).map((pieces) => pieces.join('')),
      { minLength: 1, maxLength: 3 }
    )
    .map((choices) => choices.join('|'))
}))

export const regexSubject = fc
  .array(fc.constantFrom('a', 'b', 'c', 'A', 'C', '\n', '-', '1', ' '), { maxLength: 14 })
  .map((letters) => letters.join(''))

export const regexFlags = fc.subarray(['i', 's', 'm']).map((letters) => letters.join(''))
