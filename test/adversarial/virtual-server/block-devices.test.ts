/**
 * Attacker: the guest's root, at the block devices that its guest kernel has, and the guest kernel itself, crashed.
 * Asset: the image that servers share, the neighbours that run from it, the host's disk.
 * Outcome: what it ruins is its own writable layer, within its size; the image stands, the neighbour works on.
 */
import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { requires } from '../../helpers/capabilities.ts'
import { leftoversOf } from '../../helpers/guest-processes.ts'
import { realGuests, shell, type Guest, type Guests } from '../../helpers/guests.ts'

describe('games with block devices and crashes', function () {
  this.timeout(60_000)

  const resources = new AsyncDisposableStack()
  let guests: Guests
  let neighbour: Guest
  let image: string

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    guests = resources.use(await realGuests())
    neighbour = await guests.start(shell('while read word; do cat /etc/passwd | wc -l; echo "$word"; done'))
    image = digestOf(neighbour.spec.imagePath)
  })

  after(async () => {
    await resources.disposeAsync()
  })

  afterEach(async function () {
    if (this.currentTest?.isFailed() === true) return
    expect(digestOf(neighbour.spec.imagePath)).to.equal(image)
    // It still reads files of the image, and answers.
    const word = `w${Math.random()}\n`
    await neighbour.server.stdin(neighbour.listener.stdinTakenBytes, Buffer.from(word))
    await neighbour.listener.until((listener) => listener.text('stdout').endsWith(word))
  })

  function digestOf(path: string): string {
    return createHash('sha256').update(readFileSync(path)).digest('hex')
  }

  it('no mount, remount or loop device makes the image writable', async () => {
    const games = [
      'mkdir /m && mount -t squashfs -o rw /dev/ubda /m; echo x > /m/x',
      'mount -o remount,rw /dev/ubda /m; echo x > /m/y',
      'mount -t ext4 /dev/ubda /m',
      'for point in $(cut -d" " -f2 /proc/mounts); do mount -o remount,rw $point; done; echo x > /m/z',
      'mknod /tmp/image b 98 0; blockdev --setrw /tmp/image; cp /bin/busybox /tmp/image',
      'losetup /dev/loop0 /dev/ubda && echo x > /dev/loop0',
      'hdparm -r0 /dev/ubda; mkfs.ext2 /dev/ubda; mke2fs -F /dev/ubda; mkswap /dev/ubda; swapon /dev/ubda',
      'dd if=/dev/zero of=/dev/ubda bs=1M count=1 seek=1000'
    ]
    const { listener, server } = await guests.start(
      shell(
        `mount -t tmpfs none /tmp; { ${games.join('; ')}; } >/dev/null 2>&1; grep ubda /proc/mounts | grep -w rw; echo tried`
      )
    )
    await listener.exited
    expect(listener.text('stdout')).to.equal('tried\n')
    await server.kill()
  })

  it('a guest that overwrites and outgrows its own disk ruins that, and no more', async () => {
    const { listener, server, spec } = await guests.start(
      shell(
        'dd if=/dev/urandom of=/dev/ubdb bs=64k count=64 2>/dev/null; dd if=/dev/zero of=/dev/ubdb bs=64k seek=100000 count=4 2>/dev/null && echo grew; sync; echo done'
      )
    )
    await listener.exited
    expect(listener.text('stdout')).to.not.include('grew')
    expect(statSync(`${spec.directory}/disk.ext4`).size).to.equal(spec.limits.diskBytes)
    await server.kill()
    expect(await leftoversOf(spec)).to.deep.equal([])
  })

  it('what a guest discards of its disk goes back to the host', async () => {
    const script = [
      'dd if=/dev/urandom of=/big bs=1M count=16 2>/dev/null; sync; echo full; read go',
      'rm /big; mkdir /l; mount -t ext4 /dev/ubdb /l; sync; fstrim /l && echo trimmed'
    ]
    const { listener, server, spec } = await guests.start(shell(script.join('; ')))
    const bytesOnHost = () => statSync(`${spec.directory}/disk.ext4`).blocks * 512
    await listener.until(() => listener.text('stdout') === 'full\n')
    const full = bytesOnHost()
    await server.stdin(0, Buffer.from('go\n'))
    await listener.exited
    expect(listener.text('stdout')).to.equal('full\ntrimmed\n')
    // All but what the file system keeps in pieces too small to give back.
    expect(full - bytesOnHost()).to.be.at.least(8 * 1024 * 1024)
    await server.kill()
  })

  it('a guest kernel that panics on purpose takes nobody along', async () => {
    const crash = [
      'echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger',
      'echo 1 > /proc/sys/vm/panic_on_oom; tr "\\0" a < /dev/zero | sort'
    ]
    const { server, spec } = await guests.start(shell(crash.join('; ')))
    expect((await server.ended).kind).to.equal('panic')
    expect(await leftoversOf(spec)).to.deep.equal([])
  })
})
