/**
 * Attacker: root inside a guest, with everything that its own kernel lets it do, on the very CPU of its victim.
 * Asset: the victim, which serves over a link; the host, whose daemon is asked, and starts others, meanwhile.
 * Outcome: every answer of the victim is right, the next server starts, the attacker stays within its lease by the
 * host's own count, and nothing of it is left when it is gone.
 */
import { expect } from 'chai'
import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { allowedCpus } from '../../../soda-host/resources/cpu-balancer.ts'
import { hostKnobs } from '../../../soda-host/resources/limits.ts'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import { KIB, MIB } from '../../../src/constants.ts'
import { attackerOf, ATTACKS, type Attack } from '../../helpers/attacks.ts'
import { requires } from '../../helpers/capabilities.ts'
import { startDaemonProcess, type DaemonProcess } from '../../helpers/daemon/daemon-process.ts'
import { elementsOf, footprintOf, placesOf, remainsOf, type Places } from '../../helpers/daemon/footprint.ts'
import { Puppet } from '../../helpers/daemon/puppet.ts'
import { bytesOf, serverSpec, textOf } from '../../helpers/daemon/server-spec.ts'
import { descriptorsOf } from '../../helpers/guest-processes.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const WORKER = join(import.meta.dirname, '..', '..', 'fixtures', 'guest', 'worker.py')
const PORT = 8000
const REQUESTS = 5
const REQUEST_BYTES = 20_000
const HONEST = { cpu: 0.3, memoryBytes: 96 * MIB, diskBytes: 32 * MIB }
const PIECES = 20
const PIECE_BYTES = MIB
const HOSTILE = { cpu: 0.3, memoryBytes: 64 * MIB, diskBytes: 64 * MIB, outputBytesMax: MIB }
/** Beside disk and output: console, names, directories. */
const DISK_OVERHEAD_BYTES = MIB
/** What a kernel charges to a full group when it cannot do otherwise. @see try_charge_memcg(), `force` */
const FORCED_BYTES = MIB

describe('a victim on the CPU of a guest that', function () {
  this.timeout(120_000)
  const undo = new AsyncDisposableStack()
  let config: DaemonConfig
  let daemon: DaemonProcess
  let host: HostClient
  let victim: Puppet
  let client: Puppet
  /** Of the host, when only the honest ones are there. */
  let calm: { granting: string[]; descriptors: string[] }

  before(async function () {
    requires(this, 'root', 'uml', 'nftables', 'bubblewrap', 'cgroups')
    const directory = undo.use(await temporaryDirectory()).path
    config = {
      stateDir: join(directory, 'state'),
      socketPath: join(directory, 'run', 'host.sock'),
      slice: { cpu: 1, memoryBytes: 512 * MIB, diskBytes: 512 * MIB, servers: 5 },
      artifactsPath: process.env['ISHARE_ARTIFACTS'] ?? '',
      cpus: allowedCpus().slice(0, 1)
    }
    daemon = await startDaemonProcess(config, { guests: 'network' })
    undo.defer(async () => {
      await daemon.terminate()
    })
    host = undo.use(hostClient({ socketPath: config.socketPath }))
    undo.defer(async () => {
      for (const { id } of await host.list()) await host.destroy(id)
    })
    const files = { 'worker.py': await readFile(WORKER) }
    const honest = () =>
      Puppet.start(
        host,
        { argv: ['python3', '-u', 'worker.py'], env: {} },
        { image: 'debian', limits: HONEST, files }
      )
    ;[victim, client] = await Promise.all([honest(), honest()])
    await victim.tell(`serve ${PORT}`, 'serving')
    await victim.located()
    await host.putLink({ from: client.id, to: victim.id, protocol: 'tcp', port: PORT })
    await served()
    calm = await look()
  })

  after(async () => {
    await undo.disposeAsync()
  })

  afterEach(async () => {
    for (const { id } of await host.list()) if (id !== victim.id && id !== client.id) await host.destroy(id)
  })

  /** The victim forks, executes, and uses disk and network for every answer. */
  async function served(): Promise<void> {
    const said = await client.tell(
      `ask ${victim.ipv4} ${PORT} ${REQUESTS} ${REQUEST_BYTES}`,
      'asked',
      'wrong'
    )
    expect(said).to.match(new RegExp(`^asked ${REQUESTS} `))
  }

  async function hostWorks(): Promise<void> {
    const { id } = await host.create(serverSpec('echo new', { limits: { cpu: 0.1 } }))
    await host.start(id)
    const { state, exit } = await host.wait(id)
    expect([state, exit]).to.deep.equal(['exited', { kind: 'status', status: 0 }])
    expect(textOf(await bytesOf(host.output(id, { offset: 0, follow: true })), 1)).to.equal('new\n')
    await host.destroy(id)
    expect((await host.capacity()).used.servers).to.be.within(2, 3)
  }

  async function look(): Promise<typeof calm> {
    const { granting } = await elementsOf(config.stateDir)
    const descriptors = [...descriptorsOf(daemon.child.pid!).values()].filter((path) => path.startsWith('/'))
    return { granting, descriptors: descriptors.sort() }
  }

  async function launch(attack: Attack): Promise<{ attacker: Puppet; places: Places }> {
    const { program, image } = attackerOf(attack)
    const attacker = await Puppet.start(host, program, { image, limits: { ...HOSTILE, ...attack.limits } })
    await attacker.said(/^here/m)
    await attacker.located()
    return { attacker, places: await placesOf(config.stateDir, attacker.id, attacker.slot) }
  }

  /** Killed by its own kernel, or by the host's for what it took of its own; or its kernel has died. */
  async function endsByIt(id: string): Promise<void> {
    const { exit, reason } = await host.wait(id)
    if (exit === undefined) expect(reason?.code).to.be.oneOf(['guest-panic', 'guest-killed'])
    else expect(exit).to.deep.equal({ kind: 'signal', signal: constants.signals.SIGKILL })
  }

  async function inForce(attacker: Puppet, attack: Attack): Promise<void> {
    if (attack.says !== undefined) await attacker.said(attack.says)
    while (attack.shows?.(await host.inspect(attacker.id)) === false);
    if (attack.isItsEnd === true) await endsByIt(attacker.id)
  }

  /** Asks for more than anybody would, and waits for none of it. */
  function pester(id: string): { answers: number } & AsyncDisposable {
    const over = new AbortController()
    const { signal } = over
    const executed = async (): Promise<void> => {
      const session = await host.exec(id, { argv: ['true'], env: {} }, signal)
      signal.addEventListener('abort', () => session.close())
      await session.exited
    }
    const asked = Array.from({ length: PIECES }, (_, piece): Promise<unknown>[] => [
      host.stdin(id, 'go\n'.length + piece * PIECE_BYTES, Buffer.alloc(PIECE_BYTES), { signal }),
      host.signal(id, constants.signals.SIGHUP, signal),
      executed()
    ]).flat()
    const pestering = {
      answers: 0,
      async [Symbol.asyncDispose]() {
        over.abort()
        await Promise.allSettled(asked)
      }
    }
    for (const promise of asked)
      promise.then(
        () => (pestering.answers += 1),
        () => undefined
      )
    return pestering
  }

  async function stayedWithinLease(id: string, places: Places): Promise<void> {
    const { limits } = await host.inspect(id)
    const { memoryMaxBytes, hostProcessesMax } = hostKnobs(limits)
    const { memoryPeakBytes, processes, diskBytes } = footprintOf(places)
    expect(memoryPeakBytes, 'memory').to.be.within(1, memoryMaxBytes + FORCED_BYTES)
    expect(processes, 'processes').to.be.within(1, hostProcessesMax)
    const spoolBytes = 2 * limits.outputBytesMax + 64 * KIB
    expect(diskBytes, 'disk').to.be.at.most(limits.diskBytes + spoolBytes + DISK_OVERHEAD_BYTES)
  }

  for (const attack of ATTACKS)
    it(attack.name, async () => {
      const { attacker, places } = await launch(attack)
      // One whose init stops at once may never say that it has taken this.
      attacker.say('go').catch(() => undefined)
      await inForce(attacker, attack)
      const isDeaf = attack.isDeaf === true && !attacker.lines.includes('refused')
      await using pestering = isDeaf ? pester(attacker.id) : undefined
      await Promise.all([served(), hostWorks()])
      await served()
      expect(pestering?.answers ?? 0).to.equal(0)
      expect(attacker.lines.filter((line) => line.startsWith('got'))).to.deep.equal([])
      if (attack.isItsEnd !== true) {
        expect((await host.inspect(attacker.id)).state).to.equal('running')
        await stayedWithinLease(attacker.id, places)
      }
      await host.destroy(attacker.id)
      expect(remainsOf(places)).to.deep.equal([])
      expect(await look()).to.deep.equal(calm)
      await served()
    })
})
