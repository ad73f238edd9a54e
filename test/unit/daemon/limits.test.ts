import { expect } from 'chai'
import fc from 'fast-check'
import { diskShareBytes, grantableDiskBytes, logBytesMax } from '../../../soda-host/daemon/limits.ts'
import { GIB, MIB } from '../../../src/constants.ts'

const bytes = fc.integer({ min: 0, max: 2 ** 50 })

describe('what a server takes of the disk', () => {
  it('is its disk, and an eighth of that for its log, within bounds', () => {
    expect([16 * MIB, GIB, 100 * GIB].map(logBytesMax)).to.deep.equal([16 * MIB, 128 * MIB, GIB])
    fc.assert(fc.property(bytes, (disk) => diskShareBytes(disk) === disk + logBytesMax(disk)))
  })

  it('never exceeds what is there, and leaves nothing unused, if it is the most that can be granted', () => {
    const enough = fc.integer({ min: 16 * MIB, max: 2 ** 50 })
    fc.assert(
      fc.property(enough, (there) => {
        const disk = grantableDiskBytes(there)
        return diskShareBytes(disk) <= there && diskShareBytes(disk + 2) > there
      })
    )
    expect(grantableDiskBytes(MIB)).to.equal(0)
  })
})
