import { expect } from 'chai'
import {
  jailCommand,
  launchCommand,
  uidOfSlot,
  type JailSpec
} from '../../../soda-host/virtual-server/jail.ts'
import { umlArguments, type GuestLog } from '../../../soda-host/virtual-server/uml-arguments.ts'

const SPEC: JailSpec = {
  uid: 2_000_007,
  hostCpu: 3,
  hostProcessesMax: 41,
  isCountedApart: true,
  memoryFileSystemBytes: 80_000_000,
  diskBytes: 50_000_000,
  kernelPath: '/state/kernel',
  initrdPath: '/state/initrd',
  imagePath: '/state/image',
  diskPath: '/state/s/disk.ext4',
  cpuinfoPath: '/state/s/cpuinfo',
  command: umlArguments({ guestMemoryBytes: 64 * 1024 * 1024, processesMax: 9, channelFd: 4, balloonFd: 5 })
}

/** Values that follow `option`. */
function after(command: string[], option: string, count = 1): string[][] {
  return command.flatMap((word, at) => (word === option ? [command.slice(at + 1, at + 1 + count)] : []))
}

describe('jail command', () => {
  it('drops to the uid of the slot before anything else', () => {
    const command = jailCommand(SPEC)
    expect(command[0]).to.equal('setpriv')
    expect(command.slice(0, command.indexOf('bwrap'))).to.include.members([
      '--reuid=2000007',
      '--regid=2000007',
      '--clear-groups',
      '--no-new-privs',
      '--bounding-set=-all'
    ])
  })

  it('keeps the own uid where there is no right to another', () => {
    const command = jailCommand({ ...SPEC, uid: undefined })
    expect(command.join(' ')).to.not.match(/reuid|regid|clear-groups/)
    expect(command).to.include('--no-new-privs')
  })

  it('lets the guest kernel see five files of the host, one of them writable, and no procfs', () => {
    const command = jailCommand(SPEC)
    expect(after(command, '--ro-bind', 2)).to.deep.equal([
      ['/state/s/cpuinfo', '/proc/cpuinfo'],
      ['/state/kernel', '/linux'],
      ['/state/initrd', '/initrd'],
      ['/state/image', '/image']
    ])
    expect(after(command, '--bind', 2)).to.deep.equal([['/state/s/disk.ext4', '/disk']])
    for (const option of ['--dev', '--dev-bind', '--proc', '--mqueue']) expect(command).to.not.include(option)
    expect(after(command, '--remount-ro')).to.deep.equal([['/']])
  })

  it('bounds all that can be written', () => {
    const command = jailCommand(SPEC)
    expect(after(command, '--size', 3)[0]).to.deep.equal(['80000000', '--tmpfs', '/dev/shm'])
    expect(after(command, '--tmpfs')).to.have.length(after(command, '--size').length)
    expect(command).to.include('--fsize=80000000')
    expect(jailCommand({ ...SPEC, diskBytes: 90_000_000 })).to.include('--fsize=90000000')
    expect(command).to.include.members(['--core=1', '--memlock=0', '--nofile=256', '--msgqueue=0'])
  })

  it('bounds processes in a user namespace that is its own, or else of its uid', () => {
    const command = jailCommand(SPEC)
    expect(command).to.include('--nproc=41')
    // Counted where the limit is set: the namespace comes first.
    expect(command.indexOf('unshare')).to.be.within(1, command.indexOf('--nproc=41'))
    expect(command.slice(command.indexOf('unshare'))).to.include.members(['--user', '--map-current-user'])
    expect(jailCommand({ ...SPEC, isCountedApart: false }))
      .to.include('--nproc=41')
      .and.not.include('unshare')
  })

  it('bounds none where those of others would count too', () => {
    const command = jailCommand({
      ...SPEC,
      uid: undefined,
      hostProcessesMax: undefined,
      isCountedApart: false
    }).join(' ')
    expect(command).to.not.match(/nproc|unshare --user --map/)
  })

  it('filters system calls, by a descriptor that nobody but bubblewrap keeps', () => {
    const command = jailCommand(SPEC)
    expect(after(command, '--seccomp')).to.deep.equal([['9']])
    const keeper = command[command.indexOf('soda-keeper') - 1]
    expect(keeper).to.include('9>&-')
  })

  it('shares no namespace, the network least of all', () => {
    const command = jailCommand(SPEC)
    expect(command).to.include.members([
      '--unshare-all',
      '--unshare-user',
      '--disable-userns',
      '--new-session'
    ])
    expect(command).to.not.include('--share-net')
  })

  it('keeps to one CPU', () => {
    expect(after(jailCommand(SPEC), '--cpu-list')).to.deep.equal([['3']])
  })

  it('gives every slot a uid of its own and refuses what is no slot', () => {
    expect(uidOfSlot(0)).to.equal(2_000_000)
    expect(uidOfSlot(1)).to.equal(2_000_001)
    for (const slot of [-1, 0.5, Number.NaN, 100_000, Number.POSITIVE_INFINITY])
      expect(() => uidOfSlot(slot)).to.throw(TypeError)
  })

  it('hands paths to the shell as words, never as text', () => {
    const path = '/state/$(reboot) "; x'
    const command = launchCommand({
      joinFiles: [`${path}/cgroup.procs`],
      consolePipe: path,
      consoleLog: path,
      consolePid: path,
      filter: path,
      spool: [path, path],
      jail: ['true']
    })
    expect(command[2]).to.not.include('reboot')
    expect(command.slice(4)).to.deep.equal([
      ...Array<string>(6).fill(path),
      `${path}/cgroup.procs`,
      '--',
      'true'
    ])
  })
})

describe('command line of the guest kernel', () => {
  it('tells a kernel where its log goes and where it stood', () => {
    const log = { fds: [7, 8], spoolFileBytes: 4096, bootNumber: 3, previousHead: 'ab'.repeat(32) } as const
    const first = { fds: [7, 8], spoolFileBytes: 4096, bootNumber: 0 } as const
    const spec = { guestMemoryBytes: 64 * 1024 * 1024, processesMax: 8, channelFd: 4, balloonFd: 5 }
    const words = (given: GuestLog): string[] =>
      umlArguments({ ...spec, log: given }).filter((word) => word.startsWith('kernort.'))
    const place = ['kernort.fd=7,8', 'kernort.spool=4096']
    expect(words(log)).to.deep.equal([...place, 'kernort.boot=3', `kernort.previous=${'ab'.repeat(32)}`])
    expect(words(first)).to.deep.equal([...place, 'kernort.boot=0'])
  })

  it('asks for ptrace mode, read-only image and a console without input', () => {
    expect(SPEC.command).to.include.members([
      'mem=64M',
      'seccomp=off',
      'ubd0rc=/image',
      'ubd1=/disk',
      'con0=null,fd:1'
    ])
  })

  it('never rounds memory up beyond its limit', () => {
    expect(
      umlArguments({ guestMemoryBytes: 64 * 1024 * 1024 + 1, processesMax: 1, channelFd: 4, balloonFd: 5 })
    ).to.include('mem=64M')
  })
})
