/**
 * Attacker: the guest's root, who halts, reboots or crashes the guest kernel, or floods its console.
 * Asset: the host's knowledge of what became of the server, and its disk.
 * Outcome: the end is told for what it was; no guest comes back without its program; the log stays small.
 */
import { expect } from 'chai'
import { readFileSync, statSync } from 'node:fs'
import { guestKernelOf, leftoversOf } from '../../helpers/guest-processes.ts'
import { requires } from '../../helpers/capabilities.ts'
import { realGuests, shell, type Guests } from '../../helpers/guests.ts'

const LOG_BYTES_MAX = 64 * 1024

describe('the last acts of a guest', function () {
  this.timeout(60_000)

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

  it('a halt by its root is told as one', async () => {
    const { server, spec } = await guests.start(shell('read go; halt -f'))
    await server.stdin(0, Buffer.from('go\n'))
    expect((await server.ended).kind).to.equal('halted')
    expect(await leftoversOf(spec)).to.deep.equal([])
  })

  it('a reboot ends the server: a new life without the program would be a lie', async () => {
    // Only once it has been told that it started: no word comes out of a guest that is gone.
    const { server, spec } = await guests.start(shell('read go; reboot -f'))
    await server.stdin(0, Buffer.from('go\n'))
    expect((await server.ended).kind).to.be.oneOf(['halted', 'killed'])
    expect(await leftoversOf(spec)).to.deep.equal([])
  })

  it('a panic is told with its reason', async () => {
    const { server, spec } = await guests.start(
      shell('echo 1 > /proc/sys/vm/panic_on_oom; tr "\\0" a < /dev/zero | sort')
    )
    const end = await server.ended
    expect(end.kind).to.equal('panic')
    expect(end.detail).to.match(/^Kernel panic - not syncing: Out of memory/)
    expect(statSync(`${spec.directory}/console.log`).size).to.be.at.most(LOG_BYTES_MAX)
    expect(await leftoversOf(spec)).to.deep.equal([])
  })

  it('a flooded kernel log does not grow on the host, and the guest lives on', async () => {
    const flood =
      'echo 8 > /proc/sys/kernel/printk; i=0; while [ $i -lt 3000 ]; do echo "<0>$i flood" > /dev/kmsg; i=$((i+1)); done'
    const { server, listener, spec } = await guests.start(shell(`${flood}; echo done`))
    await listener.exited
    expect(listener.text('stdout')).to.equal('done\n')
    await server.powerOff()
    await server.ended
    expect(readFileSync(`${spec.directory}/console.log`).length).to.be.at.most(LOG_BYTES_MAX)
  })

  it('the control channel is taken: nobody else in the guest can speak for its init', async () => {
    const { listener, server } = await guests.start(
      shell('echo x > /dev/soda-channel || cat /dev/soda-channel || echo no')
    )
    await listener.exited
    expect(listener.text('stdout')).to.equal('no\n')
    expect(guestKernelOf(server.record)).to.be.a('number')
  })

  it('init cannot be killed from inside', async () => {
    const { listener, server } = await guests.start(
      shell('kill -9 1; kill -TERM 1; kill -SEGV 1; kill -STOP 1; sleep 0.2; echo alive')
    )
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    expect(listener.text('stdout')).to.equal('alive\n')
    await server.powerOff()
    expect((await server.ended).kind).to.equal('halted')
  })
})
