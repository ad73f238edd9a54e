import { createHash } from 'node:crypto'
import { expect } from 'chai'
import fc from 'fast-check'
import { compileRuleset, type RulesetOptions } from '../../../soda-host/kernort/rules/index.ts'
import { Encoder } from '../../../soda-host/kernort/rules/table/encoder.ts'
import { ScannerWriter } from '../../../soda-host/kernort/rules/table/scanner.ts'
import { codeOf } from '../../helpers/errors.ts'
import { scan } from '../../helpers/table-scan.ts'

const GOOD = [
  'alert tcp any any -> any 80 (msg:"one"; flow:to_server,established; content:"/evil"; http_uri; pcre:"/evil[0-9]{2}/U"; sid:1; rev:2;)',
  'alert udp any any -> any 53 (msg:"two"; content:"|00 01|"; offset:2; depth:4; flowbits:set,x; sid:2;)',
  'alert ip [1.2.3.0/24,5.6.7.8] any -> any any (msg:"three"; sid:3;)',
  'alert icmp any any -> any any (msg:"four"; itype:8; threshold:type limit, track by_src, count 1, seconds 60; sid:4;)'
]

function compile(lines: readonly string[], options: RulesetOptions = {}) {
  return compileRuleset([{ file: 'test.rules', text: lines.join('\n') }], options)
}

describe('the compiled table', () => {
  it('is the same for the same rules, and named by its digest', () => {
    const { table } = compile(GOOD)
    expect(compile(GOOD).table.digest).to.equal(table.digest)
    const bytes = Buffer.from(table.bytes)
    bytes.fill(0, 16, 48)
    expect(createHash('sha256').update(bytes).digest('hex')).to.equal(table.digest)
    expect(compile(GOOD.slice(1)).table.digest).to.not.equal(table.digest)
  })

  it('has sections that are aligned, in order and within it', () => {
    const { bytes } = compile(GOOD).table
    let end = 64
    for (let entry = 64; entry < 64 + 22 * 16; entry += 16) {
      const [offset, count, size] = [0, 4, 8].map((at) => bytes.readUInt32LE(entry + at)) as [
        number,
        number,
        number
      ]
      expect(offset % 16).to.equal(0)
      expect(offset).to.be.at.least(end)
      end = offset + count * size
    }
    expect(end).to.be.at.most(bytes.length)
    expect(bytes.readUInt32LE(12)).to.equal(bytes.length)
  })

  it('is not touched by rules that are refused', () => {
    const bad = [
      'alert tcp any any -> any any (content:"x; sid:9;)',
      'nonsense',
      'alert tcp any any -> $NO any (sid:8;)'
    ]
    const { table, coverage } = compile([GOOD[0]!, bad[0]!, ...GOOD.slice(1), ...bad.slice(1)])
    expect(table.digest).to.equal(compile(GOOD).table.digest)
    expect(coverage).to.include({ read: 7, compiled: 4 })
    expect(
      coverage.refusals.map(({ line, column, reason }) => `${line}:${column} ${reason}`)
    ).to.have.members(['2:39 syntax', '6:9 syntax', '7:22 variable'])
  })

  it('keeps the newest of two rules with one number, and says so', () => {
    const rule = (rev: number): string =>
      `alert tcp any any -> any any (msg:"r${rev}"; content:"abc"; sid:7; rev:${rev};)`
    const { coverage, table } = compile([rule(1), rule(3), rule(2)])
    expect(coverage.compiled).to.equal(1)
    expect(coverage.refused).to.deep.equal({ duplicate: 2 })
    expect(table.bytes.includes('r3')).to.equal(true)
  })

  it('tells line and column behind a continued line', () => {
    const { coverage } = compile([
      '# a comment',
      'alert tcp any any -> any any ( \\',
      '  content:"a"; \\',
      '  depth:0; sid:1;)'
    ])
    expect(coverage.refusals).to.deep.include({
      file: 'test.rules',
      line: 4,
      column: 9,
      reason: 'combination',
      message: "depth 0 is less than the content's 1 bytes",
      sid: 1
    })
  })

  it('takes and leaves rules as the selection says', () => {
    const lines = [...GOOD, '#alert tcp any any -> any 443 (content:"off"; sid:5;)']
    const compiled = (selection: RulesetOptions['selection']): number =>
      compile(lines, selection === undefined ? {} : { selection }).coverage.compiled
    expect(compiled({})).to.equal(4)
    expect(compiled({ enable: ['5'] })).to.equal(5)
    expect(compiled({ disable: ['1:2', 're:THREE'] })).to.equal(2)
    expect(compiled({ disable: ['group:test'] })).to.equal(0)
    expect(compiled({ services: [{ protocol: 'udp', port: 53 }] })).to.equal(2)
    expect(compiled({ services: [{ protocol: 'tcp', port: 443 }] })).to.equal(2)
  })

  it('refuses selections and thresholds that it does not understand', async () => {
    expect(await codeOf(() => compile(GOOD, { selection: { disable: ['re:(a+)+'] } }))).to.equal(
      'ERR_RULESET_SELECTION'
    )
    expect(await codeOf(() => compile(GOOD, { thresholds: 'suppress gen_id 1' }))).to.equal(
      'ERR_RULESET_SELECTION'
    )
  })

  it('holds suppressions and rates of the whole set', () => {
    const thresholds = [
      '# a comment',
      'suppress gen_id 1, sig_id 1, track by_src, ip 10.0.0.0/8',
      'event_filter gen_id 1, sig_id 2, type both, track by_dst, count 5, seconds 60'
    ].join('\n')
    const plain = compile(GOOD).table.bytes
    const { bytes } = compile(GOOD, { thresholds }).table
    const count = (table: Buffer, section: number): number => table.readUInt32LE(64 + section * 16 + 4)
    expect(count(bytes, 21)).to.equal(1)
    expect(count(bytes, 10) - count(plain, 10)).to.equal(1)
  })

  it('is not harmed by bytes of any kind', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(GOOD.join('').length), { maxLength: 5 }),
        fc.uint8Array({ maxLength: 8 }),
        (cuts, noise) => {
          let text = GOOD.join('\n')
          for (const cut of cuts)
            text = text.slice(0, cut) + Buffer.from(noise).toString('latin1') + text.slice(cut + noise.length)
          const { coverage, table } = compile(text.split('\n'))
          expect(coverage.compiled).to.be.at.most(coverage.read)
          expect(table.bytes.length).to.be.greaterThan(0)
        }
      ),
      { numRuns: 300 }
    )
  })
})

describe('the scanner of a table', () => {
  it('finds every pattern that is in the text, and no rule whose pattern is not', () => {
    const pattern = fc
      .uint8Array({ minLength: 1, maxLength: 12 })
      .map((bytes) => Buffer.from(bytes.map((byte) => (byte % 5) + 0x61)).toString('latin1'))
    const text = fc
      .uint8Array({ maxLength: 200 })
      .map((bytes) => Buffer.from(bytes.map((byte) => (byte % 5) + (byte > 127 ? 0x61 : 0x41))))
    fc.assert(
      fc.property(fc.uniqueArray(pattern, { minLength: 1, maxLength: 40 }), text, (patterns, subject) => {
        const encoder = new Encoder()
        const scanner = new ScannerWriter(encoder).write(
          patterns.map((bytes, rule) => ({ bytes, side: 0, ports: 0, rules: [rule] }))
        )
        const lower = subject.toString('latin1').toLowerCase()
        const expected = patterns.flatMap((bytes, rule) => (lower.includes(bytes) ? [rule] : []))
        expect(scan(encoder.sections, scanner, subject)).to.deep.equal(expected)
      })
    )
  })
})
