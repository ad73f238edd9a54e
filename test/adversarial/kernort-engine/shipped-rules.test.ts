/**
 * Attacker: chooses arguments, paths and keystrokes so that the shipped rules take long, or give up before they look.
 * Asset: the alert, and the time of the guest.
 * Expected: no act is too dear for all of them (`cut`), and what they are there for is found behind any of it.
 */
import { expect } from 'chai'
import { compileRuleset, readRuleFile } from '../../../soda-host/kernort/rules/index.ts'
import { judgeBy, type Act } from '../../helpers/events.ts'

const ARGUMENTS_BYTES_MAX = 16_384
const LINE_BYTES_MAX = 1024
const BAITS = [
  'a',
  '/',
  'sh',
  'busybox',
  'busybox ',
  '/sh -',
  ' ',
  '-',
  '\t',
  'wget ',
  'curl|',
  '| ',
  'history ',
  '.1'
]

const full = (bait: string, bytes: number): string =>
  bait.repeat(Math.ceil(bytes / bait.length)).slice(0, bytes)

describe('the shipped rules against texts that are made to be dear', function () {
  this.timeout(300_000)

  let table: Uint8Array
  before(async () => {
    table = compileRuleset(await Promise.all(['intruder', 'service'].map(readRuleFile))).table.bytes
  })

  it('look at all of each', async () => {
    const acts = BAITS.flatMap((bait): Act[] => [
      {
        kind: 'exec',
        fields: {
          'exec.path': `/usr/bin/${full(bait, 4000)}/busybox`,
          'exec.args': full(bait, ARGUMENTS_BYTES_MAX),
          stdio: 1,
          'parent.stdio': 5
        }
      },
      { kind: 'write', fields: { 'file.path': `/home/${full(bait, 4000)}` } },
      { kind: 'truncate', fields: { 'file.path': `/var/log/${full(bait, 4000)}` } },
      { kind: 'connect', to: '1.2.3.4:5', fields: { 'process.path': `/${full(bait, 4000)}` } },
      { terminal: 1, kind: 'typed', bytes: `${full(bait, LINE_BYTES_MAX - 1)}\r` }
    ])
    const outcomes = await judgeBy(table, acts)
    expect(outcomes.filter((outcome) => outcome.includes('cut'))).to.deep.equal([])
  })

  it('find a shell whatever follows it', async () => {
    const acts = BAITS.map((bait): Act => ({
      kind: 'exec',
      fields: { 'exec.path': '/usr/bin/busybox', 'exec.args': `sh ${full(bait, 16_000)}`, stdio: 1 }
    }))
    const outcomes = await judgeBy(table, acts)
    expect(outcomes.every((outcome) => outcome.includes('4800003'))).to.equal(true)
  })
})
