import { expect } from 'chai'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { startDaemonProcess, type DaemonProcess } from '../../helpers/daemon/daemon-process.ts'
import { fakeArtifacts } from '../../helpers/daemon/fake-artifacts.ts'
import { bytesOf, serverSpec, textOf } from '../../helpers/daemon/server-spec.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

/** Counts, a line each time. */
const COUNT = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done'
/** Counts until it is told to end. */
const COUNT_TO_TERM = `trap 'echo told; exit 3' TERM; ${COUNT}`

describe('servers that are frozen', function () {
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
      slice: { ...SUITE_SLICE, servers: 4 },
      artifactsPath: await fakeArtifacts(join(directory, 'artifacts'))
    }
    daemon = await startDaemonProcess(config)
    host = resources.use(hostClient({ socketPath: config.socketPath }))
    await host.capacity()
  })

  afterEach(async () => {
    try {
      for (const { id } of await host.list()) await host.destroy(id)
    } finally {
      await daemon.kill()
      await resources.disposeAsync()
    }
  })

  async function restart(): Promise<void> {
    await daemon.kill()
    daemon = await startDaemonProcess(config)
  }

  async function running(script: string, changes: Parameters<typeof serverSpec>[1] = {}): Promise<string> {
    const spec = serverSpec(script, changes)
    await host.create(spec)
    await host.start(spec.id)
    await goesOn(spec.id)
    return spec.id
  }

  const outputBytes = async (id: string): Promise<number> => (await host.inspect(id)).output.bytes

  /** Until it has written more than it had. */
  async function goesOn(id: string): Promise<void> {
    const before = await outputBytes(id)
    while ((await outputBytes(id)) <= before) await delay(20)
  }

  async function standsStill(id: string): Promise<void> {
    // What it had written before is still on its way.
    await delay(100)
    const before = await outputBytes(id)
    await delay(150)
    expect(await outputBytes(id)).to.equal(before)
  }

  async function eventsOf(id: string): Promise<string[]> {
    const kinds = []
    for await (const event of host.events()) if (event.id === id) kinds.push(event.kind)
    return kinds
  }

  it('stand still until they are thawed, and tell so', async () => {
    const id = await running(COUNT)
    expect((await host.freeze(id)).frozenBy).to.deep.equal(['request'])
    expect((await host.freeze(id)).frozenBy).to.deep.equal(['request'])
    await standsStill(id)
    // Said to a frozen program, and not waited for.
    await host.signal(id, 18)
    expect(await host.thaw(id)).to.not.have.property('frozenBy')
    await host.thaw(id)
    await goesOn(id)
    expect(await eventsOf(id)).to.deep.equal(['created', 'booting', 'running', 'frozen', 'thawed'])
  })

  it('stay frozen over the death of the daemon, and go on in the hands of the next', async () => {
    const id = await running(COUNT)
    await host.freeze(id)
    await restart()
    expect((await host.inspect(id)).frozenBy).to.deep.equal(['request'])
    await standsStill(id)
    await host.thaw(id)
    await goesOn(id)
    await restart()
    await goesOn(id)
    await host.stop(id, { graceMs: 0 })
    await host.wait(id)
    const lines = textOf(await bytesOf(host.output(id, { offset: 0, follow: false })), 1)
      .trim()
      .split('\n')
    expect(lines).to.deep.equal(lines.map((_, index) => String(index + 1)))
  })

  it('end in order when they are stopped, or their lease does, and are destroyed at once', async () => {
    const stopped = await running(COUNT_TO_TERM)
    await host.freeze(stopped)
    await host.stop(stopped, { graceMs: 30_000 })
    expect((await host.wait(stopped)).exit).to.deep.equal({ kind: 'status', status: 3 })
    const expiring = await running(COUNT_TO_TERM, { expiresAtMs: Date.now() + 2500 })
    await host.freeze(expiring)
    const expired = await host.wait(expiring)
    expect(expired.exit).to.deep.equal({ kind: 'status', status: 3 })
    expect(expired.reason?.code).to.equal('lease-expired')
    const destroyed = await running(COUNT)
    await host.freeze(destroyed)
    await host.destroy(destroyed)
    expect(await codeOf(() => host.inspect(destroyed))).to.equal('ERR_SERVER_UNKNOWN')
  })

  it('are those that boot or run, and no others', async () => {
    const spec = serverSpec('true')
    await host.create(spec)
    expect(await codeOf(() => host.freeze(spec.id))).to.equal('ERR_SERVER_STATE')
    await host.start(spec.id)
    await host.wait(spec.id)
    expect(await codeOf(() => host.freeze(spec.id))).to.equal('ERR_SERVER_STATE')
  })

  it('give the machine to its owner, over restarts, and go on when it is returned', async () => {
    const yielding = await running(COUNT, { mayFreeze: true })
    const staying = await running(COUNT)
    const waiting = serverSpec('true', { mayFreeze: true })
    await host.create(waiting)
    expect((await host.reclaim()).reclaim).to.deep.equal({})
    for (let round = 0; round < 2; round++) {
      expect((await host.inspect(yielding)).frozenBy).to.deep.equal(['reclaim'])
      await standsStill(yielding)
      await goesOn(staying)
      expect(await codeOf(() => host.create(serverSpec('true')))).to.equal('ERR_HOST_RECLAIMED')
      expect(await codeOf(() => host.start(waiting.id))).to.equal('ERR_HOST_RECLAIMED')
      // Nobody but the owner returns it.
      await host.thaw(yielding)
      await restart()
    }
    await host.freeze(yielding)
    expect(await host.return()).to.not.have.property('reclaim')
    expect((await host.inspect(yielding)).frozenBy).to.deep.equal(['request'])
    await standsStill(yielding)
    await host.thaw(yielding)
    await goesOn(yielding)
    await host.start(waiting.id)
    expect((await host.wait(waiting.id)).state).to.equal('exited')
  })

  it('are shrunk instead where the owner says so, and the rest is left alone', async () => {
    const yielding = await running(COUNT, { mayFreeze: true })
    const { reclaim } = await host.reclaim({ cpu: 0.1 })
    expect(reclaim).to.deep.equal({ cpu: 0.1 })
    await goesOn(yielding)
    expect(await host.inspect(yielding)).to.not.have.property('frozenBy')
    // From one to the other.
    await host.reclaim()
    await standsStill(yielding)
    await host.reclaim({ cpu: 0.2 })
    await goesOn(yielding)
    await host.return()
  })
})
