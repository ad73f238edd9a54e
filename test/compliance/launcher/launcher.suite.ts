import { expect } from 'chai'
import { chmod, mkdtemp, readdir } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { constants } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { allowedCpus } from '../../../soda-host/resources/cpu-balancer.ts'
import { codeOf } from '../../helpers/errors.ts'
import {
  inputDirectory,
  inputFile,
  launchSpec,
  readFiles,
  RecordingListener
} from '../../helpers/launched.ts'
import { shell } from '../../helpers/guests.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { processGone } from '../../../soda-host/virtual-server/process-identity.ts'
import type {
  Adopted,
  LaunchSpec,
  ProcessRecord,
  ProgramSpec,
  RunningServer,
  ServerLauncher
} from '../../../soda-host/virtual-server/types.ts'

/** One implementation of the launcher seam, and the files that its servers start from. */
export interface LauncherUnderTest {
  launcher(): ServerLauncher
  /** `directory` is there for them, and removed afterwards. */
  artifacts(directory: string): Promise<Pick<LaunchSpec, 'kernelPath' | 'initrdPath' | 'imagePath'>>
}

/** What every launcher promises. Call inside a `describe`. */
export function launcherSuite(underTest: LauncherUnderTest): void {
  let directory: string
  let resources: AsyncDisposableStack
  let spec: LaunchSpec
  let launcher: ServerLauncher

  beforeEach(async () => {
    resources = new AsyncDisposableStack()
    const top = resources.use(await temporaryDirectory())
    directory = await mkdtemp(join(top.path, 's-'))
    await chmod(directory, 0o711)
    launcher = underTest.launcher()
    spec = launchSpec(directory, await underTest.artifacts(top.path))
    resources.defer(() => launcher.sweep(spec))
  })

  afterEach(() => resources.disposeAsync())

  async function launch(
    listener = new RecordingListener()
  ): Promise<{ server: RunningServer; listener: RecordingListener }> {
    const server = await launcher.launch(spec, listener)
    resources.defer(() => server.release())
    await server.ready()
    return { server, listener }
  }

  /** A guest with its program on the way. */
  async function start(
    program: ProgramSpec
  ): Promise<{ server: RunningServer; listener: RecordingListener }> {
    const launched = await launch()
    await launched.server.run(program)
    return launched
  }

  /** As another daemon does, which has the record from a file. */
  async function adopt(
    record: ProcessRecord,
    listener = new RecordingListener(),
    now = spec
  ): Promise<Adopted> {
    const read = JSON.parse(JSON.stringify(record)) as ProcessRecord
    return underTest.launcher().adopt(now, read, listener)
  }

  async function adoptAlive(
    { record }: RunningServer,
    listener: RecordingListener,
    now = spec
  ): Promise<RunningServer> {
    const adopted = await adopt(record, listener, now)
    if (!adopted.isAlive) throw new Error(`the guest is gone: ${adopted.end.kind} ${adopted.end.detail}`)
    return adopted.server
  }

  it('runs a program and tells its output apart from its errors', async () => {
    const { listener } = await start(shell('echo out; echo err >&2; exit 7'))
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 7 })
    expect(listener.text('stdout')).to.equal('out\n')
    expect(listener.text('stderr')).to.equal('err\n')
  })

  it('tells the end of a program by signal', async () => {
    const { listener } = await start(shell('kill -KILL $$'))
    expect(await listener.exited).to.deep.equal({ kind: 'signal', signal: constants.signals.SIGKILL })
  })

  it('tells status 127 for a program that does not exist', async () => {
    const { listener } = await start({ argv: ['no-such-program-anywhere'], env: {} })
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 127 })
  })

  it('passes environment and arguments through unharmed', async () => {
    const word = 'a b\'c"d\\e\nf$g'
    const argv = ['sh', '-c', 'printf "%s|%s" "$1" "$VALUE"', 'sh', word]
    const { listener } = await start({ argv, env: { VALUE: word } })
    await listener.exited
    expect(listener.text('stdout')).to.equal(`${word}|${word}`)
  })

  it('delivers all output before the exit', async () => {
    const { listener } = await start(shell('head -c 3000000 /dev/zero'))
    await listener.exited
    expect(listener.outputBytes).to.equal(3_000_000)
  })

  it('puts files below the working directory and brings outputs back', async () => {
    const { server, listener } = await launch()
    const content = randomBytes(300_000)
    await server.putFile(inputDirectory('deep'))
    await server.putFile(inputFile('deep/data.bin', content))
    await server.putFile(inputFile('tool', '#!/bin/sh\nexit 5\n', 0o755))
    await server.putFile(inputFile('empty', ''))
    await server.run(shell('mkdir "$ISHARE_OUT/sub"; cp deep/data.bin empty "$ISHARE_OUT/sub/"; ./tool'))
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 5 })
    const files = await readFiles(server.getFiles())
    expect([...files.keys()].sort()).to.deep.equal(['sub', 'sub/data.bin', 'sub/empty'])
    expect(files.get('sub/data.bin')?.equals(content)).to.equal(true)
    expect(files.get('sub/empty')?.length).to.equal(0)
    expect(files.get('sub')).to.equal(undefined)
  })

  it('brings back regular files and directories only', async () => {
    const { server, listener } = await start(
      shell('cd "$ISHARE_OUT"; ln -s /etc/passwd link; mkfifo pipe; echo x > file')
    )
    await listener.exited
    expect([...(await readFiles(server.getFiles())).keys()]).to.deep.equal(['file'])
  })

  for (const path of ['../escape', '/absolute', 'a/../../escape'])
    it(`refuses to put a file at ${path}`, async () => {
      const { server } = await launch()
      expect(await codeOf(() => server.putFile(inputFile(path, 'x')))).to.equal('ERR_FILES_FORMAT')
    })

  it('feeds standard input, and a resend of what was taken is harmless', async () => {
    const { server, listener } = await start(shell('cat'))
    await server.stdin(0, Buffer.from('hello '))
    await server.stdin(0, Buffer.from('hello '))
    await server.stdin(3, Buffer.from('lo world'))
    await server.stdinEnd(11)
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    expect(listener.text('stdout')).to.equal('hello world')
    expect(listener.stdinTakenBytes).to.equal(11)
  })

  it('carries megabytes of standard input through', async () => {
    const { server, listener } = await start(shell('wc -c'))
    const chunk = Buffer.alloc(200_000, 7)
    for (let offset = 0; offset < 4_000_000; offset += chunk.length) await server.stdin(offset, chunk)
    await server.stdinEnd(4_000_000)
    await listener.exited
    expect(listener.text('stdout').trim()).to.equal('4000000')
  })

  it('signals the program', async () => {
    const { server, listener } = await start(
      shell('trap "echo caught; exit 3" USR1; echo up; while :; do sleep 0.05; done')
    )
    await listener.until(({ outputBytes }) => outputBytes >= 3)
    await server.signal(constants.signals.SIGUSR1)
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 3 })
    expect(listener.text('stdout')).to.equal('up\ncaught\n')
  })

  it('gives a terminal its size, and the new one on resize', async () => {
    const script = 'stty size; trap "stty size; exit 0" WINCH; echo up; while :; do sleep 0.05; done'
    const { server, listener } = await start(shell(script, { terminal: { columns: 91, rows: 31 } }))
    await listener.until((seen) => seen.text('stdout').includes('up'))
    await server.resize({ columns: 103, rows: 41 })
    await listener.exited
    expect(listener.text('stdout').split(/\s+/).join(' ')).to.equal('31 91 up 41 103 ')
  })

  it('runs another program beside the main one, with streams, input, signals and an end of its own', async () => {
    const { server, listener } = await start(shell('echo main; cat'))
    await listener.until(({ outputBytes }) => outputBytes >= 5)
    const talking = await server.exec(shell('echo out; echo err >&2; cat; exit 7'))
    await talking.stdin(Buffer.from('in\n'))
    await talking.stdinEnd()
    const said = { stdout: '', stderr: '' }
    for await (const { stream, data } of talking.output()) said[stream] += Buffer.from(data).toString()
    expect(said).to.deep.equal({ stdout: 'out\nin\n', stderr: 'err\n' })
    expect(await talking.exited).to.deep.equal({ kind: 'status', status: 7 })

    const waiting = await server.exec(shell('trap "exit 9" USR1; echo armed; while :; do sleep 0.05; done'))
    for await (const _armed of waiting.output()) await waiting.signal(constants.signals.SIGUSR1)
    expect(await waiting.exited).to.deep.equal({ kind: 'status', status: 9 })

    const closed = await server.exec(shell('exec sleep 1000'))
    closed.close()
    expect(await closed.exited).to.deep.equal({ kind: 'signal', signal: constants.signals.SIGKILL })
    const missing = await server.exec({ argv: ['no-such-program-anywhere'], env: {} })
    expect(await missing.exited).to.deep.equal({ kind: 'status', status: 127 })

    const lost = await server.exec(shell('exec sleep 1000'))
    expect(listener.text('stdout')).to.equal('main\n')
    await server.kill()
    expect(await codeOf(() => lost.exited)).to.equal('ERR_SESSION_LOST')
    expect(await codeOf(() => server.exec(shell('true')))).to.equal('ERR_CHANNEL_CLOSED')
  })

  it('starts a program once, however often it is told to', async () => {
    const { server, listener } = await start(shell('echo once; cat'))
    await server.run(shell('echo twice'))
    await server.stdinEnd(0)
    await listener.exited
    await server.run(shell('echo thrice'))
    await server.powerOff()
    await server.ended
    expect(listener.text('stdout')).to.equal('once\n')
    expect(listener.exits).to.equal(1)
  })

  it('freezes where it stands, and the same program goes on after a thaw', async () => {
    const { server, listener } = await start(
      shell('i=0; (while :; do :; done) & while :; do i=$((i+1)); echo $i; sleep 0.01; done')
    )
    await listener.until(({ outputBytes }) => outputBytes > 20)
    await server.freeze()
    // What it had sent before is still on its way.
    await delay(100)
    const { outputBytes } = listener
    const { cpuSeconds } = await server.usage()
    await delay(200)
    expect(listener.outputBytes).to.equal(outputBytes)
    expect((await server.usage()).cpuSeconds).to.equal(cpuSeconds)
    await server.thaw()
    await listener.until((seen) => seen.outputBytes > outputBytes + 20)
    const lines = listener.text('stdout').trim().split('\n')
    expect(lines.slice(0, -1)).to.deep.equal(lines.slice(0, -1).map((_, index) => String(index + 1)))
    // Any number of times, and a thaw of what runs does no harm.
    await server.freeze()
    await server.freeze()
    await server.thaw()
    await server.thaw()
    await listener.until((seen) => seen.text('stdout').trim().split('\n').length > lines.length)
  })

  it('is killed, adopted and swept while it is frozen', async () => {
    const { server } = await start(shell('while :; do :; done'))
    await server.freeze()
    await server.release()
    const adopted = await adoptAlive(server, new RecordingListener())
    await adopted.kill()
    expect((await adopted.ended).kind).to.equal('killed')
    const { server: second } = await start(shell('while :; do :; done'))
    await second.freeze()
    await second.release()
    await launcher.sweep(spec)
    expect((await adopt(second.record)).isAlive).to.equal(false)
  })

  it('goes on with other limits and on another CPU', async () => {
    const { server, listener } = await start(shell('echo up; cat'))
    await listener.until(({ outputBytes }) => outputBytes >= 3)
    await server.setLimits({ ...spec.limits, cpu: 0.25, cpuMax: 0.5 })
    await server.setLimits(spec.limits)
    for (const cpu of allowedCpus()) await server.moveTo(cpu)
    await server.stdinEnd(0)
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    await server.kill()
    expect(await codeOf(() => server.freeze())).to.equal('ERR_CHANNEL_CLOSED')
    expect(await codeOf(() => server.setLimits(spec.limits))).to.equal('ERR_CHANNEL_CLOSED')
  })

  it('does with less memory than it was launched with, and with all of it again, adopted or not', async () => {
    const { server, listener } = await start(shell('echo up; cat'))
    await listener.until(({ outputBytes }) => outputBytes >= 3)
    const { memoryBytes } = spec.limits
    expect(await server.setMemory(memoryBytes * 0.75)).to.equal('given')
    await server.release()
    const limits = { ...spec.limits, memoryBytes: memoryBytes * 0.75 }
    const next = { ...spec, limits, memoryCeilingBytes: memoryBytes }
    const adopted = await adoptAlive(server, listener, next)
    await adopted.ready()
    expect(await adopted.setMemory(memoryBytes)).to.equal('given')
    await adopted.stdinEnd(0)
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    await adopted.kill()
    expect(await codeOf(() => adopted.setMemory(memoryBytes))).to.equal('ERR_CHANNEL_CLOSED')
  })

  it('powers off as asked', async () => {
    const { server } = await launch()
    await server.powerOff()
    expect((await server.ended).kind).to.equal('halted')
  })

  it('kills, whatever the program does about it', async () => {
    const { server, listener } = await start(
      shell('trap "" TERM INT HUP; echo up; while :; do sleep 1; done')
    )
    await listener.until(({ outputBytes }) => outputBytes >= 3)
    await server.kill()
    expect((await server.ended).kind).to.equal('killed')
  })

  it('sees that the guest was killed from outside', async () => {
    const { server } = await launch()
    process.kill(server.record.pid, 'SIGKILL')
    expect((await server.ended).kind).to.equal('killed')
  })

  it('says ERR_CHANNEL_CLOSED once the guest is gone, but still tells its usage', async () => {
    const { server, listener } = await start(shell('i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'))
    await listener.exited
    const before = await server.usage()
    await server.kill()
    expect(await codeOf(() => server.run(shell('true')))).to.equal('ERR_CHANNEL_CLOSED')
    expect(await codeOf(() => server.stdin(0, Buffer.from('x')))).to.equal('ERR_CHANNEL_CLOSED')
    expect(await codeOf(() => server.putFile(inputFile('x', 'x')))).to.equal('ERR_CHANNEL_CLOSED')
    expect(await codeOf(() => readFiles(server.getFiles()))).to.equal('ERR_CHANNEL_CLOSED')
    const after = await server.usage()
    expect(after.cpuSeconds).to.be.greaterThan(0).and.not.lessThan(before.cpuSeconds)
    expect(after.memoryPeakBytes).to.be.greaterThan(1_000_000).and.not.lessThan(before.memoryPeakBytes)
  })

  it('is adopted after a release, and nothing that was said meanwhile is lost or said twice', async () => {
    const { server, listener } = await start(shell('echo one; read line; echo "two $line"; exit 4'))
    await listener.until(({ outputBytes }) => outputBytes >= 4)
    await server.release()
    const adopted = await adoptAlive(server, listener)
    await adopted.ready()
    await adopted.run(shell('echo a second program'))
    await adopted.stdin(0, Buffer.from('more\n'))
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 4 })
    expect(listener.text('stdout')).to.equal('one\ntwo more\n')
    await adopted.powerOff()
    expect((await adopted.ended).kind).to.equal('halted')
  })

  it('delivers to the next keeper what ended while nobody looked', async () => {
    const { server, listener } = await start(shell('read go; sleep 0.3; echo late; exit 9'))
    await server.stdin(0, Buffer.from('go\n'))
    await listener.until(({ stdinTakenBytes }) => stdinTakenBytes >= 3)
    await server.release()
    const adopted = await adoptAlive(server, listener)
    await adopted.ready()
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 9 })
    expect(listener.text('stdout')).to.equal('late\n')
    await adopted.kill()
  })

  it('tells how a guest ended that died unseen, and clears up', async () => {
    const { server } = await launch()
    await server.release()
    process.kill(server.record.pid, 'SIGKILL')
    await processGone(server.record)
    const adopted = await adopt(server.record)
    expect(adopted).to.deep.include({
      isAlive: false,
      end: { kind: 'killed', detail: 'killed from outside' }
    })
    await launcher.sweep(spec)
    expect((await adopt(server.record)).isAlive).to.equal(false)
  })

  it('tells one that powered off unseen from one that was killed', async () => {
    const { server, listener } = await start(shell('read go; exit 3'))
    await server.stdin(0, Buffer.from('go\n'))
    await listener.exited
    await server.powerOff()
    await server.release()
    await processGone(server.record)
    expect(await adopt(server.record)).to.deep.include({ end: { kind: 'halted', detail: '' } })
  })

  it('does not take a reused pid for the guest', async () => {
    const { server } = await launch()
    await server.kill()
    const record = { ...server.record, pid: process.pid }
    expect((await adopt(record)).isAlive).to.equal(false)
  })

  it('sweeps a running guest away by its directory alone, any number of times', async () => {
    const { server } = await launch()
    await server.release()
    await underTest.launcher().sweep(spec)
    await underTest.launcher().sweep(spec)
    expect((await adopt(server.record)).isAlive).to.equal(false)
  })

  it('sweeps an id that never was', async () => {
    await launcher.sweep({ id: 'never-launched-at-all', directory, slot: 77 })
    expect(await readdir(directory)).to.deep.equal([])
  })

  it('says ERR_BOOT_FAILED for a kernel that is not there, and leaves nothing', async () => {
    const broken = { ...spec, kernelPath: join(directory, 'no-kernel') }
    expect(await codeOf(() => launcher.launch(broken, new RecordingListener()))).to.equal('ERR_BOOT_FAILED')
    expect(await readdir(directory)).to.deep.equal([])
  })

  it('passes an abort of ready on', async () => {
    const server = await launcher.launch(spec, new RecordingListener())
    resources.defer(() => server.release())
    const reason = new Error('enough')
    try {
      await server.ready(AbortSignal.abort(reason))
      expect.fail('ready did not abort')
    } catch (error) {
      expect(error).to.equal(reason)
    }
  })
}
