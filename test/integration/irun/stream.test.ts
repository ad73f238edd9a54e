import { expect } from 'chai'
import { echoThroughRun } from '../../helpers/irun/throughput.ts'

describe('a run between two processes', () => {
  it('passes a hundred megabytes through, whole', async () => {
    const { receivedBytes } = await echoThroughRun(100e6)
    expect(receivedBytes).to.equal(100e6)
  }).timeout(60_000)
})
