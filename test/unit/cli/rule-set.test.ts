import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { compileRuleset, readRuleFile } from '../../../soda-host/kernort/rules/index.ts'
import { rulesFor } from '../../../src/cli/rule-set.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const RULE = 'alert tcp any any -> any 80 (content:"x"; sid:1;)\n'
const DISK = 64 << 20

type Offered = Parameters<typeof rulesFor>[0]

/** What of an offer is looked at. */
function offering(rulesetBytes: number, diskBytes = DISK): Offered {
  return { rules: { perRun: { rulesetBytes } }, slice: { diskBytes } } as Offered
}

async function digestOf(...names: string[]): Promise<string> {
  return `sha256:${compileRuleset(await Promise.all(names.map(readRuleFile))).table.digest}`
}

describe('The rules of a run, as a user names them', () => {
  const resources = new AsyncDisposableStack()
  let own = ''
  const digest = async (...of: Parameters<typeof rulesFor>): Promise<string | undefined> =>
    (await rulesFor(of[0], { quiet: true, ...of[1] }))?.digest

  before(async () => {
    own = join(resources.use(await temporaryDirectory()).path, 'own.rules')
    await writeFile(own, RULE)
  })
  after(() => resources.disposeAsync())

  it('are the shipped set of intruders where none is named', async () => {
    expect(await digest(offering(1 << 20), {})).to.equal(await digestOf('intruder'))
  })

  it('are files and shipped sets together, and none at all by that word', async () => {
    const offer = offering(1 << 20)
    expect(await digest(offer, { rules: [own] })).to.equal(await digestOf(own))
    expect(await digest(offer, { rules: ['service', own] })).to.equal(await digestOf('service', own))
    expect(await digest(offer, { rules: ['none'] })).to.equal(undefined)
    expect(await codeOf(() => rulesFor(offer, { rules: ['none', own] }))).to.equal('ERR_CONFIG_VALUE')
  })

  it('are left out where the provider takes none, or has no disk left for them; what was named is an error then', async () => {
    for (const offer of [offering(0), offering(16)]) {
      expect(await digest(offer, {})).to.equal(undefined)
      expect(await codeOf(() => rulesFor(offer, { rules: ['intruder'] }))).to.equal('ERR_RULESET_LIMIT')
      expect(await digest(offer, { rules: ['none'] })).to.equal(undefined)
    }
    expect(await digest(offering(1 << 20), { disk: DISK })).to.equal(undefined)
  })
})
