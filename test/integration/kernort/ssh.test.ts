/** A session of OpenSSH in a guest, by a real client with a terminal; then its replay, from the sealed log alone. */
import { spawn } from 'node:child_process'
import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { namespacePath } from '../../../soda-host/switch/commands.ts'
import { loadOrCreateLogKey } from '../../../src/identity/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { shell } from '../../helpers/guests.ts'
import { inputFile } from '../../helpers/launched.ts'
import { RemoteShell } from '../../helpers/remote-shell.ts'
import { testSwitch } from '../../helpers/switch/bare-guests.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { watchedGuest } from '../../helpers/watched-guest.ts'

const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts')
const SLOT = 100
const NETWORK_FD = 20
const PORT = 22
/** Of the server: its keys, who may come in, and that it listens. */
const SERVER = `
mkdir -p /run/sshd /root/.ssh
cp /work/key.pub /root/.ssh/authorized_keys
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
/usr/sbin/sshd -o HostKey=/etc/ssh/ssh_host_ed25519_key && echo listening
cat`
const SIZE = { columns: 101, rows: 33 }
const SECRET = 'a word that is not shown'

describe('A session of OpenSSH in a guest', function () {
  this.timeout(120_000)

  const resources = new AsyncDisposableStack()
  let state: string
  let log: string
  /** What the person at the client typed, and saw. */
  let typed: string
  let seen: string

  before(async function () {
    requires(this, 'root', 'uml', 'nftables')
    state = resources.use(await temporaryDirectory()).path
    const key = join(state, 'key')
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    const network = resources.use(await testSwitch())
    const person = await network.guest()
    const port = await network.network.addPort({ id: 'server', slot: SLOT })
    resources.defer(() => network.network.removePort(SLOT))
    await network.network.addLink({ from: person.id, to: 'server', protocol: 'tcp', port: PORT })
    const watched = resources.use(
      await watchedGuest({
        image: 'debian',
        key: await loadOrCreateLogKey(state),
        memoryBytes: 128 * 1024 * 1024,
        opener: port.openSocket(NETWORK_FD),
        parameters: [
          `vec0:transport=fd,fd=${NETWORK_FD},mac=${port.mac},mtu=1500`,
          `ishare.ipv4=${port.ipv4}/${port.prefixLength}`
        ]
      })
    )
    const { channel, listener, ended } = watched.guest
    await channel.putFile(inputFile('key.pub', await readFile(`${key}.pub`)))
    await channel.run(shell(SERVER, { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } }))
    await Promise.race([listener.exited, listener.until(() => /^listening$/m.test(listener.text('stdout')))])
    expect(listener.exits, listener.text('stderr')).to.equal(0)

    const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR']
    const ssh = ['ssh', '-i', key, ...options.flatMap((option) => ['-o', option]), `root@${port.ipv4}`]
    // A terminal for the client: it asks for one over there only if it has one here.
    const onTerminal = `stty columns ${SIZE.columns} rows ${SIZE.rows}; exec ${ssh.join(' ')}`
    const command = ['script', '--quiet', '--return', '--command', onTerminal, '/dev/null']
    const enter = [`--net=${namespacePath(person.namespace)}`, '--', ...command]
    const client = resources.use(new RemoteShell(spawn('nsenter', enter, { stdio: 'pipe' })))
    await client.until('# ')
    await client.does('tty; stty size')
    // What it asks and says is not in its echo.
    client.send("read -sp $'w\\x6frd: ' word; echo $'t\\x61ken'\n")
    await client.until('word: ')
    client.send(`${SECRET}\n`)
    await client.until('taken')
    await client.does('echo ${#word} letters')
    seen = await client.does('ls --color=always /etc/ssh')
    typed = client.typed
    await channel.powerOff()
    await ended
    log = join(state, 'the-log-alone')
    await rename(watched.files.log, log)
    await rm(key)
  })

  after(() => resources.disposeAsync())

  const ishare = (...args: string[]) =>
    execa('node', ['--disable-warning=ExperimentalWarning', MAIN, ...args, '--state-dir', state], {
      reject: false,
      stripFinalNewline: false
    })

  async function sessionId(): Promise<string> {
    const { stdout } = await ishare('sessions', log, '--json')
    const sessions = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; columns: number; rows: number; inputBytes: number })
    const session = sessions.find(({ inputBytes }) => inputBytes === typed.length)
    expect(session, stdout).to.include(SIZE)
    return session?.id ?? ''
  }

  it('is a secret of its tenant, also for who stores it', async () => {
    const sealed = await readFile(log)
    for (const word of ['ls --color', 'letters', SECRET, 'authorized_keys', 'sshd'])
      expect(sealed.includes(word), word).to.equal(false)
    expect((await ishare('verify', log)).stdout).to.match(/^whole: /)
  })

  it('is replayed as the person saw it, in its size', async () => {
    const { stdout } = await ishare('replay', log, await sessionId(), '--speed', '1000')
    expect(stdout).to.include('/dev/pts/0\r\n33 101\r\n').and.include(`${SECRET.length} letters`)
    expect(stdout).not.to.include(SECRET)
    // Colours and all; the last line is the prompt that came after.
    expect(stdout).to.include(seen.slice(0, seen.lastIndexOf('\n')))
  })

  it('has what was typed too, also what was not shown', async () => {
    const { stdout } = await ishare('replay', log, await sessionId(), '--cast', '2', '--input')
    const [head = '', ...lines] = stdout.trim().split('\n')
    expect(JSON.parse(head)).to.include({ version: 2, width: SIZE.columns, height: SIZE.rows })
    const events = lines.map((line) => JSON.parse(line) as [time: number, kind: string, data: string])
    const input = events.flatMap(([, kind, data]) => (kind === 'i' ? [data] : []))
    expect(input.join('')).to.equal(typed)
    const times = events.map(([time]) => time)
    expect(times).to.deep.equal(times.toSorted((a, b) => a - b))
  })
})
