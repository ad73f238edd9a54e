import { expect } from 'chai'
import { Channel } from '../../../idiscover/channel.ts'
import { gather } from '../../helpers/gather.ts'

describe('The channel between sources and reader', () => {
  it('gives everything in order, also what was written before the end', async () => {
    const channel = new Channel<number>(100)
    for (let value = 0; value < 10; value++) await channel.write(value)
    channel.end()
    expect(await gather(channel)).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('makes writers wait for a slow reader', async () => {
    const channel = new Channel<number>(2)
    let written = 0
    const writer = (async () => {
      for (let value = 0; value < 6; value++) {
        await channel.write(value)
        written++
      }
      channel.end()
    })()
    await new Promise(setImmediate)
    expect(written).to.equal(1)
    expect(await gather(channel)).to.have.length(6)
    await writer
  })

  it('lets writers go at the end, and drops what comes later', async () => {
    const channel = new Channel<number>(1)
    const blocked = channel.write(1)
    channel.end()
    await blocked
    await channel.write(2)
    expect(await gather(channel)).to.deep.equal([1])
  })
})
