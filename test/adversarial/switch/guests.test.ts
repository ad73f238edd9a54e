/**
 * Attacker: root inside a guest, in its real kernel.
 * Asset: the guest beside it, and its own promise of a network when it is let talk.
 * Expected: denied, then linked, then allowed, in one direction and on one port; forged frames go nowhere; neither
 * the daemon's sudden death nor its absence cuts a connection; a link that is taken away does. A name that a link gives
 * is known to the one server, and as long as the link stands.
 */
import { expect } from 'chai'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MIB } from '../../../src/constants.ts'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { requires } from '../../helpers/capabilities.ts'
import { type DaemonProcess, startDaemonProcess } from '../../helpers/daemon/daemon-process.ts'
import { Puppet } from '../../helpers/daemon/puppet.ts'
import { serverSpec } from '../../helpers/daemon/server-spec.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const SCRIPT = join(import.meta.dirname, '..', '..', 'fixtures', 'switch', 'guest_peer.py')

const LIMITS = { cpu: 0.5, memoryBytes: 96 * MIB, diskBytes: 32 * MIB, outboundBitsPerSecond: 2e6 }

/** A guest that does as it is told. */
async function peer(host: HostClient): Promise<Puppet> {
  const program = { argv: ['python3', '-u', 'peer.py'], env: {} }
  const files = { 'peer.py': await readFile(SCRIPT) }
  return await Puppet.start(host, program, { image: 'debian', limits: LIMITS, files })
}

describe('two guests on a switch, one of them hostile', function () {
  this.timeout(120_000)
  let undo: AsyncDisposableStack | undefined
  let config: DaemonConfig
  let daemon: DaemonProcess
  let host: HostClient
  let attacker: Puppet
  let victim: Puppet

  before(async function () {
    requires(this, 'root', 'uml', 'nftables', 'bubblewrap')
    undo = new AsyncDisposableStack()
    const directory = undo.use(await temporaryDirectory()).path
    config = {
      stateDir: join(directory, 'state'),
      socketPath: join(directory, 'run', 'host.sock'),
      slice: { ...SUITE_SLICE, cpu: 2, servers: 3 },
      artifactsPath: process.env['ISHARE_ARTIFACTS'] ?? ''
    }
    daemon = await startDaemonProcess(config, { guests: 'network' })
    undo.defer(async () => {
      await daemon.terminate()
    })
    host = undo.use(hostClient({ socketPath: config.socketPath }))
    undo.defer(async () => {
      for (const { id } of await host.list()) await host.destroy(id)
    })
    ;[attacker, victim] = await Promise.all([peer(host), peer(host)])
    await victim.tell('serve 8000', 'serving')
    await victim.tell('sniff', 'sniffing')
    await attacker.tell('serve 8000', 'serving')
    for (const puppet of [attacker, victim]) await puppet.located()
  })

  after(async () => {
    await undo?.disposeAsync()
  })

  const link = () => ({ from: attacker.id, to: victim.id, protocol: 'tcp' as const, port: 8000 })

  it('are denied, and the denial is on record under their names', async () => {
    expect(await attacker.tell(`connect ${victim.ipv4} 8000`, 'connected', 'refused')).to.include('refused')
    const denials = await host.denials()
    expect(denials.some(({ from, to }) => from === attacker.id && to === victim.id)).to.equal(true)
  })

  it('are linked, and then the same connection is allowed, but not the one back, nor another port', async () => {
    await host.putLink(link())
    expect(await attacker.tell(`connect ${victim.ipv4} 8000`, 'connected', 'refused')).to.equal('connected')
    expect(await attacker.tell(`connect ${victim.ipv4} 8001`, 'connected', 'refused')).to.include('refused')
    expect(await victim.tell(`connect ${attacker.ipv4} 8000`, 'connected', 'refused')).to.include('refused')
  })

  it('know each other by the name that the link gives, one way, and no other guest or name', async () => {
    expect(await attacker.tell('resolve victim', 'resolved', 'unknown')).to.include('unknown')
    await host.putLink({ ...link(), name: 'victim' })
    expect(await attacker.tell('resolve victim', 'resolved', 'unknown')).to.equal(`resolved ${victim.ipv4}`)
    expect(await attacker.tell('connect victim 8000', 'connected', 'refused')).to.equal('connected')
    for (const name of ['attacker', 'victim'])
      expect(await victim.tell(`resolve ${name}`, 'resolved', 'unknown')).to.include('unknown')
    expect(await attacker.tell('resolve victim.example', 'resolved', 'unknown')).to.include('unknown')
  })

  it('are given no name that means something else, or that is none', async () => {
    const third = serverSpec('true')
    await host.create(third)
    const names = ['localhost', 'a.b', '10', '0x7f', 'UP', '-x', 'x-', 'é', '', 'x'.repeat(64), 'x\ny']
    for (const name of names)
      expect(await codeOf(() => host.putLink({ ...link(), name })), name).to.equal('ERR_HOST_REQUEST')
    const taken = { from: attacker.id, to: third.id, protocol: 'tcp' as const, port: 9, name: 'victim' }
    expect(await codeOf(() => host.putLink(taken))).to.equal('ERR_HOST_REQUEST')
    await host.putLink({ ...taken, name: 'third' })
    expect(await attacker.tell('resolve third', 'resolved', 'unknown'), 'it has no port').to.include(
      'unknown'
    )
    await host.destroy(third.id)
  })

  it('forge frames as root, raw, and none is seen on the other side', async () => {
    await attacker.tell(`evil ${victim.ipv4} ${victim.mac}`, 'sent')
    // What is seen after this came later on the same cable.
    expect(await attacker.tell(`connect ${victim.ipv4} 8000`, 'connected', 'refused')).to.equal('connected')
    expect(victim.lines.filter((line) => line.startsWith('seen'))).to.deep.equal([])
  })

  it('take their interface down and up again, and have it back', async () => {
    await attacker.tell('bounce', 'bounced')
    expect(await attacker.tell(`connect ${victim.ipv4} 8000`, 'connected', 'refused')).to.equal('connected')
  })

  it('talk on while the daemon is dead, and after it is back', async () => {
    expect(await attacker.tell(`hold ${victim.ipv4} 8000`, 'holding', 'refused')).to.equal('holding')
    expect(await attacker.tell('talk', 'heard', 'cut')).to.equal('heard still there?')
    await daemon.kill()
    daemon = await startDaemonProcess(config, { guests: 'network' })
    expect(await attacker.tell('talk', 'heard', 'cut')).to.equal('heard still there?')
    expect(await host.links()).to.deep.equal([{ ...link(), name: 'victim' }])
    expect(await attacker.tell('resolve victim', 'resolved', 'unknown')).to.equal(`resolved ${victim.ipv4}`)
    expect((await host.ports()).map(({ id }) => id)).to.have.members([attacker.id, victim.id])
  })

  it('have their rate changed while they talk, within what they were created with', async () => {
    await host.setLimits(attacker.id, { outboundBitsPerSecond: 1e6 })
    const port = (await host.ports()).find(({ id }) => id === attacker.id)
    expect(port?.outboundBitsPerSecond).to.equal(1e6)
    expect(await attacker.tell('talk', 'heard', 'cut')).to.equal('heard still there?')
    const more = await codeOf(() => host.setLimits(attacker.id, { outboundBitsPerSecond: 3e6 }))
    expect(more).to.equal('ERR_HOST_REQUEST')
  })

  it('are cut in the middle of a connection when the link is taken away', async () => {
    await host.removeLink(link())
    expect(await attacker.tell('talk', 'heard', 'cut')).to.include('cut')
    expect(await attacker.tell('resolve victim', 'resolved', 'unknown')).to.include('unknown')
    expect(await attacker.tell(`connect ${victim.ipv4} 8000`, 'connected', 'refused')).to.include('refused')
  })

  it('are unlinked by the end of one of them', async () => {
    await host.putLink({ ...link(), name: 'victim' })
    expect(await attacker.tell('resolve victim', 'resolved', 'unknown')).to.equal(`resolved ${victim.ipv4}`)
    await host.destroy(victim.id)
    expect(await attacker.tell('resolve victim', 'resolved', 'unknown')).to.include('unknown')
    expect(await host.links()).to.deep.equal([])
    expect((await host.ports()).map(({ id }) => id)).to.deep.equal([attacker.id])
  })
})
