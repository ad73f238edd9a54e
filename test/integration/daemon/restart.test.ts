import { expect } from 'chai'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { startDaemonProcess, type DaemonProcess } from '../../helpers/daemon/daemon-process.ts'
import { fakeArtifacts } from '../../helpers/daemon/fake-artifacts.ts'
import { guestProcesses } from '../../helpers/daemon/guest-processes.ts'
import {
  bytesOf,
  framesOf,
  serverSpec,
  tarOf,
  textOf,
  untar,
  untilOutput
} from '../../helpers/daemon/server-spec.ts'
import { errorOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import type { HostServer, HostServerSpec } from '../../../irun/host.ts'

describe('a daemon that ends and is started again', function () {
  this.timeout(60_000)

  let resources: AsyncDisposableStack
  let directory: string
  let config: DaemonConfig
  let daemon: DaemonProcess
  let host: HostClient

  beforeEach(async () => {
    resources = new AsyncDisposableStack()
    directory = resources.use(await temporaryDirectory()).path
    const artifactsPath = await fakeArtifacts(join(directory, 'artifacts'))
    config = {
      stateDir: join(directory, 'state'),
      socketPath: join(directory, 'run', 'host.sock'),
      slice: SUITE_SLICE,
      artifactsPath
    }
    daemon = await startDaemonProcess(config)
    host = resources.use(hostClient({ socketPath: config.socketPath }))
    await host.capacity()
  })

  afterEach(async () => {
    try {
      if (daemon.child.exitCode !== null || daemon.child.signalCode !== null) await restart()
      for (const { id } of await host.list()) await host.destroy(id)
      expect(guestProcesses(config.stateDir)).to.deep.equal([])
    } finally {
      await daemon.kill()
      await resources.disposeAsync()
    }
  })

  async function restart(): Promise<void> {
    await daemon.kill()
    daemon = await startDaemonProcess(config)
  }

  async function running(
    script: string,
    changes: Parameters<typeof serverSpec>[1] = {}
  ): Promise<HostServerSpec> {
    const spec = serverSpec(script, changes)
    await host.create(spec)
    await host.start(spec.id)
    return spec
  }

  it('keeps a server that was created, its input files and its part of the slice', async () => {
    const spec = serverSpec('cat a')
    await host.create(spec)
    await host.putFiles(spec.id, tarOf({ a: 'kept' }))
    await restart()
    expect((await host.inspect(spec.id)).state).to.equal('created')
    expect((await host.capacity()).used.servers).to.equal(1)
    await host.start(spec.id)
    await host.wait(spec.id)
    expect(textOf(await bytesOf(host.output(spec.id, { offset: 0, follow: false })), 1)).to.equal('kept')
  })

  it('brings every byte of output once to a client that follows through many deaths', async () => {
    const lines = 3000
    const { id } = await running(
      `i=0; while [ $i -lt ${lines} ]; do echo line $i; i=$((i+1)); done; read go; echo end`
    )
    const following = bytesOf(host.output(id, { offset: 0, follow: true }))
    for (let death = 0; death < 4; death++) await restart()
    await host.stdin(id, 0, Buffer.from('go\n'))
    const expected = Array.from({ length: lines }, (_, index) => `line ${index}\n`).join('')
    expect(textOf(await following, 1)).to.equal(`${expected}end\n`)
    expect((await host.wait(id)).output).to.deep.equal({ bytes: expected.length + 4, discardedBytes: 0 })
  })

  it('takes input once from a client that sends through many deaths', async () => {
    const { id } = await running('cat')
    const data = Buffer.from(Array.from({ length: 400_000 }, (_, index) => index % 251))
    const sending = (async () => {
      for (let offset = 0; offset < data.length;)
        offset = await host.stdin(id, offset, data.subarray(offset, offset + 10_000))
      await host.stdin(id, data.length, new Uint8Array(), { end: true })
    })()
    for (let death = 0; death < 3; death++) await restart()
    await sending
    await host.wait(id)
    const frames = framesOf(await bytesOf(host.output(id, { offset: 0, follow: true })))
    expect(Buffer.concat(frames.map((frame) => frame.data)).equals(data)).to.equal(true)
  })

  it('hears of a program that ended while no daemon was there', async () => {
    const { id } = await running('echo started; sleep 0.5; echo result > $ISHARE_OUT/r; exit 6')
    await untilOutput(host, id, 'started')
    await daemon.kill()
    await new Promise((resolve) => setTimeout(resolve, 700))
    daemon = await startDaemonProcess(config)
    const server = await host.wait(id)
    expect(server.exit).to.deep.equal({ kind: 'status', status: 6 })
    expect((await untar(host.files(id))).get('r')?.toString()).to.equal('result\n')
  })

  it('fails a server whose guest went while no daemon was there', async () => {
    const { id } = await running('echo started; sleep 1000')
    await untilOutput(host, id, 'started')
    await daemon.kill()
    for (const pid of guestProcesses(config.stateDir)) process.kill(Number(pid), 'SIGKILL')
    daemon = await startDaemonProcess(config)
    const server = await host.wait(id)
    expect(server.state).to.equal('failed')
    expect(server.reason?.code).to.equal('guest-killed')
    expect(textOf(await bytesOf(host.output(id, { offset: 0, follow: true })), 1)).to.equal('started\n')
    expect((await host.capacity()).used.servers).to.equal(0)
  })

  it('fails a server whose guest is killed under its eyes', async () => {
    const { id } = await running('echo started; sleep 1000')
    await untilOutput(host, id, 'started')
    for (const pid of guestProcesses(config.stateDir)) process.kill(Number(pid), 'SIGKILL')
    const server = await host.wait(id)
    expect(server.state).to.equal('failed')
    expect(server.reason?.code).to.equal('guest-killed')
  })

  it('goes on with a stop', async () => {
    const { id } = await running('trap "" TERM; echo armed; while :; do sleep 0.05; done')
    await untilOutput(host, id, 'armed')
    await host.stop(id, { graceMs: 1000 })
    await restart()
    const server = await host.wait(id)
    expect(server.exit).to.deep.equal({ kind: 'signal', signal: 9 })
    expect(server.reason?.code).to.equal('stopped')
  })

  it('ends leases that expired while no daemon was there', async () => {
    const expiresAtMs = Date.now() + 1500
    const created = serverSpec('true', { expiresAtMs })
    await host.create(created)
    const { id } = await running('echo started; exec sleep 1000', { expiresAtMs })
    await untilOutput(host, id, 'started')
    await daemon.kill()
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, expiresAtMs - Date.now())))
    daemon = await startDaemonProcess(config)
    const [never, ran] = await Promise.all([host.wait(created.id), host.wait(id)])
    expect([never.state, never.reason?.code]).to.deep.equal(['failed', 'lease-expired'])
    expect([ran.state, ran.reason?.code]).to.deep.equal(['exited', 'lease-expired'])
  })

  it('removes results whose time is over', async () => {
    const expiresAtMs = Date.now() + 1500
    const { id } = await running('true', { expiresAtMs, keepUntilMs: expiresAtMs })
    await host.wait(id)
    await daemon.kill()
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, expiresAtMs - Date.now())))
    daemon = await startDaemonProcess(config)
    for await (const event of host.events({ follow: true })) if (event.kind === 'destroyed') break
    expect(await readdir(join(config.stateDir, 'servers'))).to.deep.equal([])
  })

  it('keeps results of ended servers', async () => {
    const { id } = await running('echo out; echo file > $ISHARE_OUT/f; exit 2')
    const before: HostServer = await host.wait(id)
    await restart()
    expect(await host.inspect(id)).to.deep.equal(before)
    expect(textOf(await bytesOf(host.output(id, { offset: 0, follow: true })), 1)).to.equal('out\n')
    expect((await untar(host.files(id))).get('f')?.toString()).to.equal('file\n')
  })

  it('goes on numbering events where it stood', async () => {
    const { id } = await running('true')
    await host.wait(id)
    const before = await Array.fromAsync(host.events())
    await restart()
    expect(await Array.fromAsync(host.events())).to.deep.equal(before)
    await host.destroy(id)
    const later = await Array.fromAsync(host.events({ after: before.at(-1)?.sequence ?? 0 }))
    expect(later.map(({ sequence, kind }) => [sequence, kind])).to.deep.equal([[5, 'destroyed']])
  })

  it('tells a follower of events all of them, through a death', async () => {
    const kinds: string[] = []
    const following = (async () => {
      for await (const event of host.events({ follow: true })) {
        kinds.push(event.kind)
        if (event.kind === 'destroyed') return
      }
    })()
    const { id } = await running('read line')
    await untilRunning(id)
    await restart()
    await host.stdin(id, 0, new Uint8Array(), { end: true })
    await host.wait(id)
    await restart()
    await host.destroy(id)
    await following
    expect(kinds).to.deep.equal(['created', 'booting', 'running', 'exited', 'destroyed'])
  })

  async function untilRunning(id: string): Promise<void> {
    for await (const event of host.events({ follow: true }))
      if (event.id === id && event.kind === 'running') return
  }

  it('sweeps up directories of servers that are not on record', async () => {
    const stray = join(config.stateDir, 'servers', 'stray-server-0123456')
    await mkdir(join(stray, 'guest'), { recursive: true })
    await writeFile(join(stray, 'output'), 'x')
    await restart()
    expect(existsSync(stray)).to.equal(false)
  })

  it('forgets uploads that were not finished', async () => {
    const spec = serverSpec('ls')
    await host.create(spec)
    const part = join(config.stateDir, 'servers', spec.id, 'input.tar.1234.part')
    await writeFile(part, 'half')
    await restart()
    expect(existsSync(part)).to.equal(false)
  })

  it('lets its servers run on when it is told to end, and finds them again', async () => {
    const { id } = await running('echo started; read line; echo "got $line"')
    await untilOutput(host, id, 'started')
    expect(await daemon.terminate()).to.equal(0)
    expect(guestProcesses(config.stateDir)).to.not.deep.equal([])
    expect(existsSync(config.socketPath)).to.equal(false)
    daemon = await startDaemonProcess(config)
    await host.stdin(id, 0, Buffer.from('it\n'))
    await host.wait(id)
    expect(textOf(await bytesOf(host.output(id, { offset: 0, follow: true })), 1)).to.equal(
      'started\ngot it\n'
    )
  })

  it('boots again what was booting when it was told to end', async () => {
    const { id } = await running('echo once')
    expect(await daemon.terminate()).to.equal(0)
    daemon = await startDaemonProcess(config)
    expect((await host.wait(id)).exit).to.deep.equal({ kind: 'status', status: 0 })
    expect(textOf(await bytesOf(host.output(id, { offset: 0, follow: true })), 1)).to.equal('once\n')
  })

  it('refuses a second daemon on the same state, which harms nothing', async () => {
    const { id } = await running('read line')
    const other = { ...config, socketPath: join(directory, 'other.sock') }
    const error = await errorOf(() => startDaemonProcess(other))
    expect(error.message).to.include('in use by another daemon')
    await host.stdin(id, 0, new Uint8Array(), { end: true })
    expect((await host.wait(id)).state).to.equal('exited')
  })

  it('refuses a socket where another daemon answers', async () => {
    const other = { ...config, stateDir: join(directory, 'other') }
    const error = await errorOf(() => startDaemonProcess(other))
    expect(error.message).to.include('another daemon answers')
    expect((await host.capacity()).total).to.deep.equal(SUITE_SLICE)
  })

  it('replaces the socket of a dead daemon', async () => {
    await daemon.kill()
    expect(existsSync(config.socketPath)).to.equal(true)
    daemon = await startDaemonProcess(config)
    expect((await host.capacity()).total).to.deep.equal(SUITE_SLICE)
  })

  it('lets only its own user and group connect', () => {
    expect(statSync(config.socketPath).mode & 0o777).to.equal(0o660)
    expect(statSync(join(directory, 'run')).mode & 0o777).to.equal(0o750)
    expect(statSync(join(config.stateDir, 'state.sqlite')).mode & 0o077).to.equal(0)
  })

  it('refuses to start with an artifact that is not what its digest says', async () => {
    await daemon.kill()
    const artifactsPath = await fakeArtifacts(join(directory, 'changed'))
    await writeFile(join(directory, 'changed', 'kernel'), 'another kernel')
    const stale = { ...config, artifactsPath, stateDir: join(directory, 'fresh') }
    expect((await errorOf(() => startDaemonProcess(stale))).message).to.include('kernel')
  })

  it('says at once when there is no daemon, and how to start one', async () => {
    await using lonely = hostClient({ socketPath: join(directory, 'nobody.sock') })
    const error = await errorOf(() => lonely.capacity())
    expect(error.code).to.equal('ERR_HOST_UNREACHABLE')
    expect(error.message).to.include('ishare host start')
  })

  it('gives up on a daemon that does not come back', async () => {
    await using impatient = hostClient({ socketPath: config.socketPath, reconnectMs: 200 })
    const { id } = await running('read line')
    const waiting = errorOf(() => impatient.wait(id))
    const following = errorOf(() => bytesOf(impatient.output(id, { offset: 0, follow: true })))
    await untilRunning(id)
    await daemon.kill()
    expect((await waiting).code).to.equal('ERR_HOST_UNREACHABLE')
    expect((await following).code).to.equal('ERR_HOST_UNREACHABLE')
  })

  it('does not believe something else that answers on the socket', async () => {
    const path = join(directory, 'else.sock')
    const other = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}')
    }).listen(path)
    await once(other, 'listening')
    await using fooled = hostClient({ socketPath: path })
    expect((await errorOf(() => fooled.capacity())).code).to.equal('ERR_HOST_RESPONSE')
    other.close()
  })
})
