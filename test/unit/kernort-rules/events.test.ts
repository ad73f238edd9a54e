import { expect } from 'chai'
import { refusalOfText } from '../../helpers/ruleset.ts'
import { parseRule } from '../../../soda-host/kernort/rules/parse-rule.ts'
import { compileRuleset, readRuleFile } from '../../../soda-host/kernort/rules/index.ts'

const rule = (options: string, header = 'alert syscall'): string => `${header} (${options} sid:1;)`

/** What must be refused, and at which word. */
const REFUSED: Readonly<Record<string, readonly [text: string, refusal: string]>> = {
  'no event': [rule('exec.path; content:"x";'), 'combination@syscall (exe'],
  'an event that is none': [rule('event:open;'), 'value@open; sid:1;'],
  'an event of terminals': [rule('event:typed;'), 'value@typed; sid:1'],
  'two events that do not tell the same': [
    rule('event:exec|connect; exec.path; content:"x";'),
    'combination@syscall (eve'
  ],
  'a number that the event does not tell': [
    rule('event:exec; cred.uid_after:0;'),
    'combination@syscall (eve'
  ],
  'a content without a text': [rule('event:exec; content:"x";'), 'combination@syscall (eve'],
  'a keyword of packets': [rule('event:exec; dsize:5;'), 'combination@dsize:5; sid'],
  'a buffer of packets': [rule('event:exec; http.uri; content:"x";'), 'combination@http.uri; co'],
  'a flow, which system calls have none of': [
    rule('event:exec; flow:to_server;'),
    'combination@flow:to_serv'
  ],
  'a transform': [rule('event:exec; exec.path; to_lowercase; content:"x";'), 'combination@to_lowercase'],
  'bytes of a text': [rule('event:exec; exec.path; byte_test:1,>,1,0;'), 'combination@byte_test:1,'],
  'an address of what has none': [
    rule('event:exec;', 'alert syscall any any -> 10.0.0.1 any'),
    'header@syscall any '
  ],
  'an address on the side of the process': [
    rule('event:connect;', 'alert syscall 10.0.0.1 any -> any any'),
    'header@syscall 10.0'
  ],
  'both ways': [rule('event:connect;', 'alert syscall any any <> any any'), 'header@syscall any '],
  'to forbid what is done already': [rule('event:accept;', 'drop syscall'), 'combination@syscall (eve'],
  'to forbid what somebody typed': [rule('content:"x";', 'drop console'), 'combination@console (con'],
  'a word that is none of stdio': [rule('event:exec; stdio:disk;'), 'value@disk; sid:1;'],
  'a signal beyond the last': [rule('event:signal; signal.number:65;'), 'value@65; sid:1;)'],
  'first_time of nothing': [rule('event:exec; first_time:5;'), 'combination@first_time:5'],
  'a text that nothing looks at': [rule('event:exec; exec.path;'), 'combination@exec.path; s'],
  'a keyword of events in a rule on packets': [
    rule('event:exec;', 'alert tcp any any -> any any'),
    'combination@event:exec; '
  ],
  'a text of events in a rule on packets': [
    rule('exec.path; content:"x";', 'alert tcp any any -> any any'),
    'combination@tcp any any '
  ],
  'a console rule with more of flow than a direction': [
    rule('flow:established; content:"x";', 'alert console'),
    'value@console (flo'
  ],
  'a header that is short for packets': [rule('content:"x";', 'alert tcp'), 'header@tcp (content']
}

describe('rules on system calls and consoles', () => {
  it('are short or long in their header, and mean the same', () => {
    const [short, long] = ['alert syscall', 'alert syscall any any -> any any'].map((header) =>
      parseRule(rule('event:exec|cred; uid:!0;', header))
    )
    expect(short).to.deep.equal(long)
    expect(short?.event).to.deep.equal({
      kinds: ['exec', 'cred'],
      tests: [{ number: 'uid', test: { compare: '!=', low: 0, high: 0 }, negated: false }],
      firstTime: undefined
    })
  })

  it('say by flow which way of a terminal they look', () => {
    const kinds = (options: string) => parseRule(rule(options, 'alert console')).event?.kinds
    expect(kinds('content:"x";')).to.deep.equal(['typed', 'shown'])
    expect(kinds('flow:to_server; content:"x";')).to.deep.equal(['typed'])
    expect(kinds('flow:to_client; content:"x";')).to.deep.equal(['shown'])
  })

  for (const [what, [text, refusal]] of Object.entries(REFUSED))
    it(`refuse ${what}, with the place`, () => {
      expect(refusalOfText(text)).to.equal(refusal)
    })

  it('refuse a track that is none of processes', () => {
    const text = rule('event:exec; threshold:type limit,track by_dst,count 1,seconds 1;')
    const { coverage } = compileRuleset([{ file: 'a.rules', text }])
    expect(coverage.refusals).to.deep.include({
      file: 'a.rules',
      line: 1,
      column: 7,
      reason: 'value',
      message: "of events, 'track' is by_src (the process) or by_rule",
      sid: 1
    })
  })

  it('are at most 1,024, with at most 64 names of flowbits', () => {
    const many = (count: number, options: (index: number) => string): string =>
      Array.from({ length: count }, (_, index) => `alert syscall (${options(index)} sid:${index + 1};)`).join(
        '\n'
      )
    const refusedOf = (text: string) => compileRuleset([{ file: 'a', text }]).coverage.refused
    expect(refusedOf(many(1030, () => 'event:exec;'))).to.deep.equal({ limit: 6 })
    expect(refusedOf(many(70, (index) => `event:exec; flowbits:set,b${index};`))).to.deep.equal({ limit: 6 })
  })

  it('stand beside rules on packets without changing what these mean', () => {
    const packets = 'alert tcp any any -> any 80 (content:"abcd"; sid:5;)'
    const events = 'alert syscall (event:exec; exec.path; content:"abcd"; sid:6;)'
    const { table, coverage } = compileRuleset([{ file: 'a', text: `${packets}\n${events}` }])
    expect(coverage.compiled).to.equal(2)
    expect(compileRuleset([{ file: 'a', text: packets }]).table.bytes.length).to.be.below(table.bytes.length)
  })

  it('are kept by a selection of services, and can be suppressed', () => {
    const text = rule('msg:"x"; event:exec;')
    const options = { selection: { services: [{ protocol: 'tcp', port: 80 }] } } as const
    expect(compileRuleset([{ file: 'a', text }], options).coverage.compiled).to.equal(1)
    const suppressed = compileRuleset([{ file: 'a', text }], { thresholds: 'suppress gen_id 1, sig_id 1' })
    const noalert = compileRuleset([{ file: 'a', text: rule('msg:"x"; event:exec; noalert;') }])
    expect(suppressed.table.digest).not.to.equal(noalert.table.digest)
    expect(suppressed.table.digest).not.to.equal(compileRuleset([{ file: 'a', text }]).table.digest)
  })

  it('of the shipped sets are all understood', async () => {
    const sources = await Promise.all(['intruder', 'service'].map(readRuleFile))
    const { coverage } = compileRuleset(sources)
    expect(coverage.refusals).to.deep.equal([])
    expect(coverage.compiled).to.be.above(20)
  })
})
