import { expect } from 'chai'
import { constants } from 'node:os'
import { join } from 'node:path'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import { MIB } from '../../../src/constants.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { requires } from '../../helpers/capabilities.ts'
import { codeOf } from '../../helpers/errors.ts'
import { startDaemonProcess, type DaemonProcess } from '../../helpers/daemon/daemon-process.ts'
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
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('a daemon with real guests that is killed and started again', function () {
  this.timeout(120_000)

  let resources: AsyncDisposableStack
  let config: DaemonConfig
  let daemon: DaemonProcess
  let host: HostClient

  before(function () {
    requires(this, 'root', 'uml', 'bubblewrap')
  })

  beforeEach(async () => {
    resources = new AsyncDisposableStack()
    const directory = resources.use(await temporaryDirectory()).path
    config = {
      stateDir: join(directory, 'state'),
      socketPath: join(directory, 'host.sock'),
      slice: SUITE_SLICE,
      artifactsPath: process.env['ISHARE_ARTIFACTS'] ?? ''
    }
    daemon = await startDaemonProcess(config, { guests: 'uml' })
    host = resources.use(hostClient({ socketPath: config.socketPath }))
    await host.capacity()
  })

  afterEach(async () => {
    try {
      for (const { id } of await host.list()) await host.destroy(id)
      expect(guestProcesses(config.stateDir)).to.deep.equal([])
    } finally {
      await daemon.kill()
      await resources.disposeAsync()
    }
  })

  async function restart(): Promise<void> {
    await daemon.kill()
    daemon = await startDaemonProcess(config, { guests: 'uml' })
  }

  it('loses no byte of input or output, and no file', async () => {
    const spec = serverSpec('cat in; echo; cat | tee $ISHARE_OUT/copy; exit 3')
    await host.create(spec)
    await host.putFiles(spec.id, tarOf({ in: 'from a file' }))
    await host.start(spec.id)
    const following = bytesOf(host.output(spec.id, { offset: 0, follow: true }))
    await untilOutput(host, spec.id, 'from a file')
    const data = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => index % 251))
    const sending = (async () => {
      for (let offset = 0; offset < data.length;)
        offset = await host.stdin(spec.id, offset, data.subarray(offset, offset + 50_000))
      await host.stdin(spec.id, data.length, new Uint8Array(), { end: true })
    })()
    for (let death = 0; death < 3; death++) await restart()
    await sending
    const server = await host.wait(spec.id)
    expect([server.state, server.exit]).to.deep.equal(['exited', { kind: 'status', status: 3 }])
    // Its limits were set anew each time, and are what they were.
    expect(server.notices).to.deep.equal([])
    const output = Buffer.concat(framesOf(await following).map((frame) => frame.data))
    expect(output.equals(Buffer.concat([Buffer.from('from a file\n'), data]))).to.equal(true)
    expect((await untar(host.files(spec.id))).get('copy')?.equals(data)).to.equal(true)
  })

  it('ends sessions with the daemon, in the guest too, while the program goes on', async () => {
    const spec = serverSpec('echo started; cat')
    await host.create(spec)
    await host.start(spec.id)
    await untilOutput(host, spec.id, 'started')
    const beside = (script: string) => ({ argv: ['sh', '-c', script], env: {} })
    const session = await host.exec(spec.id, beside('echo ready; sleep 86400 & wait'))
    const ended = (async () => {
      for await (const { data } of session.output) if (data.length > 0) await restart()
    })()
    expect(await codeOf(() => ended)).to.equal('ERR_SESSION_LOST')
    expect(await codeOf(() => session.exited)).to.equal('ERR_SESSION_LOST')
    const code = await codeOf(() => session.signal(9))
    expect(code).to.equal('ERR_SESSION_UNKNOWN')
    const look = await host.exec(
      spec.id,
      beside('while ps -o args | grep -q "sleep 8640[0]"; do sleep 0.05; done; echo looked')
    )
    let text = ''
    for await (const { data } of look.output) text += Buffer.from(data).toString()
    expect(text).to.equal('looked\n')
    await host.stdin(spec.id, 0, Buffer.from('more'), { end: true })
    expect((await host.wait(spec.id)).exit).to.deep.equal({ kind: 'status', status: 0 })
  })

  it('has counted all that was thrown away, also what the one before had not written down', async () => {
    const limits = { outputBytesMax: 1000 }
    const spec = serverSpec('head -c 3000 /dev/zero; cat; exec sleep 86400', { limits })
    await host.create(spec)
    await host.start(spec.id)
    const thrownAway = async (bytes: number): Promise<void> => {
      while ((await host.inspect(spec.id)).output.discardedBytes < bytes);
    }
    await thrownAway(2000)
    await host.stdin(spec.id, 0, Buffer.alloc(5000), { end: true })
    await thrownAway(7000)
    await restart()
    await thrownAway(7000)
    expect((await host.inspect(spec.id)).output).to.deep.equal({ bytes: 1000, discardedBytes: 7000 })
  })

  it('lets sessions and a stop through to a program that prints without end, before and after', async () => {
    const limits = { outputBytesMax: 1000 }
    const spec = serverSpec('yes without end', { limits })
    await host.create(spec)
    await host.start(spec.id)
    const discarded = async (): Promise<number> => (await host.inspect(spec.id)).output.discardedBytes
    const floods = async (): Promise<number> => {
      const before = await discarded()
      for (;;) {
        const now = await discarded()
        if (now > before + 16 * MIB) return now
      }
    }
    const answers = async (): Promise<void> => {
      const session = await host.exec(spec.id, { argv: ['echo', 'beside'], env: {} })
      let text = ''
      for await (const { data } of session.output) text += Buffer.from(data).toString()
      expect(text).to.equal('beside\n')
    }
    const before = await floods()
    await answers()
    await restart()
    expect(await discarded()).to.be.at.least(before)
    await floods()
    await answers()
    await host.stop(spec.id)
    const { state, exit, output } = await host.wait(spec.id)
    expect([state, exit]).to.deep.equal(['exited', { kind: 'signal', signal: constants.signals.SIGTERM }])
    expect(output.bytes).to.equal(1000)
  })

  it('boots again what was booting', async () => {
    const spec = serverSpec('echo once')
    await host.create(spec)
    await host.start(spec.id)
    await restart()
    expect((await host.wait(spec.id)).exit).to.deep.equal({ kind: 'status', status: 0 })
    expect(textOf(await bytesOf(host.output(spec.id, { offset: 0, follow: true })), 1)).to.equal('once\n')
  })

  it('fails a server whose guest was killed meanwhile', async () => {
    const spec = serverSpec('echo started; exec sleep 1000')
    await host.create(spec)
    await host.start(spec.id)
    await untilOutput(host, spec.id, 'started')
    await daemon.kill()
    for (const pid of guestProcesses(config.stateDir)) process.kill(Number(pid), 'SIGKILL')
    daemon = await startDaemonProcess(config, { guests: 'uml' })
    const server = await host.wait(spec.id)
    expect(server.state).to.equal('failed')
    expect((await host.capacity()).used.servers).to.equal(0)
  })
})
