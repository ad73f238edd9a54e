import { expect } from 'chai'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import { startDaemon } from '../../../soda-host/daemon/index.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { GIB } from '../../../src/constants.ts'
import { requires } from '../../helpers/capabilities.ts'
import { quietLog } from '../../helpers/daemon/quiet-log.ts'
import { EventReader, seenOf } from '../../helpers/irun/events.ts'
import { openMarket, RULES, smallLimits, type Market } from '../../helpers/irun/market.ts'
import { HOST_ADDRESS, openWorld, PUBLIC, type World } from '../../helpers/switch/world.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const UPSTREAM = '9.9.9.9'
const EGRESS = { kind: 'allow' as const, to: [{ host: 'good.example', protocol: 'tcp' as const, port: 443 }] }
const INBOUND = [8080]
/** Guaranteed outward; with 0, only what others leave, here nothing. */
const RATE = { outboundBitsPerSecond: 10_000_000 }
/** Waits for a line between what it reaches and its end. */
const LOOK = `
reach() { echo | nc -w 1 $1 $2 2>/dev/null | grep -q . && echo "$1 $2 yes" || echo "$1 $2 no"; }
reach good.example 443
reach good.example 80
reach ${PUBLIC[0]} 80
(while true; do echo hello | nc -l -p 8080; done) &
echo looked
read line
`

describe('what a run has outside, from rules to lease to a real guest', function () {
  this.timeout(120_000)
  const undo = new AsyncDisposableStack()
  let world: World
  let host: HostClient
  let market: Market

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap', 'nftables')
    world = undo.use(await openWorld(0, [UPSTREAM]))
    const server = fileURLToPath(new URL('../../fixtures/switch/dns-server.ts', import.meta.url))
    await world.start(world.others, process.execPath, [server, UPSTREAM])
    const { path } = undo.use(await temporaryDirectory())
    const socketPath = join(path, 'run', 'host.sock')
    undo.use(
      await startDaemon(
        {
          stateDir: join(path, 'state'),
          socketPath,
          slice: { ...SUITE_SLICE, ...RATE },
          artifactsPath: process.env['ISHARE_ARTIFACTS'] ?? '',
          uplink: { kind: 'nat' },
          nameServers: [UPSTREAM],
          publish: { address: HOST_ADDRESS, firstPort: 20_000, lastPort: 20_009 },
          hostNamespace: world.host
        },
        { log: quietLog }
      )
    )
    host = undo.use(hostClient({ socketPath }))
    const { images } = await host.capacity()
    const rules = { ...RULES, perRun: { ...RULES.perRun, ...RATE }, egress: EGRESS, inboundPorts: INBOUND }
    const slice = {
      architecture: 'x86_64' as const,
      cpu: 1,
      memoryBytes: GIB,
      diskBytes: GIB,
      count: 2,
      ...RATE
    }
    market = undo.use(await openMarket({ host: () => host, offer: { images, rules, slice } }))
  })
  after(() => undo.disposeAsync())

  it('is in the lease, and exactly that is open', async () => {
    const run = await market.submit(LOOK, { limits: smallLimits(RATE) })
    await new EventReader(run).output('looked')
    expect(run.lease.payload).to.deep.include({ egress: EGRESS, inboundPorts: INBOUND })
    const [server] = (await host.outside()).servers
    expect(server?.egress).to.deep.equal(EGRESS)
    expect(server?.published.map(({ port }) => port)).to.deep.equal(INBOUND)
    expect(await world.trespasses()).to.deep.equal([])
    const published = { protocol: 'tcp' as const, address: HOST_ADDRESS, port: 20_000 }
    // One connection at a time is taken in there, and none before its program listens.
    while ((await world.probe(world.others, [published]))[0] !== true)
      expect((await host.list()).map(({ state }) => state)).to.deep.equal(['running'])
    await run.writeStdin(Buffer.from('done\n'))
    await run.done
    const again = await market.client.attach(run.runId, { fromStart: true })
    expect((await seenOf(again)).stdout.toString().split('\n').slice(0, 3)).to.deep.equal([
      'good.example 443 yes',
      'good.example 80 no',
      `${PUBLIC[0]} 80 no`
    ])
  })
})
