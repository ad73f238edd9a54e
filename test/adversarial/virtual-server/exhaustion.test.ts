/**
 * Attacker: a program that takes all the memory, disk, processes or output it can get.
 * Asset: the host and the neighbours.
 * Outcome: it hurts its own server only; the bounds of the lease hold on the host's side.
 */
import { expect } from 'chai'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { hostKnobs } from '../../../soda-host/resources/limits.ts'
import { requires } from '../../helpers/capabilities.ts'
import { readFiles, RecordingListener } from '../../helpers/launched.ts'
import { leftoversOf, processesOf } from '../../helpers/guest-processes.ts'
import { realGuests, shell, type Guest, type Guests } from '../../helpers/guests.ts'
import { umlLauncher } from '../../../soda-host/virtual-server/index.ts'

const MIB = 1024 * 1024
const BLOCK_BYTES = 512

describe('a program that takes what it can get', function () {
  this.timeout(60_000)

  const resources: AsyncDisposable[] = []
  let guests: Guests
  let neighbour: Guest

  beforeEach(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    guests = await realGuests()
    resources.push(guests)
    neighbour = await guests.start(shell('while read line; do echo "alive $line"; done'))
  })

  afterEach(async () => {
    for (const resource of resources.splice(0)) await resource[Symbol.asyncDispose]()
  })

  /** The neighbour still answers. */
  async function neighbourLives(): Promise<void> {
    await neighbour.server.stdin(0, Buffer.from('x\n'))
    await neighbour.listener.until((seen) => seen.text('stdout').includes('alive x'))
  }

  it('is stopped by its own kernel when it takes all memory; the host gives no more than promised', async () => {
    // One endless line: sort must hold all of it.
    const { server, listener, spec } = await guests.start(
      shell('tr "\\0" a < /dev/zero | sort; echo still here')
    )
    await listener.exited
    expect(listener.text('stdout')).to.equal('still here\n')
    expect(listener.text('stderr')).to.include('Killed')
    const { memoryPeakBytes } = await server.usage()
    expect(memoryPeakBytes).to.be.at.most(hostKnobs(spec.limits).memoryMaxBytes)
    await neighbourLives()
    await server.kill()
    expect(await leftoversOf(spec)).to.deep.equal([])
  })

  it('fills its own disk and no more, and what it wrote comes back', async () => {
    const script =
      'echo kept > "$ISHARE_OUT/small"; dd if=/dev/urandom of="/work/big" bs=64k 2>/dev/null; rm /work/big; echo "full"'
    const { server, listener, spec } = await guests.start(shell(script))
    await listener.exited
    expect(listener.text('stdout')).to.equal('full\n')
    const { size, blocks } = statSync(`${spec.directory}/disk.ext4`)
    expect(size).to.equal(spec.limits.diskBytes)
    expect(blocks * BLOCK_BYTES).to.be.at.most(spec.limits.diskBytes + MIB)
    expect((await readFiles(server.getFiles())).get('small')?.toString()).to.equal('kept\n')
    await neighbourLives()
  })

  it('makes files without end on its own disk only, and goes on when they are gone', async () => {
    const script = `mkdir d; cd d; seq 5000 | xargs touch 2>/dev/null; echo "made $(ls | wc -l)"; cd ..
rm -r d; echo kept > "$ISHARE_OUT/small"; echo done`
    const diskBytes = 16 * MIB
    const first = await guests.spec()
    const { server, listener, spec } = await guests.start(shell(script), {
      limits: { ...first.limits, diskBytes }
    })
    await listener.exited
    const [, made] = /^made (\d+)\ndone\n$/.exec(listener.text('stdout')) ?? []
    // As many as mkfs gives a disk of this size, less those of the system.
    expect(Number(made)).to.be.within(1000, 4096)
    expect(readdirSync(spec.directory).length).to.be.lessThan(20)
    expect(statSync(`${spec.directory}/disk.ext4`).blocks * BLOCK_BYTES).to.be.at.most(diskBytes + MIB)
    expect((await readFiles(server.getFiles())).get('small')?.toString()).to.equal('kept\n')
    await neighbourLives()
  })

  it('forks without end within its limit of processes, and dies as one', async () => {
    const { server, listener, spec } = await guests.start(
      shell('echo go; bomb() { while :; do (bomb) & done; }; bomb')
    )
    await listener.until(({ outputBytes }) => outputBytes >= 3)
    await neighbourLives()
    const [group = ''] = server.record.cgroups
    const { hostProcessesMax } = hostKnobs(spec.limits)
    expect(processesOf(server.record).length).to.be.at.most(hostProcessesMax)
    expect(readFileSync(`${group}/cgroup.procs`, 'utf8').split('\n').length).to.be.at.most(
      hostProcessesMax + 1
    )
    // As the same slot of another daemon has: the host's kernel counts by uid.
    const namesake = await guests.start(
      shell('for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait; echo done'),
      {
        slot: spec.slot
      }
    )
    await namesake.listener.exited
    expect([namesake.listener.text('stdout'), namesake.listener.text('stderr')]).to.deep.equal(['done\n', ''])
    await namesake.server.kill()
    await server.kill()
    expect(await leftoversOf(spec)).to.deep.equal([])
    await neighbourLives()
  })

  it('prints without end only as fast as its output is taken', async () => {
    const spec = await guests.spec()
    const listener = new RecordingListener()
    listener.isCountingOnly = true
    const gate = Promise.withResolvers<undefined>()
    const first = Promise.withResolvers<undefined>()
    const server = await umlLauncher().launch(spec, {
      output: async (stream, data, offset) => {
        first.resolve(undefined)
        await gate.promise
        await listener.output(stream, data, offset)
      },
      stdinTaken: () => undefined,
      programExited: (exit) => listener.programExited(exit)
    })
    try {
      await server.ready()
      await server.run(shell('head -c 40000000 /dev/zero'))
      await first.promise
      const before = process.memoryUsage().rss
      // The neighbour's round trip is time enough for the printer to run ahead, if it could.
      await neighbourLives()
      expect(process.memoryUsage().rss - before).to.be.lessThan(20 * MIB)
      gate.resolve(undefined)
      await listener.exited
      expect(listener.outputBytes).to.equal(40_000_000)
    } finally {
      gate.resolve(undefined)
      await server.kill()
    }
    expect(await leftoversOf(spec)).to.deep.equal([])
  })
})
