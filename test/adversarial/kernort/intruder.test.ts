/**
 * Attacker: has got into a service and is root in its guest.
 * Asset: the tenant's knowledge of it; the guest's init, which speaks to the host.
 * Outcome: each thing that the shipped rules are there to catch is told when it is done in a real guest; an ordinary service is
 * not told of at all; what a rule or Kernort itself forbids does not happen.
 */
import { expect } from 'chai'
import { readFile } from 'node:fs/promises'
import { compileRuleset, readRuleFile, type RuleSource } from '../../../soda-host/kernort/rules/index.ts'
import type { LogRecord } from '../../../soda-host/logs/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { guestProgram } from '../../helpers/guest-program.ts'
import { inputFile } from '../../helpers/launched.ts'
import { watchedGuest, type WatchedGuest } from '../../helpers/watched-guest.ts'

/** For how long rules learn in a test; test/fixtures/kernort/intruder.c waits for it. */
const LEARN_SECONDS = 10

interface Alert {
  sid: number
  gid: number
  comm: string
  evidence: string
}

async function shippedRules(): Promise<RuleSource[]> {
  const sources = await Promise.all(['intruder', 'service'].map(readRuleFile))
  return sources.map(({ file, text }) => ({
    file,
    text: text.replace(/first_time:\d+/, `first_time:${LEARN_SECONDS}`)
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

/** What each act wakes: rules by the act's name, in no order. */
const CAUGHT: Readonly<Record<string, readonly number[]>> = {
  bound_shell: [4800003],
  reverse_shell: [4800005],
  relayed_shell: [4800011],
  shell_calls: [4800007],
  left_capability: [4800020],
  ptrace_child: [4800021],
  memory_program: [4800022],
  cron: [4800030],
  keys: [4800031],
  preload: [4800032],
  accounts: [4800033],
  profile: [4800034],
  log_there: [],
  log_emptied: [4800040],
  log_removed: [4800040]
}

const OF_INIT = ['init_traced', 'init_written', 'init_robbed']
const GUARD_GID = 1000
const [GUARD_PTRACE, GUARD_SIGNAL, GUARD_PRIORITY, GUARD_LIMIT] = [1, 2, 3, 4]

describe('an intruder who is root in a guest', function () {
  this.timeout(120_000)

  let outcomes: ReadonlyMap<string, string>
  let alerts: Alert[]

  before(async function () {
    requires(this, 'uml')
    const program = await guestProgram('intruder', 'test/fixtures/kernort/intruder.c')
    await using watched = await watchedGuest({ rules: tableOf(await shippedRules()) })
    await watched.guest.channel.putFile(program)
    const acts = [
      ...Object.keys(CAUGHT),
      ...OF_INIT,
      ...[
        'init_stopped',
        'init_limited',
        'init_behind',
        'learnt',
        'known_program',
        'new_program',
        'new_program'
      ]
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

  const toldOf = (comm: string): number[] =>
    alerts.filter((alert) => alert.comm === comm && alert.gid === 1).map(({ sid }) => sid)
  const evidenceOf = (sid: number): string[] =>
    alerts.filter((alert) => alert.sid === sid).map(({ evidence }) => evidence)

  it('does what it came for: rules that only tell hold nothing up', () => {
    for (const act of Object.keys(CAUGHT)) expect(outcomes.get(act), act).to.equal('did')
  })

  it('is told of for a shell on a socket, and for one that calls home', () => {
    expect(evidenceOf(4800003).join()).to.match(
      /^exec \/usr\/bin\/busybox: sh -c exit 0; by sh \(process \d+, uid 0\)/
    )
    expect(evidenceOf(4800005)).to.have.length(1)
    expect(evidenceOf(4800011)).to.have.length(1)
    expect(evidenceOf(4800007).join()).to.match(/^connect 127\.0\.0\.1:4444; by bash/)
  })

  it('is told of for a program that the service has not started before, once', () => {
    const programs = evidenceOf(4800010).filter((text) => /never-seen|work/.test(text))
    expect(programs).to.have.length(1)
    expect(programs[0]).to.match(/^exec \/tmp\/never-seen: never-seen nothing/)
  })

  for (const [act, sids] of Object.entries(CAUGHT))
    if (sids.length === 1 && act.includes('_') && !act.includes('shell') && act !== 'memory_program')
      it(`is told of for ${act.replaceAll('_', ' ')}`, () => {
        expect(toldOf(act)).to.deep.equal(sids)
      })

  it('is told of for every way to come back, and for a program without a file', () => {
    for (const act of ['cron', 'keys', 'preload', 'accounts', 'profile'])
      expect(toldOf(act), act).to.deep.equal(CAUGHT[act])
    expect(evidenceOf(4800022).join()).to.match(/^exec \/memfd:fileless/)
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
})

describe('an ordinary service', function () {
  this.timeout(120_000)

  it('is not told of by any of the shipped rules', async function () {
    requires(this, 'uml')
    await using watched = await watchedGuest({ rules: tableOf(await shippedRules()) })
    const script = await readFile('test/fixtures/kernort/ordinary.sh')
    await watched.guest.channel.putFile(inputFile('ordinary.sh', script, 0o755))
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
    const acts = ['bound_shell', 'left_capability', 'accounts', 'preload', 'ptrace_child', 'mounted', 'shell']
    const { output, records } = await run(watched, ['/work/intruder', ...acts, 'known_program'])
    expect(output.trim().split('\n')).to.deep.equal([
      'bound_shell EPERM',
      'left_capability EPERM',
      'accounts EPERM',
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
