import { expect } from 'chai'
import fc from 'fast-check'
import { compiled, regexFlags, regexSource, regexSubject, search, spelled } from '../../helpers/regex.ts'
import { buildRegexHarness, runRegexHarness, type RegexCase } from '../../helpers/regex-harness.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

/** What looks back or around, with parts that are drawn. */
const backtracking = fc
  .tuple(
    regexSource,
    regexSource,
    fc.constantFrom('(?=§)', '(?!§)', '(?>§)', '(?:b§)++', '(§)\\1', '(?<=ab)', '(?<![ab]c)', '(§)(?:b\\1)*')
  )
  .map(([left, right, form]) => `(?:${left})${form.replace('§', () => `(?:${right})`)}`)

describe('the machines of regular expressions', function () {
  this.timeout(120_000)
  let program = ''
  let directory: Awaited<ReturnType<typeof temporaryDirectory>> | undefined
  before(async () => {
    directory = await temporaryDirectory()
    program = buildRegexHarness(directory.path)
  })
  after(async () => {
    await directory?.[Symbol.asyncDispose]()
  })

  /** Draws `count` cases and runs them all at once: a process for each would take longer than its work. */
  function drawn(
    source: fc.Arbitrary<string>,
    count: number,
    seed: number
  ): { text: string; at: RegexCase }[] {
    const drawing = fc.record({ source, flags: regexFlags, subject: regexSubject, from: fc.nat(3) })
    return fc.sample(drawing, { numRuns: count, seed }).flatMap(({ source: text, flags, subject, from }) => {
      try {
        const at = {
          ...compiled(text, flags),
          subject: Buffer.from(subject, 'latin1'),
          from: Math.min(from, subject.length)
        }
        return [{ text: `/${text}/${flags} on ${JSON.stringify(subject)} from ${at.from}`, at }]
      } catch {
        return [] // too large, or a reference to a group that is not there: not what is tested here
      }
    })
  }

  it('find what the obvious matcher finds, in C under sanitizers', () => {
    const cases = drawn(regexSource, 4000, Date.now())
    const answers = runRegexHarness(
      program,
      cases.map(({ at }) => at)
    )
    for (const [index, { text, at }] of cases.entries()) {
      const expected = spelled(search(at, Buffer.from(at.subject).toString('latin1'), at.from))
      if (expected === 'cut off') continue
      expect(answers[index]?.[0], text).to.equal(expected)
      if (at.program.isLinear) expect(answers[index]?.[1], `Pike: ${text}`).to.equal(expected)
    }
  })

  it('agree where an expression looks back or around', () => {
    const cases = drawn(backtracking, 4000, Date.now())
    expect(cases.length).to.be.greaterThan(2000)
    const answers = runRegexHarness(
      program,
      cases.map(({ at }) => at)
    )
    for (const [index, { text, at }] of cases.entries()) {
      const expected = spelled(search(at, Buffer.from(at.subject).toString('latin1'), at.from))
      if (expected !== 'cut off') expect(answers[index]?.[0], text).to.equal(expected)
    }
  })

  it('finish what a backtracker alone never would', () => {
    const subject = Buffer.alloc(4000, 'a')
    const linear = ['(?:a+)+b', '(?:a|aa)+b', '(?:a*)*b', '.*.*.*.*b'].map((source) => ({
      ...compiled(source),
      subject
    }))
    const found = linear.concat({ ...compiled('(?:a|aa)+$'), subject })
    expect(runRegexHarness(program, found).map(([answer]) => answer)).to.deep.equal([
      'none',
      'none',
      'none',
      'none',
      '0-4000'
    ])
  })

  it('cut off, and say so, what cannot be finished', () => {
    const subject = Buffer.alloc(4000, 'a')
    const [answer] = runRegexHarness(program, [{ ...compiled('(?=(?:a|aa)+$)(a+)+\\1b'), subject }])
    expect(answer?.[0]).to.equal('cut')
  })

  it('refuse or survive any program', () => {
    const word = fc.oneof(
      fc.nat(0xffff_ffff),
      fc.tuple(fc.nat(28), fc.nat(40)).map(([code, argument]) => ((argument << 8) | code) >>> 0)
    )
    const noise = fc.record({
      words: fc.array(word, { minLength: 1, maxLength: 40 }),
      isLinear: fc.boolean(),
      isAnchored: fc.boolean(),
      captureCount: fc.nat(33),
      markCount: fc.nat(33)
    })
    const set = Uint8Array.from({ length: 32 }, (_, index) => index * 7)
    const cases = fc.sample(noise, { numRuns: 20_000, seed: Date.now() }).map((fields) => ({
      // The last instruction of a good program is MATCH.
      program: { ...fields, words: [...fields.words, 0], first: undefined },
      sets: [set, set],
      subject: Buffer.from('abc\n123 abc')
    }))
    const answers = runRegexHarness(program, cases)
    const taken = answers.filter(([answer]) => answer !== 'bad').length
    expect(taken).to.be.greaterThan(100)
  })
})
