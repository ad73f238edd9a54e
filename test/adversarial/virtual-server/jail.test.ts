/**
 * Attacker: the guest's root, who may have taken over the guest kernel as well.
 * Asset: the host: its files, processes, network, and the image that servers share.
 * Outcome: the process that runs the guest holds nothing to attack them with, and guest root cannot even ask.
 */
import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { uidOfSlot } from '../../../soda-host/virtual-server/jail.ts'
import { requires } from '../../helpers/capabilities.ts'
import {
  descriptorsOf,
  guestKernelOf,
  mountsOf,
  processesOf,
  statusOf
} from '../../helpers/guest-processes.ts'
import { realGuests, shell, type Guest, type Guests } from '../../helpers/guests.ts'

const NO_CAPABILITY = '0000000000000000'

describe('the jail around a guest', () => {
  const resources: AsyncDisposable[] = []
  let guests: Guests
  let guest: Guest
  let kernel: number

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    guests = await realGuests()
    resources.push(guests)
    guest = await guests.start(shell('cat'))
    kernel = guestKernelOf(guest.server.record)!
  })

  after(async () => {
    for (const resource of resources.splice(0)) await resource[Symbol.asyncDispose]()
  })

  it('gives every process an unprivileged uid of its own, no capability and no way to gain one', () => {
    const uid = String(uidOfSlot(guest.spec.slot))
    const pids = processesOf(guest.server.record)
    expect(pids.length).to.be.greaterThan(1)
    for (const status of pids.map(statusOf)) {
      // Processes of the guest come and go.
      if (status.size === 0) continue
      const name = status.get('Name')
      expect(status.get('Uid')?.split('\t'), name).to.deep.equal([uid, uid, uid, uid])
      expect(status.get('Gid')?.split('\t'), name).to.deep.equal([uid, uid, uid, uid])
      expect(status.get('Groups'), name).to.equal('')
      expect(status.get('NoNewPrivs'), name).to.equal('1')
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        expect(status.get(set), `${set} of ${name ?? ''}`).to.equal(NO_CAPABILITY)
    }
  })

  it('shares no namespace with the host', () => {
    for (const name of ['user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'])
      expect(readlinkSync(`/proc/${kernel}/ns/${name}`), name).to.not.equal(
        readlinkSync(`/proc/self/ns/${name}`)
      )
  })

  it('keeps all of it on the one CPU that it was given', () => {
    for (const status of processesOf(guest.server.record).map(statusOf))
      if (status.size > 0) expect(status.get('Cpus_allowed_list')).to.equal(String(guest.spec.hostCpu))
  })

  it('has no network interface but the loopback one', () => {
    const interfaces = readFileSync(`/proc/${kernel}/net/dev`, 'utf8').split('\n').slice(2).filter(Boolean)
    expect(interfaces.map((line) => line.split(':')[0]?.trim())).to.deep.equal(['lo'])
  })

  it('contains five files and nothing else: no device, no procfs, no sysfs', () => {
    const root = `/proc/${kernel}/root`
    expect(readdirSync(root).sort()).to.deep.equal(['dev', 'disk', 'image', 'initrd', 'linux', 'proc', 'tmp'])
    expect(readdirSync(`${root}/dev`)).to.deep.equal(['shm'])
    expect(readdirSync(`${root}/dev/shm`)).to.deep.equal([])
    expect(readdirSync(`${root}/proc`).sort()).to.deep.equal(['cpuinfo', 'self'])
    expect(readdirSync(`${root}/proc/self`)).to.deep.equal(['exe'])
    expect(readlinkSync(`${root}/proc/self/exe`)).to.equal('/linux')
    const types = mountsOf(kernel).map(({ type }) => type)
    expect(types).to.not.include.members(['proc'])
    expect(types).to.not.include.members(['sysfs'])
  })

  it('tells it of one processor, as the host has it', () => {
    const text = readFileSync(`/proc/${kernel}/root/proc/cpuinfo`, 'utf8')
    expect(text.match(/^processor/gm)).to.have.length(1)
    expect(readFileSync('/proc/cpuinfo', 'utf8')).to.include(/^flags.*$/m.exec(text)?.[0])
  })

  it('filters the system calls of every process in it', () => {
    const seen = processesOf(guest.server.record)
      .map(statusOf)
      .filter((status) => status.size > 0)
    // bubblewrap's init, the guest kernel, guest init, the program.
    expect(seen.length).to.be.greaterThan(2)
    // linux/seccomp.h: 2 is SECCOMP_MODE_FILTER.
    for (const status of seen) expect(status.get('Seccomp'), status.get('Name')).to.equal('2')
  })

  it('lets it write to its disk only, and to file systems of fixed size', () => {
    const writable = mountsOf(kernel).filter(({ options }) => options.includes('rw'))
    expect(writable.map(({ point }) => point).sort()).to.deep.equal(['/dev/shm', '/disk', '/tmp'])
    for (const { point, type, options } of writable)
      if (type === 'tmpfs') expect(options.join(), point).to.match(/size=\d+k/)
    const limits = readFileSync(`/proc/${kernel}/limits`, 'utf8')
    expect(/^Max file size\s+(\d+)/m.exec(limits)?.[1]).to.match(/^\d+$/)
    for (const name of ['locked memory', 'msgqueue size', 'realtime priority', 'nice priority'])
      expect(new RegExp(`^Max ${name}\\s+0\\s+0\\s`, 'm').test(limits), name).to.equal(true)
    // Not 0: see CORE_BYTES_MAX.
    expect(/^Max core file size\s+(\d+)\s+(\d+)/m.exec(limits)?.slice(1)).to.deep.equal(['1', '1'])
    expect(/^Max open files\s+(\d+)\s+(\d+)/m.exec(limits)?.slice(1)).to.deep.equal(['256', '256'])
    expect(/^Max processes\s+(\d+)\s+(\d+)/m.exec(limits)?.slice(1)).to.deep.equal(['96', '96'])
  })

  it('leaves no descriptor of the host open in it', () => {
    const descriptors = descriptorsOf(kernel)
    // That of its disk is open for as long as it runs: we did look at something.
    expect(
      [...descriptors.values()].some((target) => target.endsWith('/disk.ext4') || target === '/disk')
    ).to.equal(true)
    for (const [fd, target] of descriptors) {
      const isItsOwn =
        /^(socket|pipe|anon_inode):/.test(target) ||
        ['/dev/null', '/disk', '/image', '/linux'].some(
          (path) => target === path || target.endsWith('/disk.ext4')
        ) ||
        target.startsWith('/dev/shm/') ||
        target.startsWith('/tmp/') ||
        target.startsWith('/memfd:') ||
        target.startsWith('/proc/')
      expect(isItsOwn, `descriptor ${fd}: ${target}`).to.equal(true)
    }
  })

  it('keeps the control socket from everybody but the daemon', () => {
    const { mode, uid } = statSync(`${guest.spec.directory}/channel.sock`)
    expect([mode & 0o777, uid]).to.deep.equal([0o600, 0])
  })
})

describe('root inside a guest', () => {
  const resources: AsyncDisposable[] = []
  let guests: Guests

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    guests = await realGuests()
    resources.push(guests)
  })

  after(async () => {
    for (const resource of resources.splice(0)) await resource[Symbol.asyncDispose]()
  })

  async function output(script: string): Promise<string> {
    const { listener, server } = await guests.start(shell(script))
    await listener.exited
    await server.kill()
    return listener.text('stdout')
  }

  it('cannot mount the host, load code into the kernel or read memory', async () => {
    const attempts = [
      'mkdir -p /m; mount -t hostfs none /m -o /',
      'insmod /bin/sh',
      'head -c 1 /dev/mem',
      'head -c 1 /dev/kmem',
      'head -c 1 /proc/kcore',
      'kexec -l /bin/sh'
    ]
    const text = await output(
      attempts.map((line) => `(${line}) >/dev/null 2>&1 && echo "did: ${line}"`).join('; ') + '; echo done'
    )
    expect(text).to.equal('done\n')
  })

  it('reaches no device of the host by making device nodes', async () => {
    // The usual majors of disks: the guest kernel answers for them, and knows its own disks only.
    const script = [
      'mkdir /n; mount -t tmpfs none /n; for major in 1 7 8 9 43 65 98 179 252 253 254 259; do for minor in 0 1 2 16 32; do',
      'mknod /n/b b $major $minor; head -c 1 /n/b >/dev/null 2>&1 && echo "$major:$minor"; rm -f /n/b; done; done'
    ].join(' ')
    const readable = (await output(script)).trim().split('\n')
    // 98 is ubd: image and writable layer. 16 minors each.
    expect(readable.filter((device) => device !== '')).to.deep.equal(['98:0', '98:16'])
  })

  it('cannot write to the image that servers share', async () => {
    const spec = await guests.spec()
    const digest = (): string => createHash('sha256').update(readFileSync(spec.imagePath)).digest('hex')
    const before = digest()
    const script = [
      'mkdir /n; mount -t tmpfs none /n; mknod /n/image b 98 0; blockdev --setrw /n/image; (echo 0 > /sys/block/ubda/ro)',
      'dd if=/dev/zero of=/n/image bs=4096 count=64 conv=fsync; dd if=/dev/zero of=/dev/ubda bs=4096 count=64; sync; echo tried'
    ].join('; ')
    expect(await output(`{ ${script}; } 2>/dev/null`)).to.equal('tried\n')
    expect(digest()).to.equal(before)
  })

  it('has no network interface but the loopback one', async () => {
    expect(await output("sed -n '3,$p' /proc/net/dev | cut -d: -f1 | tr -d ' '")).to.equal('lo\n')
  })
})
