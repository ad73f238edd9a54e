/**
 * Attacker: the root of a guest.
 * Asset: the log that the guest's kernel keeps of it.
 * Outcome: after each of its attempts to get into the kernel, to switch the watch off, to starve, flood or deceive it, what it does
 * next is written down, without a gap; what would have been a way in is an error.
 */
import { expect } from 'chai'
import type { LogRecord } from '../../../soda-host/logs/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { guestProgram } from '../../helpers/guest-program.ts'
import { shell } from '../../helpers/guests.ts'
import { watchedGuest } from '../../helpers/watched-guest.ts'

const FIRST_PORT = 20_000
const FLOOD = 20_000
const FORKS = 1000
const [FLOOD_PORT, SETTINGS_PORT, MEMORY_PORT, REALTIME_PORT] = [9, 10, 11, 12]
const PROCESS_CLASS = 1

/** What comes of each attempt: the errno of a door that is not there, or `did` where the act is root's to do. */
const OUTCOMES: Readonly<Record<string, readonly string[]>> = {
  ENOSYS: ['module', 'module_file', 'kexec', 'kexec_file', 'uring', 'swap', 'bpf', 'perf', 'ports'],
  ENOENT: ['memory', 'core', 'console_of_machine', 'sysrq', 'parameters'],
  ENXIO: ['memory_device', 'kernel_memory_device', 'port_device'],
  ENODEV: ['hostfs', 'debugfs', 'tracefs', 'bpffs'],
  // Some threads are bound already.
  EINVAL: ['lsm_attribute', 'process_attribute', 'lsm_list', 'user_namespace', 'bound_threads'],
  EPERM: ['idle_threads', 'nice_threads', 'traced_threads', 'traced_init', 'bound_threads'],
  ENODATA: ['log_on_disks'],
  EBUSY: ['disk_spoilt'],
  KILL: ['memory_taken'],
  did: [
    ...[
      'killed_threads',
      'killed_all',
      'settings',
      'quiet_kernel_log',
      'kernel_log_flood',
      'time_back',
      'time_shifted'
    ],
    ...['covered', 'uncovered', 'flood', 'fork_storm', 'realtime', 'devices_spoilt']
  ]
}

describe("a guest's root against Kernort", function () {
  this.timeout(120_000)
  before(function () {
    requires(this, 'uml')
  })

  describe('with everything that it can do', () => {
    /** In the order of the attempts. */
    let outcomes: [name: string, outcome: string][]
    let records: LogRecord[]

    before(async () => {
      const program = await guestProgram('blinder', 'test/fixtures/kernort/blinder.c')
      await using watched = await watchedGuest({ diskBytes: 16 * 1024 * 1024 })
      const { channel, listener, ended } = watched.guest
      await channel.putFile(program)
      await channel.run({ argv: ['/work/blinder'], env: {} })
      await listener.exited
      await channel.powerOff()
      await ended
      const lines = listener.text('stdout').trim().split('\n')
      outcomes = lines
        .filter((line) => !line.startsWith('stays: '))
        .map((line) => line.split(' ') as [string, string])
      const log = await watched.read()
      expect(log.findings).to.deep.equal([])
      records = log.records
    })

    const toPort = (port: number) =>
      records.filter(({ kind, fields }) => kind === 'socket' && fields['port'] === port)
    const shed = (shedClass: number) =>
      records
        .filter(({ kind, fields }) => kind === 'shed' && fields['class'] === shedClass)
        .reduce((sum, { fields }) => sum + Number(fields['records']), 0)

    it('finds no door into the kernel', () => {
      for (const [name, outcome] of outcomes)
        expect(OUTCOMES[outcome], `${name}: ${outcome}`).to.include(name)
      expect(new Set(outcomes.map(([name]) => name))).to.deep.equal(new Set(Object.values(OUTCOMES).flat()))
    })

    it('is written down after each attempt, in order and without a gap, to its end', () => {
      const ports = records
        .filter(({ kind, fields }) => kind === 'socket' && Number(fields['port']) >= FIRST_PORT)
        .map(({ fields }) => Number(fields['port']) - FIRST_PORT)
      expect(ports).to.deep.equal(outcomes.map((_, index) => index))
      expect(records.every(({ number }, index) => number === BigInt(index))).to.equal(true)
      expect(records.at(-1)?.kind).to.equal('shutdown')
    })

    it('floods it for nothing: each record is there, or in a count of what was shed', () => {
      expect(toPort(FLOOD_PORT).length + shed(PROCESS_CLASS)).to.be.at.least(FLOOD)
      const storm = records.find(({ kind, comm }) => kind === 'fork' && comm === 'fork_storm')?.fields[
        'parent'
      ]
      const children = records.filter(({ kind, fields }) => kind === 'exit' && fields['parent'] === storm)
      expect(children.length + shed(2)).to.be.at.least(FORKS / 2)
    })

    it('is written down with no memory left, and under a realtime task that does not let go', () => {
      expect(toPort(MEMORY_PORT)).not.to.be.empty
      expect(toPort(REALTIME_PORT)).not.to.be.empty
      const [killed] = records.filter(({ kind, comm }) => kind === 'exit' && comm === 'memory_taken')
      expect(killed?.fields['status']).to.equal(9)
    })

    it('finds no setting that stops it', () => {
      expect(toPort(SETTINGS_PORT).length).to.be.above(100)
    })

    it('leaves the time of its acts to be told by a clock that it cannot set', () => {
      const steps = records
        .filter(({ kind }) => kind === 'clock')
        .map(({ fields }) => Number(fields['stepNs']))
      expect(steps.map((step) => step < 0)).to.deep.equal([true, false])
      const times = records.map(({ monotonicNs }) => monotonicNs)
      expect(times.every((time, index) => index === 0 || time >= (times[index - 1] ?? 0n))).to.equal(true)
    })

    it('hides nothing of the kernel log by emptying and silencing it', () => {
      const messages = records.filter(({ kind }) => kind === 'klog').map(({ tails }) => String(tails['text']))
      expect(messages.join('\n')).to.match(/Out of memory: Killed process \d+ \(memory_taken\)/)
    })

    it('overwrites messages of the kernel log only for a count of them', () => {
      const messages = records.filter(({ kind }) => kind === 'klog').map(({ tails }) => String(tails['text']))
      const kept = messages.filter((text) => /^(\[.*\] )?x{200}$/.test(text)).length
      const lost = messages.map((text) => Number(/^(\d+) messages were overwritten$/.exec(text)?.[1] ?? 0))
      expect(kept + lost.reduce((sum, count) => sum + count, 0) + shed(2)).to.be.at.least(FLOOD)
    })

    it('is seen to trace init, and to cover what others look at', () => {
      const traced = records.filter(({ kind, fields }) => kind === 'ptrace' && fields['target'] === 1)
      expect(traced.map(({ comm }) => comm)).to.deep.equal(['traced_init'])
      const covered = records.filter(({ kind, comm }) => kind === 'mount' && comm === 'covered')
      expect(covered.map(({ tails }) => String(tails['target']))).to.deep.equal(['/proc', '/sys'])
    })
  })

  for (const parameter of ['lsm=', 'lsm=capability', 'security=none', 'security=selinux'])
    it(`is seen whatever the command line says of security modules: ${parameter}`, async () => {
      await using watched = await watchedGuest({ parameters: [parameter] })
      const { channel, listener, ended } = watched.guest
      await channel.run(shell('true'))
      await listener.exited
      await channel.powerOff()
      await ended
      const { records } = await watched.read()
      const programs = records
        .filter(({ kind }) => kind === 'exec')
        .map(({ tails }) => String(tails['arguments']))
      expect(programs).to.include('sh\0-c\0true\0')
    })
})
