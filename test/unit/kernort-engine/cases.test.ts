import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { z } from 'zod'
import { requires } from '../../helpers/capabilities.ts'
import { replayCase, sidsOf } from '../../helpers/engine.ts'

/** 560 captures, half a second each on a busy machine. */
const TIMEOUT_MS = 1_200_000
const SHARE_OF_STRICT = 0.95
const SHARE_OF_REST = 0.85

const indexSchema = z.array(
  z.object({
    name: z.string(),
    tier: z.string(),
    strict: z.boolean(),
    midstream: z.boolean(),
    snort29_same_counts: z.boolean().nullable()
  })
)

describe('the detection engine on all cases', function () {
  this.timeout(TIMEOUT_MS)

  it('tells the signatures that Suricata tells', async function () {
    requires(this, 'cases')
    const root = process.env['ISHARE_IDS_CASES'] ?? ''
    const cases = indexSchema.parse(JSON.parse(await readFile(join(root, 'index.json'), 'utf8')))
    const differing = new Set<string>()
    for (const { name, midstream, snort29_same_counts: isCountSure } of cases) {
      const { alerts, expected } = await replayCase(join(root, name), midstream)
      const isSame =
        isCountSure === true
          ? JSON.stringify(alerts) === JSON.stringify(expected.toSorted((a, b) => a.sid - b.sid))
          : JSON.stringify(sidsOf(alerts)) === JSON.stringify(sidsOf(expected))
      if (!isSame) differing.add(name)
    }
    console.log(`      ${differing.size} of ${cases.length} differ: ${[...differing].join(' ')}`)
    const strict = cases.filter((one) => one.strict)
    const share = (some: typeof cases): number =>
      some.filter(({ name }) => !differing.has(name)).length / some.length
    expect(share(strict.filter(({ tier }) => tier.startsWith('core')))).to.equal(1)
    expect(share(strict)).to.be.at.least(SHARE_OF_STRICT)
    expect(share(cases.filter((one) => !one.strict))).to.be.at.least(SHARE_OF_REST)
  })
})
