import { expect } from 'chai'
import { join } from 'node:path'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import type { HostServerSpec } from '../../../irun/host.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { startDaemonProcess, type DaemonProcess } from '../../helpers/daemon/daemon-process.ts'
import { fakeArtifacts } from '../../helpers/daemon/fake-artifacts.ts'
import { guestProcesses } from '../../helpers/daemon/guest-processes.ts'
import { bytesOf, serverSpec, tarOf, textOf, untar, untilOutput } from '../../helpers/daemon/server-spec.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

/** Counts its lives in a file of its working directory, which only a kept layer remembers. */
const COUNTS = 'n=$(($(cat lives 2>/dev/null || echo 0) + 1)); echo $n > lives; echo life $n'

describe('a server with a restart policy', function () {
  this.timeout(60_000)

  let resources: AsyncDisposableStack
  let config: DaemonConfig
  let daemon: DaemonProcess
  let host: HostClient

  beforeEach(async () => {
    resources = new AsyncDisposableStack()
    const directory = resources.use(await temporaryDirectory()).path
    config = {
      stateDir: join(directory, 'state'),
      socketPath: join(directory, 'run', 'host.sock'),
      slice: SUITE_SLICE,
      artifactsPath: await fakeArtifacts(join(directory, 'artifacts')),
      timing: { restartMsMin: 10, restartMsMax: 200 }
    }
    daemon = await startDaemonProcess(config)
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

  async function revive(): Promise<void> {
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

  const output = async (id: string): Promise<string> =>
    textOf(await bytesOf(host.output(id, { offset: 0, follow: true })), 1)

  const killGuests = (): void => {
    for (const pid of guestProcesses(config.stateDir)) process.kill(Number(pid), 'SIGKILL')
  }

  it('is started again with its files until it succeeds, and says how often and why', async () => {
    const { id } = await running(`${COUNTS}; [ $n -gt 2 ] || exit $n; echo done > $ISHARE_OUT/result`, {
      restart: { policy: 'on-failure' }
    })
    const server = await host.wait(id)
    expect(server).to.deep.include({ state: 'exited', exit: { kind: 'status', status: 0 } })
    expect(server.reason).to.equal(undefined)
    expect(server.restarts?.count).to.equal(2)
    expect(server.restarts?.last.reason).to.deep.equal({
      code: 'program-exit',
      message: 'the program ended with status 2'
    })
    expect(await output(id)).to.equal('life 1\nlife 2\nlife 3\n')
    expect((await untar(host.files(id))).get('result')?.toString()).to.equal('done\n')
    const events = await Array.fromAsync(host.events())
    const again = ['restarting', 'booting', 'running']
    const once = ['created', 'booting', 'running']
    expect(events.map(({ kind }) => kind)).to.deep.equal([...once, ...again, ...again, 'exited'])
  })

  it('ends as its last program when the maximum is reached', async () => {
    const restart = { policy: 'on-failure', maximum: 2 } as const
    const { id } = await running(`${COUNTS}; exit 7`, { restart })
    const server = await host.wait(id)
    expect([server.state, server.exit, server.restarts?.count]).to.deep.equal([
      'exited',
      { kind: 'status', status: 7 },
      2
    ])
  })

  it('is not started again by default, nor after a success with on-failure', async () => {
    const never = await running('exit 1')
    const succeeds = await running('exit 0', { restart: { policy: 'on-failure' } })
    for (const { id } of [never, succeeds]) expect((await host.wait(id)).restarts, id).to.equal(undefined)
  })

  it('is started again when its guest is killed, and takes input and output on from there', async () => {
    const { id } = await running(`${COUNTS}; while read line; do echo "got $line"; done; echo end`, {
      restart: { policy: 'on-failure' }
    })
    await host.stdin(id, 0, Buffer.from('one\n'))
    await untilOutput(host, id, 'got one')
    killGuests()
    const following = bytesOf(host.output(id, { offset: 0, follow: true }))
    await untilOutput(host, id, 'life 2')
    await host.stdin(id, 4, Buffer.from('two\n'), { end: true })
    const server = await host.wait(id)
    expect(server.restarts?.last.reason.code).to.equal('guest-killed')
    expect(server.stdin).to.deep.equal({ takenBytes: 8, ended: true })
    expect(textOf(await following, 1)).to.equal('life 1\ngot one\nlife 2\ngot two\nend\n')
    expect(server.output).to.deep.equal({
      bytes: Buffer.byteLength(textOf(await following, 1)),
      discardedBytes: 0
    })
  })

  it('tells a program again that its input has ended', async () => {
    const { id } = await running(`${COUNTS}; cat; echo eof; [ $n -gt 1 ]`, {
      restart: { policy: 'on-failure' }
    })
    await host.stdin(id, 0, Buffer.from('in\n'), { end: true })
    await host.wait(id)
    expect(await output(id)).to.equal('life 1\nin\neof\nlife 2\neof\n')
  })

  it('brings every byte once through restarts and deaths of the daemon, also those written just before an end', async () => {
    const lines = 200
    const script = `${COUNTS}; i=0; while [ $i -lt ${lines} ]; do echo $n line $i; i=$((i+1)); done; [ $n -gt 3 ]`
    const { id } = await running(script, { restart: { policy: 'on-failure' } })
    const following = bytesOf(host.output(id, { offset: 0, follow: true }))
    for (let death = 0; death < 3; death++) await revive()
    await host.wait(id)
    const life = (n: number): string =>
      `life ${n}\n${Array.from({ length: lines }, (_, index) => `${n} line ${index}\n`).join('')}`
    expect(textOf(await following, 1)).to.equal([1, 2, 3, 4].map(life).join(''))
  })

  it('ends the loop with a stop, also while it waits, and hands over what the last program left', async () => {
    config = { ...config, timing: { restartMsMin: 60_000, restartMsMax: 60_000 } }
    await revive()
    const { id } = await running('echo kept > $ISHARE_OUT/f; exit 4', { restart: { policy: 'always' } })
    for await (const event of host.events({ follow: true })) if (event.kind === 'restarting') break
    const waiting = await host.inspect(id)
    expect(waiting.state).to.equal('restarting')
    expect(waiting.restarts?.dueAtMs).to.be.greaterThan(Date.now())
    expect(await codeOf(() => host.signal(id, 15))).to.equal('ERR_SERVER_STATE')
    await host.stop(id)
    const server = await host.wait(id)
    expect([server.state, server.exit, server.reason?.code]).to.deep.equal([
      'exited',
      { kind: 'status', status: 4 },
      'stopped'
    ])
    expect((await untar(host.files(id))).get('f')?.toString()).to.equal('kept\n')
  })

  it('is never started again beyond its lease, whatever the daemon missed', async () => {
    const expiresAtMs = Date.now() + 2500
    const { id } = await running(`${COUNTS}; sleep 0.2`, { restart: { policy: 'always' }, expiresAtMs })
    const late = await running('echo once; exit 1', { restart: { policy: 'always' }, expiresAtMs })
    await untilOutput(host, id, 'life 2')
    await daemon.kill()
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, expiresAtMs - Date.now())))
    daemon = await startDaemonProcess(config)
    for (const server of await Promise.all([host.wait(id), host.wait(late.id)])) {
      expect(server.state).to.be.oneOf(['exited', 'failed'])
      expect(server.reason?.code).to.equal('lease-expired')
    }
    expect((await host.capacity()).used.servers).to.equal(0)
  })

  it('gives its part of the slice back when no restart can come before the end of the lease', async () => {
    config = { ...config, timing: { restartMsMin: 3_600_000, restartMsMax: 3_600_000 } }
    await revive()
    const { id } = await running('exit 5', {
      restart: { policy: 'always' },
      expiresAtMs: Date.now() + 600_000
    })
    const server = await host.wait(id)
    expect([server.state, server.exit]).to.deep.equal(['exited', { kind: 'status', status: 5 }])
  })

  it('waits while the owner has the machine, and goes on when it is returned', async () => {
    const { id } = await running(`${COUNTS}; read line; exit 1`, {
      restart: { policy: 'always' },
      mayFreeze: true
    })
    await untilOutput(host, id, 'life 1')
    await host.reclaim()
    killGuests()
    for await (const event of host.events({ follow: true })) if (event.kind === 'restarting') break
    expect(await codeOf(() => host.restart(id))).to.equal('ERR_HOST_RECLAIMED')
    await revive()
    expect((await host.inspect(id)).state).to.equal('restarting')
    await host.return()
    await untilOutput(host, id, 'life 2')
  })

  it('is started again by hand, with files and input, whatever its policy', async () => {
    const spec = serverSpec(`${COUNTS}; cat in; while read line; do echo "got $line"; done`)
    await host.create(spec)
    await host.putFiles(spec.id, tarOf({ in: 'a file\n' }))
    await host.start(spec.id)
    await host.stdin(spec.id, 0, Buffer.from('one\n'))
    await untilOutput(host, spec.id, 'got one')
    await host.restart(spec.id)
    await untilOutput(host, spec.id, 'life 2')
    await host.stdin(spec.id, 4, Buffer.from('two\n'), { end: true })
    const server = await host.wait(spec.id)
    expect(server.exit).to.deep.equal({ kind: 'status', status: 0 })
    expect(await output(spec.id)).to.equal('life 1\na file\ngot one\nlife 2\na file\ngot two\n')
    expect(await codeOf(() => host.restart(spec.id))).to.equal('ERR_SERVER_STATE')
  })

  it('is started again by hand at once when it waits, and counts afresh', async () => {
    config = { ...config, timing: { restartMsMin: 60_000, restartMsMax: 60_000 } }
    await revive()
    const { id } = await running(`${COUNTS}; [ $n -gt 1 ]`, { restart: { policy: 'on-failure', maximum: 1 } })
    for await (const event of host.events({ follow: true })) if (event.kind === 'restarting') break
    await host.restart(id)
    expect((await host.wait(id)).exit).to.deep.equal({ kind: 'status', status: 0 })
  })

  it('is killed for a restart when it does not end by itself', async () => {
    const { id } = await running(`trap "" TERM; ${COUNTS}; while :; do sleep 0.05; done`)
    await untilOutput(host, id, 'life 1')
    await host.restart(id, { graceMs: 100 })
    await untilOutput(host, id, 'life 2')
    expect((await host.inspect(id)).restarts?.last.reason.code).to.equal('program-signal')
  })
})
