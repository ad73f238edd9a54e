/**
 * Attacker: a program in a guest, as the guest's root.
 * Asset: guest init and the control channel: the daemon must be able to see, end and collect any program.
 * Expected: init answers throughout; the program's end is reported; the guest powers off when told.
 */
import { expect } from 'chai'
import { bareGuest, type BareGuest } from '../../helpers/bare-guest.ts'
import { requires } from '../../helpers/capabilities.ts'
import { shell } from '../../helpers/guests.ts'
import { inputFile, readFiles } from '../../helpers/launched.ts'

const MIB = 1024 * 1024

/** Everything that a daemon may still want of a guest. */
async function isInOrder(guest: BareGuest, path: string): Promise<void> {
  await guest.channel.putFile(inputFile(path, 'x'))
  await readFiles(guest.channel.getFiles())
}

async function endsByKill(guest: BareGuest): Promise<void> {
  await guest.channel.signal(9)
  expect(await guest.listener.exited).to.deep.equal({ kind: 'signal', signal: 9 })
  await guest.channel.powerOff()
  await guest.ended
  expect(guest.console()).not.to.match(/panic/i)
}

async function started(script: string): Promise<AsyncDisposable & BareGuest> {
  const guest = await bareGuest({ processesMax: 100 })
  guest.listener.isCountingOnly = true
  await guest.channel.run(shell(`echo ready; ${script}`))
  await guest.listener.until(({ outputBytes }) => outputBytes >= 6)
  return guest
}

describe('a hostile program in a guest', function () {
  this.timeout(120_000)
  before(function () {
    requires(this, 'uml')
  })

  it('that forks without end is bounded, and ended', async () => {
    await using guest = await started('bomb() { bomb | bomb & }; bomb; sleep 1000')
    for (let i = 0; i < 20; i++) await isInOrder(guest, `f${i}`)
    await endsByKill(guest)
  })

  it('that forks in new sessions is ended with the first', async () => {
    await using guest = await started(
      'cat > /tmp/b <<"E"\nwhile :; do setsid sh /tmp/b & done\nE\nsetsid sh /tmp/b & sleep 1000'
    )
    for (let i = 0; i < 20; i++) await isInOrder(guest, `f${i}`)
    await endsByKill(guest)
  })

  it('cannot have more processes than its server', async () => {
    await using guest = await bareGuest({ processesMax: 40 })
    await guest.channel.run(shell('for i in $(seq 200); do sleep 1000 & done; ls -d /proc/[0-9]* | wc -l'))
    await guest.listener.exited
    // Kernel threads and their reserve are in this figure.
    const seen = Number(guest.listener.text('stdout').trim() || '0')
    expect(seen).to.be.below(120)
  })

  it('that takes all memory is killed, not init', async () => {
    await using guest = await bareGuest()
    // tail keeps everything that has no line end.
    await guest.channel.run(shell('tail /dev/zero; echo survived'))
    expect(await guest.listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    expect(guest.listener.text('stdout')).to.include('survived')
    await isInOrder(guest, 'f')
  })

  it('that takes all memory in many processes at once is killed, not init', async () => {
    await using guest = await started(
      'for i in 1 2 3 4 5 6 7 8; do tail /dev/zero & done; while :; do wait; tail /dev/zero & done'
    )
    for (let i = 0; i < 20; i++) await isInOrder(guest, `f${i}`)
    await endsByKill(guest)
  })

  it('that fills the memory file systems leaves room to run', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(
      shell(
        'for d in /tmp /run /dev/shm /dev; do dd if=/dev/zero of=$d/fill bs=64k; done 2>/dev/null; echo full'
      )
    )
    expect(await guest.listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    expect(guest.listener.text('stdout')).to.equal('full\n')
    await isInOrder(guest, 'f')
  })

  it('that fills the disk and all inodes can still be ended and collected', async () => {
    await using guest = await bareGuest({ diskBytes: 8 * MIB })
    await guest.channel.run(
      shell('echo keep > /out/keep; dd if=/dev/zero of=/fill bs=64k 2>/dev/null; echo full')
    )
    await guest.listener.exited
    expect((await readFiles(guest.channel.getFiles())).get('keep')?.toString()).to.equal('keep\n')
    await guest.channel.powerOff()
    await guest.ended
  })

  it('that kills everybody does not kill init', async () => {
    await using guest = await started(
      'trap "" TERM INT HUP; for i in $(seq 50); do kill -9 1; kill -TERM 1; done; kill -9 -1; sleep 1000'
    )
    await isInOrder(guest, 'f')
    await endsByKill(guest)
  })

  it('that closes its output is still waited for, and its status is told', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(shell('exec >&- 2>&- <&-; sleep 0.2; exit 9'))
    expect(await guest.listener.exited).to.deep.equal({ kind: 'status', status: 9 })
  })

  it('whose grandchild holds its output open does not keep its end from being told', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(shell('setsid sleep 100000 & exit 3'))
    expect(await guest.listener.exited).to.deep.equal({ kind: 'status', status: 3 })
  })

  it('that hangs up its terminal and opens it again goes on with it', async () => {
    await using guest = await bareGuest()
    const script = 'exec 0<&- 1>&- 2>&-; sleep 0.2; exec 0</dev/pts/0 1>/dev/pts/0; echo again; exit 2'
    await guest.channel.run(shell(script, { terminal: { columns: 80, rows: 24 } }))
    expect(await guest.listener.exited).to.deep.equal({ kind: 'status', status: 2 })
    expect(guest.listener.text('stdout')).to.equal('again\r\n')
  })

  it('that stops itself and its children can be ended', async () => {
    await using guest = await started('sleep 1000 & kill -STOP $!; kill -STOP $$; echo never')
    await isInOrder(guest, 'f')
    await endsByKill(guest)
  })

  it('that prints one byte at a time to both streams loses none', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(shell('i=0; while [ $i -lt 2000 ]; do printf a; printf b >&2; i=$((i+1)); done'))
    await guest.listener.exited
    expect(guest.listener.text('stdout')).to.equal('a'.repeat(2000))
    expect(guest.listener.text('stderr')).to.equal('b'.repeat(2000))
  })

  it('that unmounts, moves and covers what init uses harms its own result only', async () => {
    await using guest = await started(
      'umount -l /proc; mount -t tmpfs none /work; rm -rf /out; echo x > /out; umount -l /dev/pts /dev; chmod 0 /; sleep 1000'
    )
    await guest.channel.putFile(inputFile('f', 'x')).catch(() => undefined)
    await readFiles(guest.channel.getFiles()).catch(() => undefined)
    await endsByKill(guest)
  })
})
