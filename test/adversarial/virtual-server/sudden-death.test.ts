/**
 * Attacker: chance, or a kill -9 at the worst moment: of the guest kernel, of the jail, of the daemon.
 * Asset: the host's tidiness and the work of a guest.
 * Outcome: the end of a guest is always told and leaves nothing; the end of a daemon harms no guest.
 */
import { expect } from 'chai'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { umlLauncher } from '../../../soda-host/virtual-server/index.ts'
import type { LaunchSpec, ProcessRecord, ProgramSpec } from '../../../soda-host/virtual-server/types.ts'
import { requires } from '../../helpers/capabilities.ts'
import {
  guestKernelOf,
  leftoversOf,
  readOrEmpty,
  statusField,
  tracesOf
} from '../../helpers/guest-processes.ts'
import { realGuests, shell, type Guest, type Guests } from '../../helpers/guests.ts'
import { RecordingListener } from '../../helpers/launched.ts'

const STAND_IN = join(import.meta.dirname, '../../fixtures/launcher-stand-in.ts')

describe('sudden death', function () {
  // Many boots, on machines that are busy.
  this.timeout(120_000)

  const resources: AsyncDisposable[] = []
  let guests: Guests

  beforeEach(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    guests = await realGuests()
    resources.push(guests)
  })

  afterEach(async () => {
    for (const resource of resources.splice(0)) await resource[Symbol.asyncDispose]()
  })

  it('of the guest kernel at any moment is told, and nothing is left', async () => {
    for (const afterMs of [0, 5, 15, 30, 50, 80, 120, 200]) {
      const spec = await guests.spec()
      const server = await umlLauncher().launch(spec, new RecordingListener())
      const ready = server.ready().then(() => server.run(shell('yes > /dev/null')))
      ready.catch(() => undefined)
      await delay(afterMs)
      const kernel = guestKernelOf(server.record)
      process.kill(kernel ?? server.record.pid, 'SIGKILL')
      expect((await server.ended).kind, `after ${afterMs} ms`).to.equal('killed')
      expect(await leftoversOf(spec), `after ${afterMs} ms`).to.deep.equal([])
    }
  })

  it('of any single process of a server leaves no half of a guest', async () => {
    const hostProcesses = ({ server }: Guest): number[] => {
      const [group = ''] = server.record.cgroups
      return readOrEmpty(`${group}/cgroup.procs`).split('\n').filter(Boolean).map(Number)
    }
    const count = hostProcesses(await guests.start(shell('cat'))).length
    expect(count).to.be.greaterThan(4)
    for (let nth = 0; nth < count; nth++) {
      const guest = await guests.start(shell('cat'))
      const victim = hostProcesses(guest)[nth]
      const name = statusField(victim ?? 0, 'Name')
      if (victim !== undefined) process.kill(victim, 'SIGKILL')
      // A guest program's own process, and the keeper of the console, may die without the guest.
      if (['uml-userspace', 'tail'].includes(name)) await guest.server.kill()
      else expect((await guest.server.ended).kind, name).to.equal('killed')
      expect(await leftoversOf(guest.spec), name).to.deep.equal([])
    }
  })

  it('of the daemon leaves the guest alive, to be adopted from another process', async () => {
    const spec = await guests.spec()
    const program = shell('echo before; read line; echo "after $line"; exit 6')
    const { daemon, record } = await standIn(spec, program)
    const exit = once(daemon, 'exit')
    daemon.kill('SIGKILL')
    await exit
    const listener = new RecordingListener()
    const adopted = await umlLauncher().adopt(spec, record, listener)
    if (!adopted.isAlive) throw new Error('the guest died with its daemon')
    const { server } = adopted
    await server.ready()
    await server.stdin(0, Buffer.from('all\n'))
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 6 })
    expect(listener.text('stdout')).to.match(/after all\n$/)
    await server.powerOff()
    expect((await server.ended).kind).to.equal('halted')
    expect(await leftoversOf(spec)).to.deep.equal([])
  })

  it('of the daemon at any moment of a launch leaves nothing after a sweep', async () => {
    for (const afterMs of [100, 150, 200, 250, 300, 400]) {
      const spec = await guests.spec()
      const daemon = spawn(process.execPath, [STAND_IN, JSON.stringify(spec), JSON.stringify(shell('cat'))], {
        stdio: 'ignore'
      })
      const exit = once(daemon, 'exit')
      await delay(afterMs)
      daemon.kill('SIGKILL')
      await exit
      await umlLauncher().sweep(spec)
      expect(await leftoversOf(spec), `after ${afterMs} ms: ${tracesOf(spec).join()}`).to.deep.equal([])
    }
  })
})

async function standIn(
  spec: LaunchSpec,
  program: ProgramSpec
): Promise<{ daemon: ChildProcess; record: ProcessRecord }> {
  const args = [STAND_IN, JSON.stringify(spec), JSON.stringify(program)]
  const daemon = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface({ input: daemon.stdout }), 'line')) as [string]
  return { daemon, record: JSON.parse(line) as ProcessRecord }
}
