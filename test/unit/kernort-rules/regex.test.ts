import { expect } from 'chai'
import fc from 'fast-check'
import {
  compiled,
  regexFlags,
  regexSource,
  regexSubject,
  search,
  searchByJavaScript,
  spelled
} from '../../helpers/regex.ts'
import { refusalOf } from '../../helpers/ruleset.ts'

function found(source: string, flags: string, subject: string): string {
  return spelled(search(compiled(source, flags), subject))
}

/** Expression, flags, subject, what PCRE finds. */
const PCRE: readonly (readonly [string, string, string, string])[] = [
  ['a$', '', 'ba\n', '1-2'],
  ['a$', 'E', 'ba\n', 'none'],
  ['^b', 'm', 'a\nb', '2-3'],
  ['^', 'm', 'a\n', '0-0'],
  ['b', 'A', 'ab', 'none'],
  ['a+', 'G', 'aaa', '0-1'],
  ['a+?', 'G', 'aaa', '0-3'],
  ['a b # comment', 'x', 'ab', '0-2'],
  ['(?i:a)b', '', 'Ab', '0-2'],
  ['(?i)ab', '', 'AB', '0-2'],
  ['a(?#note)b', '', 'ab', '0-2'],
  ['\\x41\\103\\cA', '', 'AC\x01', '0-3'],
  ['[\\x00-\\x1f]', '', 'a\x05', '1-2'],
  ['[]a]', '', ']', '0-1'],
  ['[[:digit:]]+', '', 'a12', '1-3'],
  ['\\Qa.b\\E.', '', 'a.bc', '0-4'],
  ['(a|b)\\1', '', 'abb', '1-3'],
  ['(?P<q>["\'])x(?P=q)', '', "\"x'x'", '2-5'],
  ['(a)\\1', 'i', 'aA', '0-2'],
  ['(?>a+)a', '', 'aaa', 'none'],
  ['a++b', '', 'aab', '0-3'],
  ['a(?=b)', '', 'acab', '2-3'],
  ['a(?!b)', '', 'abac', '2-3'],
  ['(?<=ab)c', '', 'acabc', '4-5'],
  ['(?<!a|bc)d', '', 'adbcd d', '6-7'],
  ['a{2', '', 'a{2', '0-3'],
  ['\\R', '', 'a\r\nb', '1-3'],
  ['.', '', '\n', 'none'],
  ['.', 's', '\n', '0-1'],
  ['(?:a|ab)(?:c|bcd)', '', 'abcd', '0-4'],
  ['(?:)*x', '', 'x', '0-1'],
  ['(a*)*b', '', 'aab', '0-3']
]

describe('regular expressions', () => {
  for (const [source, flags, subject, expected] of PCRE)
    it(`/${source}/${flags} finds ${expected} in ${JSON.stringify(subject)}`, () => {
      expect(found(source, flags, subject)).to.equal(expected)
    })

  it('find what JavaScript finds', () => {
    fc.assert(
      fc.property(regexSource, regexFlags, regexSubject, (source, flags, subject) => {
        const outcome = found(source, flags, subject)
        if (outcome !== 'cut off') expect(outcome).to.equal(searchByJavaScript(source, flags, subject))
      }),
      { numRuns: 3000 }
    )
  })

  it('are linear unless they need to look back or around', () => {
    expect(compiled('^(a|b)*[0-9]{32}x+$').program.isLinear).to.equal(true)
    expect(compiled('(a)\\1').program.isLinear).to.equal(false)
    expect(compiled('[a-z]{5000}').program.isLinear).to.equal(false)
  })

  it('say what a match begins with, and whether it can only be at the start', () => {
    const { program } = compiled('^[ab]?c')
    expect(program.isAnchored).to.equal(true)
    expect(program.first?.[12]).to.equal(0b1110)
    expect(compiled('a*').program.first).to.equal(undefined)
  })

  const refused: Readonly<Record<string, string>> = {
    'pcre:"/a(b/";': 'regex',
    'pcre:"/a)b/";': 'regex',
    'pcre:"/[a/";': 'regex',
    'pcre:"/[b-a]/";': 'regex',
    'pcre:"/a**/";': 'regex',
    'pcre:"/\\2(a)/";': 'regex',
    'pcre:"/\\y/";': 'regex',
    'pcre:"/(?P=nobody)/";': 'regex',
    'pcre:"/[[:nonsense:]]/";': 'regex',
    'pcre:"/(?<=a+)b/";': 'regex',
    'pcre:"/(?(1)a|b)/";': 'unsupported',
    'pcre:"/\\x{100}/";': 'unsupported',
    [`pcre:"/${'('.repeat(65)}${')'.repeat(65)}/";`]: 'regex',
    'pcre:"/(?:(?:abcde){600}){600}/";': 'limit'
  }
  for (const [option, reason] of Object.entries(refused))
    it(`are refused: ${option.slice(0, 40)}`, () => {
      expect(refusalOf(option).split('@')[0]).to.equal(reason)
    })
})
