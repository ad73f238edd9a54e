import { expect } from 'chai'
import { openMarket, type Market } from '../../helpers/irun/market.ts'

describe('iRun between two libp2p nodes', () => {
  let market: Market
  before(async () => {
    market = await openMarket()
  })
  after(() => market[Symbol.asyncDispose]())

  it('runs a program and brings its output, exit status and receipt', async () => {
    const run = await market.submit('echo hello; echo oops >&2; exit 3')
    let [stdout, stderr] = ['', '']
    const states: string[] = []
    for await (const event of run.events) {
      if (event.type === 'stdout') stdout += Buffer.from(event.data).toString()
      if (event.type === 'stderr') stderr += Buffer.from(event.data).toString()
      if (event.type === 'state') states.push(event.state)
    }
    const result = await run.done
    expect(stdout).to.equal('hello\n')
    expect(stderr).to.equal('oops\n')
    expect(result.outcome).to.deep.equal({ kind: 'status', status: 3 })
    expect(states).to.deep.equal(['leased', 'staged', 'booting', 'running', 'exited', 'collected', 'receipt'])
    expect(await market.host.list()).to.deep.equal([])
  })
})
