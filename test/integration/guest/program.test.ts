import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { readdir, readlink } from 'node:fs/promises'
import type { ProgramExit, TerminalSize } from '../../../soda-host/virtual-server/types.ts'
import { bareGuest, type BareGuest } from '../../helpers/bare-guest.ts'
import { requires } from '../../helpers/capabilities.ts'
import { statusField } from '../../helpers/guest-processes.ts'
import { shell } from '../../helpers/guests.ts'

const MIB = 1024 * 1024

interface Ended {
  stdout: string
  stderr: string
  exit: ProgramExit
}

async function runIn(guest: BareGuest, script: string, terminal?: TerminalSize): Promise<Ended> {
  await guest.channel.run(shell(script, terminal === undefined ? {} : { terminal }))
  const exit = await guest.listener.exited
  return { exit, stdout: guest.listener.text('stdout'), stderr: guest.listener.text('stderr') }
}

async function run(script: string, terminal?: TerminalSize): Promise<Ended> {
  await using guest = await bareGuest()
  return await runIn(guest, script, terminal)
}

/** The same bytes as `yes` of a long line: far more than any window, and cheap to make on both sides. */
function hashOfLines(line: string, lines: number): string {
  const hash = createHash('sha256')
  const block = `${line}\n`.repeat(1000)
  for (let i = 0; i < lines; i += 1000) hash.update(block)
  return hash.digest('hex')
}

describe('a program in a guest', function () {
  this.timeout(60_000)
  before(function () {
    requires(this, 'uml')
  })

  it('finds its place: root, working directory, output directory, PATH, HOME, own variables', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(
      shell('id -u; pwd; echo $ISHARE_OUT $HOME $PATH $MINE; hostname', { env: { MINE: 'x' } })
    )
    await guest.listener.exited
    const lines = guest.listener.text('stdout').split('\n')
    expect(lines.slice(0, 2)).to.deep.equal(['0', '/work'])
    expect(lines[2]).to.match(/^\/out \/root \/\S*bin\S* x$/)
    expect(lines[3]).to.match(/^guest-[0-9a-f]{8}$/)
  })

  it('finds Kernort below it, and a control channel that it cannot open', async () => {
    const { stdout, stderr } = await run(
      'cat /sys/kernel/security/lsm; echo; dmesg | grep kernort; stat -c %a /dev/soda-channel; cat /dev/soda-channel'
    )
    expect(stdout).to.match(/^capability,kernort\n.*kernort: version \d+\.\d+\.\d+\n600\n$/s)
    expect(stderr).to.include('busy')
  })

  it('without privileges is not even let near the channel', async () => {
    const { stderr } = await run("su -s /bin/sh nobody -c 'cat /dev/soda-channel'")
    expect(stderr).to.include('Permission denied')
  })

  it('sees none of the host’s descriptors: only the three that it was given', async () => {
    const { stdout } = await run('ls /proc/self/fd | wc -l; ls -l /proc/1/fd | grep -c soda-channel')
    // ls itself has the directory open.
    expect(stdout).to.equal('4\n1\n')
  })

  it('leaves no host descriptor but its memory in the processes that run it', async () => {
    await using guest = await bareGuest()
    // Waits in the process that it is: while one is being made, it holds the socket that tells it its memory.
    await guest.channel.run(shell('echo ready; read x'))
    await guest.listener.until(({ outputBytes }) => outputBytes > 0)
    let processes = 0
    for (const pid of await readdir('/proc')) {
      if (statusField(Number(pid), 'PPid') !== String(guest.process.pid)) continue
      if (statusField(Number(pid), 'Name') !== 'uml-userspace') continue
      processes++
      for (const fd of await readdir(`/proc/${pid}/fd`))
        expect(await readlink(`/proc/${pid}/fd/${fd}`)).to.match(/^\/(dev\/shm|memfd:)/)
    }
    expect(processes).to.be.least(2)
  })

  it('has its status told, any of the 256', async () => {
    expect((await run('exit 0')).exit).to.deep.equal({ kind: 'status', status: 0 })
    expect((await run('exit 255')).exit).to.deep.equal({ kind: 'status', status: 255 })
  })

  it('has its signal told', async () => {
    expect((await run('kill -SEGV $$')).exit).to.deep.equal({ kind: 'signal', signal: 11 })
    expect((await run('kill -KILL $$')).exit).to.deep.equal({ kind: 'signal', signal: 9 })
  })

  it('that does not exist, or is no program, ends as in a shell', async () => {
    const attempt = async (name: string): Promise<Ended> => {
      await using guest = await bareGuest()
      await guest.channel.run({ argv: [name], env: {} })
      const exit = await guest.listener.exited
      return { exit, stdout: '', stderr: guest.listener.text('stderr') }
    }
    const missing = await attempt('no-such-program')
    expect(missing.exit).to.deep.equal({ kind: 'status', status: 127 })
    expect(missing.stderr).to.include('no-such-program: not found')
    const directory = await attempt('/etc')
    expect(directory.exit).to.deep.equal({ kind: 'status', status: 126 })
    expect(directory.stderr).to.include('/etc')
  })

  it('delivers 100 MB of output intact', async () => {
    const line = 'x'.repeat(1023)
    const lines = 100_000
    await using guest = await bareGuest()
    const hash = createHash('sha256')
    let bytes = 0
    guest.listener.output = async (stream, data, offset) => {
      expect(stream).to.equal('stdout')
      expect(offset).to.equal(bytes)
      bytes += data.length
      hash.update(data)
    }
    const { exit } = await runIn(guest, `yes ${line} | head -n ${lines}`)
    expect(exit).to.deep.equal({ kind: 'status', status: 0 })
    expect(bytes).to.equal(lines * 1024)
    expect(hash.digest('hex')).to.equal(hashOfLines(line, lines))
  })

  it('that prints 1 GB has all of it taken, and ends', async () => {
    await using guest = await bareGuest()
    let bytes = 0
    guest.listener.output = async (_stream, data) => void (bytes += data.length)
    const { exit } = await runIn(guest, 'dd if=/dev/zero bs=64k count=16384 2>/dev/null')
    expect(exit).to.deep.equal({ kind: 'status', status: 0 })
    expect(bytes).to.equal(1024 * MIB)
  })

  it('is held back by a listener that does not take its output', async () => {
    await using guest = await bareGuest()
    const held = Promise.withResolvers<undefined>()
    let bytes = 0
    guest.listener.output = async (_stream, data) => {
      bytes += data.length
      await held.promise
    }
    await guest.channel.run(shell('dd if=/dev/zero bs=64k count=160 2>/dev/null; touch /out/done'))
    // The program cannot end while only a window of its 10 MB has gone.
    for await (const { path } of guest.channel.getFiles()) expect(path).to.equal('nothing yet')
    held.resolve(undefined)
    expect(await guest.listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    expect(bytes).to.equal(160 * 65_536)
  })

  it('echoes its input byte for byte, while more is coming', async () => {
    const total = 20 * MIB
    await using guest = await bareGuest()
    const sent = createHash('sha256')
    const echoed = createHash('sha256')
    guest.listener.output = async (_stream, data) => void echoed.update(data)
    await guest.channel.run({ argv: ['cat'], env: {} })
    for (let offset = 0, length; offset < total; offset += length) {
      length = Math.min(total - offset, 1 + Math.floor(Math.random() * 300_000))
      const data = Buffer.alloc(length, offset % 251)
      sent.update(data)
      await guest.channel.stdin(offset, data)
    }
    await guest.channel.stdinEnd(total)
    expect(await guest.listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    expect(echoed.digest('hex')).to.equal(sent.digest('hex'))
    expect(guest.listener.stdinTakenBytes).to.equal(total)
  })

  it('gets input that was sent before it was started, and its end', async () => {
    await using guest = await bareGuest()
    await guest.channel.stdin(0, Buffer.from('early\n'))
    await guest.channel.stdinEnd(6)
    expect((await runIn(guest, 'cat')).stdout).to.equal('early\n')
  })

  it('that does not read its input does not keep signals from it', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(shell('echo ready; sleep 1000'))
    await guest.listener.until(({ outputBytes }) => outputBytes > 0)
    let fed = 0
    const feeding = (async () => {
      for (;;) {
        await guest.channel.stdin(fed, Buffer.alloc(65_536))
        fed += 65_536
      }
    })()
    await guest.listener.until(({ stdinTakenBytes }) => stdinTakenBytes > 0)
    await guest.channel.signal(15)
    expect(await guest.listener.exited).to.deep.equal({ kind: 'signal', signal: 15 })
    // What nobody will read is taken and thrown away.
    await guest.listener.until(({ stdinTakenBytes }) => stdinTakenBytes > 4 * MIB)
    await guest.channel.close()
    await feeding.catch(() => undefined)
  })

  it('gets signals as a group, and catches those that it likes', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(shell("trap 'echo usr1; exit 7' USR1; echo ready; while :; do sleep 0.05; done"))
    await guest.listener.until(({ outputBytes }) => outputBytes > 0)
    await guest.channel.signal(10)
    expect(await guest.listener.exited).to.deep.equal({ kind: 'status', status: 7 })
    expect(guest.listener.text('stdout')).to.equal('ready\nusr1\n')
  })

  it('can be signalled as soon as it runs, and after its end', async () => {
    await using guest = await bareGuest()
    await guest.channel.signal(15)
    await guest.channel.run(shell('sleep 1000'))
    await guest.channel.signal(9)
    expect(await guest.listener.exited).to.deep.equal({ kind: 'signal', signal: 9 })
    await guest.channel.signal(9)
  })

  it('is started once only', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(shell('echo one'))
    await guest.listener.exited
    await guest.channel.run(shell('echo two'))
    await guest.channel.signal(1)
    expect(guest.listener.text('stdout')).to.equal('one\n')
    expect(guest.listener.exits).to.equal(1)
  })

  it('has a terminal of the size that was asked for, and learns of a new size', async () => {
    await using guest = await bareGuest()
    const script = "trap 'stty size; exit' WINCH; tty; stty size; echo $TERM; while :; do sleep 0.05; done"
    await guest.channel.run(shell(script, { terminal: { columns: 91, rows: 17 } }))
    await guest.listener.until((listener) => listener.text('stdout').includes('xterm\r\n'))
    expect(guest.listener.text('stdout')).to.equal('/dev/pts/0\r\n17 91\r\nxterm\r\n')
    await guest.channel.resize({ columns: 132, rows: 50 })
    await guest.listener.exited
    expect(guest.listener.text('stdout')).to.include('50 132\r\n')
  })

  it('on a terminal is interrupted by ^C and ended by the end of input', async () => {
    const terminal = { columns: 80, rows: 24 }
    await using interrupted = await bareGuest()
    await interrupted.channel.run(shell('stty -echo; echo ready; cat', { terminal }))
    await interrupted.listener.until((listener) => listener.text('stdout').includes('ready'))
    await interrupted.channel.stdin(0, Buffer.of(3))
    expect(await interrupted.listener.exited).to.deep.equal({ kind: 'signal', signal: 2 })
    await using ended = await bareGuest()
    await ended.channel.run(shell('stty -echo; echo ready; cat', { terminal }))
    await ended.listener.until((listener) => listener.text('stdout').includes('ready'))
    await ended.channel.stdin(0, Buffer.from('hello\n'))
    await ended.channel.stdinEnd(6)
    expect(await ended.listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    expect(ended.listener.text('stdout')).to.equal('ready\r\nhello\r\n')
  })

  it('ends with its first process: what that leaves behind is killed, its output is kept', async () => {
    await using guest = await bareGuest()
    const script =
      '(setsid sleep 1000 &) ; (setsid sh -c "while :; do echo more; done" &) ; echo last >&2; exit 5'
    const { exit, stderr } = await runIn(guest, script)
    expect(exit).to.deep.equal({ kind: 'status', status: 5 })
    expect(stderr).to.equal('last\n')
  })

  it('powers off when told to', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(shell('sleep 1000'))
    await guest.channel.powerOff()
    await guest.ended
    expect(guest.console()).to.include('Power down')
    expect((await guest.channel.closed).code).to.equal('ERR_CHANNEL_CLOSED')
  })
})
