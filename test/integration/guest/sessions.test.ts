import { expect } from 'chai'
import { constants } from 'node:os'
import { connectGuestChannel } from '../../../soda-host/virtual-server/channel.ts'
import { SESSIONS_MAX } from '../../../soda-host/virtual-server/frames.ts'
import type { GuestSession, ProgramExit } from '../../../soda-host/virtual-server/types.ts'
import { bareGuest, type BareGuest } from '../../helpers/bare-guest.ts'
import { requires } from '../../helpers/capabilities.ts'
import { codeOf } from '../../helpers/errors.ts'
import { shell } from '../../helpers/guests.ts'
import { RecordingListener } from '../../helpers/launched.ts'

interface Result {
  stdout: string
  stderr: string
  exit: ProgramExit
}

async function resultOf(session: GuestSession): Promise<Result> {
  const text = { stdout: '', stderr: '' }
  for await (const { stream, data } of session.output()) text[stream] += Buffer.from(data).toString('latin1')
  return { ...text, exit: await session.exited }
}

/** Resolves when the session has written `wanted`. The rest of its output is lost. */
async function says(session: GuestSession, wanted: string): Promise<void> {
  let text = ''
  for await (const { data } of session.output()) {
    text += Buffer.from(data).toString()
    if (text.includes(wanted)) return
  }
  throw new Error(`the session ended and had said ${JSON.stringify(text)}`)
}

describe('sessions of a guest', function () {
  this.timeout(20_000)
  let guest: BareGuest

  before(async function () {
    requires(this, 'uml')
    guest = await bareGuest()
    await guest.channel.run(shell('echo main; while read line; do echo "main $line"; done'))
    await guest.listener.until((listener) => listener.text('stdout').includes('main\n'))
  })

  after(() => guest[Symbol.asyncDispose]())

  async function run(script: string): Promise<Result> {
    return resultOf(await guest.channel.exec(shell(script)))
  }

  /** The main program answers. */
  async function mainAnswers(word: string): Promise<void> {
    await guest.channel.stdin(guest.listener.stdinTakenBytes, Buffer.from(`${word}\n`))
    await guest.listener.until((listener) => listener.text('stdout').includes(`main ${word}\n`))
  }

  /** Resolves when no process of the guest runs `command` any more. */
  async function areGone(command: string): Promise<void> {
    await run(`while ps -o args | grep -q "^${command}"; do sleep 0.05; done`)
  }

  it('run beside the main program, with streams and a status of their own', async () => {
    expect(await run('echo out; echo err >&2; exit 7')).to.deep.equal({
      stdout: 'out\n',
      stderr: 'err\n',
      exit: { kind: 'status', status: 7 }
    })
    await mainAnswers('untouched')
    expect(guest.listener.text('stdout')).to.not.include('out\n')
  })

  it('tell 127 for a program that is not there, and a signal for one that was killed', async () => {
    const missing = await resultOf(await guest.channel.exec({ argv: ['no-such-program'], env: {} }))
    expect(missing.exit).to.deep.equal({ kind: 'status', status: 127 })
    expect(missing.stderr).to.include('not found')
    expect((await run('kill -SEGV $$')).exit).to.deep.equal({
      kind: 'signal',
      signal: constants.signals.SIGSEGV
    })
  })

  it('take standard input to its end, more than any window', async () => {
    const session = await guest.channel.exec(shell('wc -c'))
    const bytes = Buffer.alloc(700_000, 'iShare')
    const result = resultOf(session)
    for (let at = 0; at < bytes.length; at += 100_000) await session.stdin(bytes.subarray(at, at + 100_000))
    await session.stdinEnd()
    expect((await result).stdout).to.equal('700000\n')
  })

  it('deliver all output of a program that writes more than any window and ends at once', async () => {
    const { stdout, exit } = await run('head -c 1000000 /dev/zero; echo end')
    expect(stdout.length).to.equal(1_000_004)
    expect(stdout.endsWith('end\n')).to.equal(true)
    expect(exit).to.deep.equal({ kind: 'status', status: 0 })
  })

  it('have a terminal when they want one, which can be resized and interrupted', async () => {
    const terminal = { columns: 80, rows: 24 }
    const script = 'stty size; trap "stty size; exit 3" WINCH; echo ready; while :; do sleep 1; done'
    const session = await guest.channel.exec(shell(script, { terminal }))
    let text = ''
    for await (const { data } of session.output()) {
      text += Buffer.from(data).toString()
      if (text.includes('ready') && !text.includes('40 132')) {
        await session.resize({ columns: 132, rows: 40 })
        // The shell looks at its traps when its sleep has ended: Ctrl+C ends that.
      }
    }
    expect(text).to.match(/24 80[^]*ready[^]*40 132/)
    expect(await session.exited).to.deep.equal({ kind: 'status', status: 3 })
    const interrupted = await guest.channel.exec(shell('echo ready; exec sleep 1000', { terminal }))
    const output = resultOf(interrupted)
    await interrupted.stdin(Buffer.of(3))
    expect((await output).exit).to.deep.equal({ kind: 'signal', signal: constants.signals.SIGINT })
  })

  it('are signalled without the main program hearing of it', async () => {
    const session = await guest.channel.exec(
      shell('trap "echo caught; exit 5" USR1; echo ready; while :; do sleep 1; done')
    )
    let text = ''
    for await (const { data } of session.output()) {
      text += Buffer.from(data).toString()
      if (text === 'ready\n') await session.signal(constants.signals.SIGUSR1)
    }
    expect(text).to.match(/^ready\n[^]*caught\n/)
    expect(await session.exited).to.deep.equal({ kind: 'status', status: 5 })
    await mainAnswers('still here')
  })

  it('hold up nobody when nobody reads them', async () => {
    const deaf = await guest.channel.exec(shell('yes flood'))
    const mute = await guest.channel.exec(shell('sleep 1000'))
    const stuck = mute.stdin(Buffer.alloc(500_000)).catch(() => undefined)
    const started = await run('echo fine')
    expect(started.stdout).to.equal('fine\n')
    await mainAnswers('not held up')
    deaf.close()
    mute.close()
    expect(await deaf.exited).to.deep.equal({ kind: 'signal', signal: constants.signals.SIGKILL })
    await mute.exited
    await stuck
  })

  it('end at their first process, whoever else holds their pipes, and leave that one alone', async () => {
    const { stdout, exit } = await run('sleep 86401 & echo gone')
    expect(stdout).to.equal('gone\n')
    expect(exit).to.deep.equal({ kind: 'status', status: 0 })
    expect(
      (await run('until ps -o args | grep -q "^sleep 86401"; do sleep 0.05; done; echo was there')).stdout
    ).to.equal('was there\n')
  })

  it('are killed whole when they are closed, other process groups of theirs too', async () => {
    const script = 'set -m; sleep 86402 & sleep 86402 & echo ready; wait'
    const session = await guest.channel.exec(shell(script, { terminal: { columns: 80, rows: 24 } }))
    await says(session, 'ready')
    session.close()
    await session.exited
    await areGone('sleep 86402')
  })

  it('are no more than they may be, and can be again when one has ended', async () => {
    const all = await Promise.all(
      Array.from({ length: SESSIONS_MAX }, () => guest.channel.exec(shell('cat')))
    )
    expect(await codeOf(() => guest.channel.exec(shell('true')))).to.equal('ERR_SESSION_LIMIT')
    const [first, ...others] = all
    await first?.stdinEnd()
    await first?.exited
    expect((await run('echo room')).stdout).to.equal('room\n')
    for (const session of others) session.close()
    await Promise.all(others.map(({ exited }) => exited))
  })

  it('end with the connection of their daemon, while the main program does not notice', async () => {
    const session = await guest.channel.exec(shell('sleep 86403 & echo ready; wait'))
    await says(session, 'ready')
    const failed = codeOf(() => session.exited)
    const output = codeOf(() => resultOf(session))
    const listener = new RecordingListener()
    listener.outputBytes = guest.listener.outputBytes
    await guest.channel.close()
    await using next = connectGuestChannel({ socketPath: guest.socketPath, listener })
    await next.ready()
    expect(await failed).to.equal('ERR_SESSION_LOST')
    expect(await output).to.equal('ERR_SESSION_LOST')
    const { stdout } = await resultOf(
      await next.exec(shell('while ps -o args | grep -q "sleep 8640[3]"; do sleep 0.05; done; echo looked'))
    )
    expect(stdout).to.equal('looked\n')
    await next.stdin(listener.stdinTakenBytes, Buffer.from('after\n'))
    await listener.until(() => listener.text('stdout').includes('main after\n'))
  })
})
