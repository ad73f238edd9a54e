/** One guest does everything that Kernort writes down (test/fixtures/kernort/acts.c); its log is opened and compared. */
import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import {
  asciicast,
  listSessions,
  recordText,
  sessionEvents,
  type LogRecord
} from '../../../soda-host/logs/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { gather } from '../../helpers/gather.ts'
import { guestProgram } from '../../helpers/guest-program.ts'
import { watchedGuest } from '../../helpers/watched-guest.ts'

const MIB = 1024 * 1024
const USER = 1000
const PORT = 4660
const CAP_SYS_TIME = 1n << 25n
const SIGTERM = 15
const NEW_UTS = 0x04000000
const NEW_MOUNTS = 0x00020000
const CLONE_THREAD = 0x00010000n
const [READ, WRITE, REMOVED, RENAMED, LINKED, MODE, CUT] = [1, 2, 3, 4, 5, 6, 7]
const [CONNECT, BIND, LISTEN, ACCEPT] = [1, 2, 3, 4]
const [STREAM, DATAGRAM] = [1, 2]

/** The end of a snapshot. */
const isLoad = ({ kind, fields }: LogRecord) => kind === 'snapshot' && fields['topic'] === 3

describe('What Kernort sees in a guest', function () {
  this.timeout(60_000)

  let records: LogRecord[]
  /** What the acts say of themselves: a pid, mostly. */
  const told = new Map<string, number>()
  /** pid → the argument that a program says it was given. */
  const said = new Map<number, string>()

  before(async function () {
    requires(this, 'uml')
    const program = await guestProgram('acts', 'test/fixtures/kernort/acts.c')
    await using watched = await watchedGuest({ memoryBytes: 96 * MIB })
    const { channel, listener, ended } = watched.guest
    await channel.putFile(program)
    await channel.run({ argv: ['/work/acts'], env: { LANG: 'C' } })
    await Promise.race([listener.exited, listener.until(() => /^done 0$/m.test(listener.text('stdout')))])
    const output = listener.text('stdout')
    expect(listener.exits, output).to.equal(0)
    for (const line of output.trim().split('\n')) {
      const [name = '', number, ...rest] = line.split(' ')
      if (name === 'said') said.set(Number(number), rest.join(' '))
      else told.set(name, Number(number))
    }
    while (!(await watched.read()).records.some(isLoad)) await setTimeout(100)
    await channel.powerOff()
    await ended
    const log = await watched.read()
    expect(log.findings).to.deep.equal([])
    records = log.records
  })

  /** The records of one act: of the process that is named so, or of any where it has no pid. */
  function of(act: string, kind: string): LogRecord[] {
    const pid = told.get(act)
    expect(pid, act).to.be.a('number')
    return records.filter((record) => record.kind === kind && record.pid === pid)
  }

  const fieldsOf = (act: string, kind: string) => of(act, kind).map(({ fields }) => fields)
  const text = (record: LogRecord | undefined, tail: string) => record?.tails[tail]?.toString('latin1') ?? ''
  const sha256 = (data: string) => createHash('sha256').update(data).digest('hex')

  it('is numbered without a gap, and nothing was shed', () => {
    expect(records.map(({ number }) => Number(number))).to.deep.equal(records.map((_, index) => index))
    expect(records.filter(({ kind }) => kind === 'shed')).to.deep.equal([])
  })

  it('a program: its file, arguments to the byte, environment digest, ancestors', () => {
    const [exec] = of('execs', 'exec')
    expect(text(exec, 'path')).to.equal('/work/acts')
    expect(text(exec, 'arguments')).to.equal('first word\0nothing\0two words\0\0\xff\n\0')
    expect(text(exec, 'ancestry').split('\0').slice(1)).to.deep.equal(['1 init', ''])
    expect(exec?.fields).to.include({ argumentsCount: 5, euid: 0, isSetuid: 0 })
    expect(exec?.fields['environmentSha256']).to.equal(sha256('A=1\0B=2 3\0'))
    expect(exec?.fields['parent']).to.equal(Number(text(exec, 'ancestry').split(' ')[0]))
  })

  it('the arguments that a program was given, whatever another thread made of them meanwhile', () => {
    expect(new Set(said.values()).size, 'the race had no runners').to.be.above(1)
    for (const [pid, word] of said) {
      const exec = records.find((record) => record.kind === 'exec' && record.pid === pid)
      expect(text(exec, 'arguments')).to.equal(`/work/acts\0say\0${word}\0`)
    }
    expect(said.size).to.equal(20)
  })

  it('the beginning of arguments that are too long, and the ancestors all the same', () => {
    const [exec] = of('long', 'exec')
    expect(text(exec, 'arguments'))
      .to.match(/^\/work\/acts\0nothing\0w+$/)
      .and.to.have.length(16_384)
    expect(exec?.fields['argumentsCount']).to.equal(4)
    expect(exec?.fields['environmentSha256']).to.equal(sha256(''))
    expect(text(exec, 'ancestry').split('\0').slice(1)).to.deep.equal(['1 init', ''])
  })

  it('who made whom, and how each ended', () => {
    const parent = told.get('ends')
    for (const [act, status] of [
      ['ends-7', 7 << 8],
      ['ends-9', 9]
    ] as const) {
      const forks = of('ends', 'fork').map(({ fields }) => fields)
      expect(forks.map(({ child }) => child)).to.include(told.get(act))
      expect(forks.every((fork) => fork['parent'] === parent)).to.equal(true)
      expect(fieldsOf(act, 'exit')).to.deep.equal([{ parent, status }])
    }
  })

  it('a thread as one, and the end of its process once', () => {
    const threads = fieldsOf('thread', 'fork')
    expect(threads.map((fork) => (BigInt(fork['cloneFlags'] ?? 0) & CLONE_THREAD) !== 0n)).to.deep.equal([
      true
    ])
    expect(of('thread', 'exit')).to.have.length(1)
  })

  it('ids given up, and won by a set-uid program', () => {
    const [drop, exec] = [of('set-uid', 'cred').at(1), of('set-uid', 'exec').at(-1)]
    expect(drop?.fields).to.include({ uidBefore: 0, uidAfter: USER, euidBefore: 0, euidAfter: USER })
    expect(drop?.fields['capabilitiesAfter']).to.equal(0n)
    expect(text(exec, 'path')).to.equal('/suid')
    expect(exec?.uid).to.equal(USER)
    expect(exec?.fields).to.include({ isSetuid: 1, euid: 0 })
    const won = of('set-uid', 'cred').at(-1)
    expect(won?.fields).to.include({ uidBefore: USER, uidAfter: USER, euidBefore: USER, euidAfter: 0 })
    expect(won?.fields['capabilitiesBefore']).to.equal(0n)
  })

  it('a capability given up', () => {
    const [change] = fieldsOf('capabilities', 'cred')
    const [before, after] = [
      BigInt(change?.['capabilitiesBefore'] ?? 0),
      BigInt(change?.['capabilitiesAfter'] ?? 0)
    ]
    expect(before ^ after).to.equal(CAP_SYS_TIME)
  })

  it('IPv4 sockets: bound, listening, connected, accepted with the peer, and datagrams', () => {
    const address = (number: number) => `7f00000${number}`.padEnd(32, '0')
    const at = { family: 2, type: STREAM, port: PORT, address: address(2) }
    expect(fieldsOf('internet', 'socket')).to.deep.equal([
      { operation: BIND, ...at },
      { operation: LISTEN, ...at },
      { operation: CONNECT, ...at },
      { operation: ACCEPT, ...at, port: told.get('client-port'), address: address(1) },
      { operation: CONNECT, ...at, type: DATAGRAM }
    ])
  })

  it('IPv6 sockets, in a kernel that has them', function () {
    if (told.has('no-ipv6')) {
      expect(of('internet6', 'socket')).to.deep.equal([])
      return
    }
    const one = '1'.padStart(32, '0')
    const sockets = fieldsOf('internet6', 'socket')
    expect(sockets.map(({ operation }) => operation)).to.deep.equal([BIND, LISTEN, CONNECT, ACCEPT])
    for (const socket of sockets) expect(socket).to.include({ family: 10, address: one })
  })

  it('Unix sockets by path and by abstract name', () => {
    const seen = of('local', 'local').map((record) => [
      record.fields['operation'],
      record.fields['type'],
      text(record, 'path')
    ])
    expect(seen).to.deep.equal([
      [BIND, STREAM, '/tmp/socket'],
      [LISTEN, STREAM, '/tmp/socket'],
      [CONNECT, STREAM, '/tmp/socket'],
      [ACCEPT, STREAM, '/tmp/socket'],
      [BIND, STREAM, '\0hidden']
    ])
  })

  it('watched files, by whatever way they are reached; and no others', () => {
    const seen = of('files', 'file').map((record) => [record.fields['operation'], text(record, 'path')])
    expect(seen).to.deep.equal([
      [WRITE, '/etc/shadow'],
      [READ, '/etc/shadow'],
      // Everybody reads /etc/passwd.
      [WRITE, '/etc/passwd'],
      // Through a symbolic link.
      [READ, '/etc/shadow'],
      [LINKED, '/etc/shadow'],
      [MODE, '/etc/shadow'],
      [CUT, '/etc/shadow'],
      [RENAMED, '/etc/cron.allow'],
      [WRITE, '/var/log/deep/er'],
      [REMOVED, '/var/log/deep/er'],
      // Through a bind mount of /etc, and in something mounted below it.
      [READ, '/elsewhere/shadow'],
      [WRITE, '/etc/cron.d/job']
    ])
    expect(of('files', 'file')[1]?.fields['mode']).to.equal(0o100600)
  })

  it('watched files in the layer below, and what is opened by its handle', () => {
    const seen = of('beneath', 'file').map((record) => [record.fields['operation'], text(record, 'path')])
    expect(seen[0]).to.deep.equal([WRITE, '/layer/upper/etc/shadow'])
    expect(seen).to.have.length(2)
    // Its path, if it is still known.
    expect(seen[1]?.[0]).to.equal(READ)
  })

  it('mounts, old calls and new ones, and a change of the root', () => {
    const seen = of('mounts', 'mount').map((record) => [
      record.fields['operation'],
      ...['source', 'target', 'type'].map((tail) => text(record, tail))
    ])
    expect(seen).to.deep.equal([
      [1, 'none', '/one', 'tmpfs'],
      [3, 'none', '/one', ''],
      [4, '/one', '/two', ''],
      [2, 'tmpfs', '/two', 'tmpfs'],
      [4, '/', '/one', 'tmpfs'],
      [5, '/one', '/one/old', 'tmpfs']
    ])
    expect(of('mounts', 'mount')[0]?.fields['flags']).to.equal(2n)
  })

  it('who traces whom, by ptrace and by /proc', () => {
    const itself = told.get('traced-itself')
    expect(fieldsOf('traced-itself', 'ptrace')).to.deep.equal([{ target: itself, targetUid: USER, mode: 0 }])
    const traces = fieldsOf('traces', 'ptrace')
    expect(traces.map(({ target }) => target)).to.deep.equal([told.get('traced'), told.get('traced')])
    for (const { mode } of traces) expect(Number(mode) & 2).to.equal(2)
  })

  it('a signal to another user, not one to oneself, nor a question', () => {
    expect(fieldsOf('signals', 'signal')).to.deep.equal([
      { target: told.get('signalled'), targetUid: USER, signal: SIGTERM }
    ])
    expect(of('ends-9', 'signal')).to.deep.equal([])
  })

  it('namespaces left and entered', () => {
    const seen = fieldsOf('namespaces', 'namespace').map(({ operation, flags }) => [operation, Number(flags)])
    expect(seen).to.deep.equal([
      [1, NEW_UTS],
      [2, NEW_UTS]
    ])
    const [unshared] = fieldsOf('mounts', 'namespace')
    expect(Number(unshared?.['flags']) & NEW_MOUNTS).to.equal(NEW_MOUNTS)
  })

  describe('on terminals', () => {
    const stream = async function* () {
      for (const record of records) yield Promise.resolve(record)
    }

    it('what was typed and shown, with echo and without, and the new size', async () => {
      const id = `0.136:${told.get('pts')}.${told.get('session')}`
      const events = await gather(sessionEvents(stream(), id))
      const typed = events.filter(({ kind }) => kind === 'input').map(({ data }) => data.toString())
      const shown = events.filter(({ kind }) => kind === 'output').map(({ data }) => data.toString())
      expect(typed.join('')).to.equal('eve\nsecret\n!\n')
      expect(shown.join('')).to.match(/^name: eve\r\npassword: welcome\r\n/)
      expect(events[0]).to.include({ columns: 100, rows: 40 })
      expect(events.filter(({ kind }) => kind === 'resize')).to.have.length(1)
      expect(events.at(-1)).to.include({ columns: 120, rows: 40 })
    })

    it('as a session that is listed and exported', async () => {
      const sessions = await listSessions(stream())
      const session = sessions.find(({ id }) => id.endsWith(`.${told.get('session')}`))
      expect(session).to.include({ columns: 100, rows: 40, inputBytes: 13 })
      const events = sessionEvents(stream(), session?.id ?? '')
      const lines = await gather(asciicast(events, { version: 2, hasInput: true }))
      expect(JSON.parse(lines[0] ?? '')).to.include({ width: 100, height: 40 })
      expect(lines.join('\n')).to.include('"i","secret\\n"').and.to.include('"r","120x40"')
    })

    it('what is written to the console', () => {
      const shown = of('console', 'tty')
      expect(shown.map((record) => text(record, 'data')).join('')).to.equal('to the console\r\n')
      expect(shown[0]?.fields).to.include({ device: 4 << 20, direction: 2 })
    })
  })

  it("the kernel's messages, also what root hides from consoles and wipes at once", () => {
    const messages = records.filter(({ kind }) => kind === 'klog')
    expect(messages.map((record) => text(record, 'text')).join('\n')).to.include('Linux version 7')
    const own = messages.find((record) => text(record, 'text').endsWith('said to the kernel'))
    expect(own?.fields).to.deep.equal({ level: 3, facility: 1 })
    expect(own?.pid).to.equal(0)
  })

  it('what programs send to the system log', () => {
    const seen = of('system-log', 'syslog').map((record) => [record.fields['priority'], text(record, 'text')])
    expect(seen).to.deep.equal([
      [38, 'login: root came in'],
      [13, 'no priority']
    ])
  })

  it('a clock that is set back, before what happens under it', () => {
    const pid = told.get('set-time')
    // The clock's record is of whoever comes first behind the change.
    const seen = records.filter(
      (record) => record.kind === 'clock' || (record.kind === 'namespace' && record.pid === pid)
    )
    expect(seen.map(({ kind }) => kind)).to.deep.equal(['clock', 'namespace', 'clock'])
    const steps = seen.flatMap(({ fields }) =>
      fields['stepNs'] === undefined ? [] : [Number(fields['stepNs'])]
    )
    expect(steps.map((step) => Math.round(step / 1e9))).to.deep.equal([-3600, 3600])
    const times = records.map(({ monotonicNs }) => monotonicNs)
    expect(times).to.deep.equal(times.toSorted((a, b) => (a < b ? -1 : Number(a > b))))
  })

  it('processes, sockets and load, some time after the boot', () => {
    const [processes, sockets, load] = [1, 2, 3].map((topic) => {
      const record = records.find(({ kind, fields }) => kind === 'snapshot' && fields['topic'] === topic)
      expect(record?.fields).to.include({ part: 0, parts: 1, cause: 0 })
      return text(record, 'text')
    })
    const pid = told.get('listener')
    expect(processes).to.match(/^1 0 0 0 . 1 \d+ 0 init\n/)
    // Its name is one of two lines.
    expect(processes).to.match(new RegExp(`^${pid} \\d+ 0 0 . 1 \\d+ \\d+ forged\\?1 0 0$`, 'm'))
    expect(sockets).to.match(
      new RegExp(`^${pid} ${told.get('descriptor')} 2 1 6 10 127.0.0.2 ${PORT + 1} `, 'm')
    )
    expect(load).to.match(/^uptime_seconds \d+\nload_1m \d+\.\d\d\n/)
  })

  it('each in a line that people can read', () => {
    const lines = new Set(records.map((record) => recordText(record)))
    for (const line of [
      '/work/acts: first word nothing two words  \ufffd\n',
      'write /etc/passwd',
      'accept /tmp/socket',
      'bind @hidden',
      'bind 127.0.0.2:4660',
      'unshare 0x4000000',
      'pivot to /one on /one/old (tmpfs)'
    ])
      expect(lines).to.include(line)
  })
})
