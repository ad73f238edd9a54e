/**
 * Attacker: whoever writes a rule file that a tenant uses. Asset: the peer's memory and time, and the rules of others.
 * Expected: what is wrong is refused with its place, everything else is compiled, nothing grows without bound.
 */
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { compileRuleset, readRuleFile, type Coverage } from '../../../soda-host/kernort/rules/index.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const GOOD = 'alert tcp any any -> any any (content:"good"; sid:1;)'

function compile(text: string): Coverage {
  return compileRuleset([{ file: 'hostile.rules', text }]).coverage
}

/** Reasons by which rules beside a good one are refused. */
function reasons(...bad: string[]): string[] {
  const coverage = compile([...bad, GOOD].join('\n'))
  expect(coverage.compiled).to.equal(1)
  return coverage.refusals.map(({ reason }) => reason)
}

function ruleOf(options: string): string {
  return `alert tcp any any -> any any (${options} sid:2;)`
}

describe('hostile rule files', () => {
  it('cannot grow a rule without end', () => {
    expect(reasons(ruleOf(`content:"${'a'.repeat(100_000)}";`))).to.deep.equal(['limit'])
    expect(reasons(ruleOf('nocase;'.repeat(5000)))).to.deep.equal(['limit'])
    expect(reasons(ruleOf(`content:"${'a'.repeat(2049)}";`))).to.deep.equal(['limit'])
    expect(
      reasons(`alert tcp any any -> any any (\\\n${'content:"a"; \\\n'.repeat(20_000)} sid:3;)`)
    ).to.deep.equal(['limit'])
  })

  it('cannot nest without end', () => {
    const deep = (count: number): string => `${'['.repeat(count)}1.2.3.4${']'.repeat(count)}`
    expect(reasons(`alert tcp ${deep(1000)} any -> any any (sid:2;)`)).to.deep.equal(['limit'])
    expect(reasons(ruleOf(`pcre:"/${'('.repeat(3000)}a${')'.repeat(3000)}/";`))).to.deep.equal(['regex'])
  })

  it('cannot make an expression explode', () => {
    expect(reasons(ruleOf('pcre:"/((((a{1,999}){1,999}){1,999}){1,999})/";'))).to.deep.equal(['limit'])
    expect(reasons(ruleOf(`pcre:"/${'(a*)*'.repeat(60)}/";`))).to.deep.equal(['limit'])
  })

  it('cannot fill memory with refusals, nor with names', () => {
    const lines = Array.from({ length: 20_000 }, (_, index) => ruleOf(`word${index}:1;`))
    const coverage = compile(lines.join('\n'))
    expect(coverage.refused).to.deep.equal({ 'unknown-keyword': 20_000 })
    expect(coverage.refusals).to.have.length(10_000)
    expect(coverage.keywords.map(({ keyword }) => keyword)).to.have.members(['(unknown)', 'sid'])
  })

  it('cannot have a number twice, or more rules than there may be', async () => {
    expect(reasons(GOOD.replace('good', 'other'))).to.deep.equal(['duplicate'])
    expect(await codeOf(() => compile('x\n'.repeat(131_073)))).to.equal('ERR_RULESET_LIMIT')
  })

  it('cannot be larger than they may be, or something else than files', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'large.rules')
    await writeFile(path, '')
    await truncate(path, 64 * 1024 * 1024 + 1)
    expect(await codeOf(() => readRuleFile(path))).to.equal('ERR_RULESET_FILE')
    expect(await codeOf(() => readRuleFile(directory.path))).to.equal('ERR_RULESET_FILE')
    expect(await codeOf(() => readRuleFile('/dev/zero'))).to.equal('ERR_RULESET_FILE')
  })
})
