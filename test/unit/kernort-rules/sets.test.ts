import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { BUFFERS } from '../../../soda-host/kernort/rules/buffers.ts'
import { isEventBuffer } from '../../../soda-host/kernort/rules/events/buffers.ts'
import { compileRuleset, readRuleFile, type CompiledRuleset } from '../../../soda-host/kernort/rules/index.ts'
import { parseRule } from '../../../soda-host/kernort/rules/parse-rule.ts'
import { requires, RULESETS } from '../../helpers/capabilities.ts'
import { printRule } from '../../helpers/print-rule.ts'
import { ruleWith } from '../../helpers/ruleset.ts'

const SAMPLE = new URL('../../vectors/rules/et-open-sample.rules', import.meta.url)

/** All but the list of words used, which printing does not keep. */
function meaning(text: string): object {
  return { ...parseRule(text), keywords: [] }
}

/** Rules whose meaning is lost on the way through their printed form. */
function notRoundTripped(texts: readonly string[]): string[] {
  return texts.filter((text) => {
    const printed = printRule(parseRule(text))
    try {
      expect(meaning(printed)).to.deep.equal(meaning(text))
      return false
    } catch {
      return true
    }
  })
}

async function compileSet(name: string): Promise<CompiledRuleset> {
  const directory = join(RULESETS, name)
  const files = readdirSync(directory).filter((file) => file.endsWith('.rules'))
  const sources = []
  for (const file of files.sort()) sources.push(await readRuleFile(join(directory, file)))
  return compileRuleset(sources)
}

describe('rules that others wrote', () => {
  let rules: string[] = []
  before(async () => {
    rules = (await readFile(SAMPLE, 'latin1')).trimEnd().split('\n')
  })

  it('are all compiled but for what the engine cannot evaluate', () => {
    const { coverage } = compileRuleset([{ file: 'sample', text: rules.join('\n') }])
    expect(Object.keys(coverage.refused)).to.have.members(['unsupported'])
    expect(coverage.compiled + coverage.refusals.length).to.equal(161)
    expect(coverage.compiled).to.be.at.least(150)
  })

  it('mean the same when they are printed and read again', () => {
    expect(notRoundTripped(rules)).to.deep.equal([])
  })

  it('and so does one rule for each keyword of a packet', () => {
    const options = [
      'flags:!SA,12; fragbits:M+; ttl:3-9; id:!7; window:55808; seq:5; ack:0; tos:8; ip_proto:!6; fragoffset:>0;',
      'ipopts:rr; sameip; stream_size:either,!=,7; flowbits:isset,a|b; flowbits:toggle,c; xbits:set,x,track ip_pair,expire 5;',
      'xbits:isset,x,track ip_dst; flowint:n,notset; flowint:n,==,4; flowint:m,-,1; rpc:1,*,3; tag:host,3,bytes,dst;',
      'ssl_state:server_hello,client_keyx; ssl_version:!sslv2,!tls1.0; detection_filter:track by_dst, count 4, seconds 9;',
      'dce_iface:4b324fc8-1670-01d3-1278-5a47bf6ee188,<3,any_frag; dce_opnum:1,4-9;',
      'content:"a"; byte_math:bytes 2,offset -1,oper <<,rvalue 3,result r,endian little,relative; content:"b"; distance:r;',
      'content:"a"; byte_extract:2,1,n,relative,multiplier 3,align 4; byte_test:n,!&,n,n,relative; isdataat:!n,relative;',
      'content:"a"; byte_jump:3,-2,relative,string,hex,bitmask 0xf0,from_end,align; base64_decode:relative; base64_data; content:"x";'
    ]
    expect(
      notRoundTripped(options.map((text) => `alert tcp any any -> any any (${text} sid:1;)`))
    ).to.deep.equal([])
  })

  it('can name every buffer', () => {
    for (const [name, row] of Object.entries(BUFFERS).filter(([name]) => !isEventBuffer(name)))
      for (const word of row.sticky) {
        const before = name === 'base64_data' ? 'base64_decode:bytes 4; ' : ''
        const { blocks } = ruleWith(`${before}${word}; content:"x";`, 'alert ip any any -> any any')
        expect(blocks.at(-1)?.buffer, word).to.equal(name)
      }
  })

  // Aims of the project's issue on detection.
  const AIMS = { 'snort29cvs-gpl-2005': 0.95, 'snort-community-2020': 0.95, 'etopen-suricata5-2024': 0.9 }
  for (const [name, aim] of Object.entries(AIMS))
    it(`of ${name} are compiled, at least ${aim * 100} %`, async function () {
      requires(this, 'rulesets')
      this.timeout(120_000)
      const { coverage, table } = await compileSet(name)
      expect(coverage.compiled / coverage.read).to.be.at.least(aim)
      expect(table.bytes.length).to.be.lessThan(64 * 1024 * 1024)
    })
})
