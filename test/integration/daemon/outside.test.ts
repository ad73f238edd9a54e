import { expect } from 'chai'
import { join } from 'node:path'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import { startDaemon, type Daemon } from '../../../soda-host/daemon/index.ts'
import type { HostServerSpec } from '../../../irun/host.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { requires } from '../../helpers/capabilities.ts'
import { quietLog } from '../../helpers/daemon/quiet-log.ts'
import { bytesOf, serverSpec, textOf } from '../../helpers/daemon/server-spec.ts'
import { HOST_ADDRESS, openWorld, PUBLIC, type World } from '../../helpers/switch/world.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { fileURLToPath } from 'node:url'

const UPSTREAM = '9.9.9.9'
const [WEB] = PUBLIC as [string, string]
const INTERNET = { kind: 'internet' } as const
const NAMED = { kind: 'allow' as const, to: [{ host: 'good.example', protocol: 'tcp' as const, port: 443 }] }

/** Which of some places a program in a guest reaches, and what it was told about the network. */
const LOOK = `
reach() { echo | nc -w 1 $1 $2 2>/dev/null | grep -q . && echo "$3 yes" || echo "$3 no"; }
ip route | grep -q default && echo "route yes" || echo "route no"
cat /etc/resolv.conf 2>/dev/null
reach ${WEB} 443 web
reach good.example 443 name
reach ${WEB} 80 port
reach ${HOST_ADDRESS} 22 host
reach 192.168.7.9 80 lan
reach 169.254.169.254 80 metadata
`

describe('what guests reach outside, with the daemon', function () {
  this.timeout(120_000)
  let world: World
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let daemon: Daemon
  let host: HostClient

  const start = async (): Promise<void> => {
    daemon = await startDaemon(
      {
        stateDir: join(directory.path, 'state'),
        socketPath: join(directory.path, 'run', 'host.sock'),
        slice: SUITE_SLICE,
        artifactsPath: process.env['ISHARE_ARTIFACTS'] ?? '',
        uplink: { kind: 'nat' },
        nameServers: [UPSTREAM],
        publish: { address: HOST_ADDRESS, firstPort: 20_000, lastPort: 20_009 },
        hostNamespace: world.host
      },
      { log: quietLog }
    )
  }

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap', 'nftables')
    world = await openWorld(0, [UPSTREAM])
    const server = fileURLToPath(new URL('../../fixtures/switch/dns-server.ts', import.meta.url))
    await world.start(world.others, process.execPath, [server, UPSTREAM])
    directory = await temporaryDirectory()
    await start()
    host = hostClient({ socketPath: join(directory.path, 'run', 'host.sock') })
  })
  after(async () => {
    for (const { id } of await host.list()) await host.destroy(id)
    await host.close()
    await daemon.stop()
    await directory[Symbol.asyncDispose]()
    await world[Symbol.asyncDispose]()
  })

  const run = async (spec: HostServerSpec): Promise<string[]> => {
    await host.create(spec)
    await host.start(spec.id)
    const ended = await host.wait(spec.id)
    expect(ended.state, JSON.stringify(ended.reason)).to.equal('exited')
    const lines = textOf(await bytesOf(host.output(spec.id, { offset: 0, follow: false })), 1)
      .trim()
      .split('\n')
    return lines
  }
  const nowhere = ['web no', 'name no', 'port no', 'host no', 'lan no', 'metadata no']

  it('is nothing, without a route or an answer to a name, where nothing was granted', async () => {
    expect(await run(serverSpec(LOOK))).to.deep.equal(['route no', 'nameserver 10.83.0.1', ...nowhere])
    expect(await world.trespasses()).to.deep.equal([])
  })

  it('is what was granted by name, and no other port or place', async () => {
    const lines = await run(serverSpec(LOOK.replaceAll(`reach ${WEB} 443 web`, ''), { egress: NAMED }))
    expect(lines).to.deep.equal([
      'route yes',
      'nameserver 10.83.0.1',
      'name yes',
      'port no',
      'host no',
      'lan no',
      'metadata no'
    ])
    expect(await world.trespasses()).to.deep.equal([])
  })

  it('is the Internet and nobody’s own network with that grant', async () => {
    expect(await run(serverSpec(LOOK, { egress: INTERNET }))).to.deep.equal([
      'route yes',
      'nameserver 10.83.0.1',
      'web yes',
      'name yes',
      'port yes',
      'host no',
      'lan no',
      'metadata no'
    ])
    expect(await world.trespasses()).to.deep.equal([])
  })

  it('includes being reached at a published port, which is shown, and outlives the daemon', async () => {
    const spec = serverSpec('while true; do echo hello | nc -l -p 8080; done', { inboundPorts: [8080] })
    await host.create(spec)
    const { published } = await host.start(spec.id)
    expect(published).to.deep.equal([{ port: 8080, publishedAddress: HOST_ADDRESS, publishedPort: 20_000 }])
    const reached = async (): Promise<boolean> =>
      (await world.probe(world.others, [{ protocol: 'tcp', address: HOST_ADDRESS, port: 20_000 }]))[0] ===
      true
    while (!(await reached())) expect((await host.inspect(spec.id)).state).to.be.oneOf(['booting', 'running'])
    await daemon.stop()
    expect(await reached(), 'while there is no daemon').to.be.true
    await start()
    expect(await reached(), 'with the next one').to.be.true
    const outside = await host.outside()
    expect(outside.uplink).to.equal('nat')
    expect(outside.servers).to.deep.equal([{ id: spec.id, egress: { kind: 'none' }, published }])
    await host.destroy(spec.id)
    expect(await reached(), 'when it is gone').to.be.false
    expect((await host.outside()).servers).to.deep.equal([])
  })
})
