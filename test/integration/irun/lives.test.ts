import { expect } from 'chai'
import { seenOf } from '../../helpers/irun/events.ts'
import { openMarket, smallLimits, type Market } from '../../helpers/irun/market.ts'

const COUNTS = 'n=$(($(cat lives 2>/dev/null || echo 0) + 1)); echo $n > lives; echo life $n'

describe('a run that goes on after an end', function () {
  this.timeout(60_000)
  let market: Market

  before(async () => {
    market = await openMarket({ consumerLimits: { overdueMs: 1000 } })
  })

  after(() => market[Symbol.asyncDispose]())

  it('is started again as its acceptance and its lease say, and its consumer is told why, with one stream of output', async () => {
    const run = await market.submit(`${COUNTS}; cat; [ $n -gt 2 ] || exit $n; echo ok > $ISHARE_OUT/r`, {
      restart: { policy: 'on-failure', maximum: 5 },
      warning: { seconds: 5, signal: 10 }
    })
    expect(run.lease.payload.restart).to.deep.equal({ policy: 'on-failure', maximum: 5 })
    expect(run.lease.payload.warning).to.deep.equal({ seconds: 5, signal: 10 })
    await run.writeStdin(Buffer.from('typed\n'))
    await run.endStdin()
    const seen = await seenOf(run)
    const result = await run.done
    expect(result.outcome).to.deep.equal({ kind: 'status', status: 0 })
    expect(result.files.map(({ path }) => path)).to.deep.equal(['r'])
    expect(seen.stdout.toString()).to.equal('life 1\ntyped\nlife 2\nlife 3\n')
    expect(seen.states).to.deep.equal([
      ...['leased', 'staged', 'booting', 'running', 'exited', 'collected', 'receipt']
    ])
    const notices = seen.events.filter((event) => event.type === 'notice')
    expect(notices.map(({ code, cause }) => [code, cause])).to.deep.equal([
      ['restarting', 'program-exit'],
      ['restarting', 'program-exit']
    ])
    expect(market.client.inspect(run.runId).notice).to.include({ code: 'restarting', cause: 'program-exit' })
  })

  it('may go on beyond its lease when the owner of the machine says so', async () => {
    const run = await market.submit('read line; echo "got $line"', {
      limits: smallLimits({ durationSeconds: 3 }),
      warning: { seconds: 2 }
    })
    const serverId = market.handler.list().find(({ runId }) => runId === run.runId)?.serverId ?? ''
    const leaseEndsMs = run.lease.payload.exp * 1000
    for await (const event of run.events) if (event.type === 'notice') break
    await market.host.extend(serverId, { expiresAtMs: leaseEndsMs + 60_000 })
    await new Promise((resolve) => setTimeout(resolve, leaseEndsMs + 1500 - Date.now()))
    await run.writeStdin(Buffer.from('it\n'))
    await run.endStdin()
    expect((await run.done).outcome).to.deep.equal({ kind: 'status', status: 0 })
  })

  it('hears of the end of its lease before it comes, wherever it is attached, and once', async () => {
    const run = await market.submit('echo on; sleep 60', {
      limits: smallLimits({ durationSeconds: 6 }),
      warning: { seconds: 5 }
    })
    for await (const event of run.events) if (event.type === 'notice') break
    await run.detach()
    const again = await market.client.attach(run.runId)
    const seen = await seenOf(again)
    expect((await again.done).cut).to.equal('lease-expired')
    expect(seen.events.filter((event) => event.type === 'notice')).to.deep.equal([])
    expect(market.client.inspect(run.runId).notice?.code).to.equal('lease-ends')
  })
})
