import { expect } from 'chai'
import { requires } from '../../helpers/capabilities.ts'
import { openMill, type Mill } from '../../helpers/daemon/mill.ts'

const ROUNDS = 5

/** The short form of `bench/soak-network.ts`. */
describe('four guests that do everything at once', function () {
  this.timeout(240_000)
  let mill: Mill | undefined

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap', 'nftables', 'cgroups')
    mill = await openMill(process.env['ISHARE_ARTIFACTS'] ?? '')
  })

  after(async () => {
    await mill?.[Symbol.asyncDispose]()
  })

  it('get back what they sent, and no part of them stands still', async () => {
    await mill!.reach(1)
    const before = await mill!.holdings()
    const works = await mill!.reach(ROUNDS)
    expect(works.map(({ counts }) => Object.keys(counts).length)).to.deep.equal([6, 6, 6, 6])
    expect(Math.min(...works.flatMap(({ counts }) => Object.values(counts)))).to.be.at.least(ROUNDS)
    const after = await mill!.holdings()
    for (const name of [
      'packet sockets of the ports',
      'descriptors of the guest kernels',
      'elements of its sets that grant'
    ])
      expect(after[name], name).to.equal(before[name])
  })
})
