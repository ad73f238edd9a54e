import { expect } from 'chai'
import { once } from 'node:events'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import { diskShareBytes, logBytesMax, SNAPSHOTS_MAX } from '../../../soda-host/daemon/limits.ts'
import { MIB } from '../../../src/constants.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { startDaemonProcess, type DaemonProcess } from '../../helpers/daemon/daemon-process.ts'
import { fakeArtifacts } from '../../helpers/daemon/fake-artifacts.ts'
import { bytesOf, serverSpec, textOf } from '../../helpers/daemon/server-spec.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

/** Aborts when it has died. */
function deathOf({ ended }: DaemonProcess): AbortSignal {
  const death = new AbortController()
  void ended.then(() => death.abort())
  return death.signal
}

describe('snapshots', function () {
  this.timeout(300_000)

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
      slice: { ...SUITE_SLICE, diskBytes: 256 * MIB + 4 * logBytesMax(0), servers: 4 },
      artifactsPath: await fakeArtifacts(join(directory, 'artifacts'))
    }
    host = resources.use(hostClient({ socketPath: config.socketPath }))
  })

  afterEach(async () => {
    try {
      for (const { id } of await host.list()) await host.destroy(id)
    } finally {
      await daemon.kill()
      await resources.disposeAsync()
    }
  })

  async function start(dieBefore = 0): Promise<void> {
    daemon = await startDaemonProcess(config, { dieBefore })
  }

  async function running(script: string, limits: { diskBytes?: number } = {}): Promise<string> {
    const spec = serverSpec(`${script}; echo up; exec sleep 1000`, { limits })
    await host.create(spec)
    await host.start(spec.id)
    for await (const chunk of host.output(spec.id, { offset: 0, follow: true })) if (chunk.length > 0) break
    return spec.id
  }

  /** What is there of snapshots, whole or not. */
  async function filesOf(id: string): Promise<string[]> {
    const names = await readdir(join(config.stateDir, 'servers', id))
    return names.filter((name) => name.includes('snapshot') || name.includes('.part')).sort()
  }

  const namesOf = async (id: string): Promise<string[]> =>
    (await host.snapshots(id)).map(({ name }) => name).sort()

  it('are taken of a running server, listed, kept over a restart of the daemon, and removed', async () => {
    await start()
    const id = await running('echo kept > file')
    const first = await host.takeSnapshot(id, 'first')
    await host.takeSnapshot(id, '2.part')
    expect(await codeOf(() => host.takeSnapshot(id, 'first'))).to.equal('ERR_SNAPSHOT_EXISTS')
    expect((await host.snapshots(id))[0]).to.deep.equal(first)
    // It goes on meanwhile, and does not stay frozen.
    expect(await host.inspect(id)).to.not.have.property('frozenBy')
    await daemon.kill()
    await start()
    expect(await namesOf(id)).to.deep.equal(['2.part', 'first'])
    expect(await filesOf(id)).to.deep.equal(['2.part.snapshot', 'first.snapshot'])
    await host.removeSnapshot(id, 'first')
    await host.removeSnapshot(id, 'first')
    expect(await filesOf(id)).to.deep.equal(['2.part.snapshot'])
  })

  it('are taken of frozen servers too, which stay so, and of no others than those that run', async () => {
    await start()
    const spec = serverSpec('true')
    await host.create(spec)
    expect(await codeOf(() => host.takeSnapshot(spec.id, 'early'))).to.equal('ERR_SERVER_STATE')
    const id = await running('true')
    await host.freeze(id)
    await host.takeSnapshot(id, 'frozen')
    expect((await host.inspect(id)).frozenBy).to.deep.equal(['request'])
    await host.stop(id, { graceMs: 0 })
    await host.wait(id)
    expect(await codeOf(() => host.takeSnapshot(id, 'late'))).to.equal('ERR_SERVER_STATE')
    expect(await namesOf(id)).to.deep.equal(['frozen'])
    expect(await codeOf(() => host.takeSnapshot(`${id}x`, 'none'))).to.equal('ERR_SERVER_UNKNOWN')
    for (const name of ['', '../x', 'A', 'a/b', 'x'.repeat(65)])
      expect(await codeOf(() => host.takeSnapshot(id, name)), name).to.equal('ERR_HOST_REQUEST')
  })

  it('count: so many of a server, as much as its disk, and as much as the slice has room for', async () => {
    await start()
    const many = await running('true', { diskBytes: 16 * MIB })
    const before = (await host.capacity()).used.diskBytes
    for (let index = 0; index < SNAPSHOTS_MAX; index++) await host.takeSnapshot(many, `s${index}`)
    expect(await codeOf(() => host.takeSnapshot(many, 'more'))).to.equal('ERR_SNAPSHOT_LIMIT')
    const taken = (await host.snapshots(many)).reduce((sum, { bytes }) => sum + bytes, 0)
    expect((await host.capacity()).used.diskBytes).to.equal(before + taken)
    const large = await running('head -c 40000000 /dev/urandom > file', { diskBytes: 64 * MIB })
    await host.takeSnapshot(large, 'one')
    expect(await codeOf(() => host.takeSnapshot(large, 'two'))).to.equal('ERR_SNAPSHOT_LIMIT')
    const third = serverSpec('true', { limits: { diskBytes: 128 * MIB } })
    await host.create(third)
    await host.removeSnapshot(large, 'one')
    await host.create(serverSpec('true', { limits: { diskBytes: 32 * MIB } }))
    expect(await codeOf(() => host.takeSnapshot(large, 'one'))).to.equal('ERR_SLICE_FULL')
    // What was refused has left nothing, and what has ended holds its snapshots only.
    expect(await filesOf(large)).to.deep.equal([])
    await host.destroy(third.id)
    await host.takeSnapshot(large, 'one')
    await host.stop(large, { graceMs: 0 })
    await host.wait(large)
    const held = (await host.snapshots(large))[0]?.bytes ?? 0
    expect((await host.capacity()).used.diskBytes).to.equal(
      diskShareBytes(16 * MIB) + taken + diskShareBytes(32 * MIB) + held
    )
  })

  it('are whole or not there, wherever the daemon dies', async () => {
    await start()
    const id = await running('true')
    let deaths = 0
    for (let step = 1, died = true; died; step++) {
      await host.takeSnapshot(id, 'earlier')
      await daemon.kill()
      // The steps of a daemon that takes up the server, takes one more, and removes the first.
      await start(step)
      const signal = AbortSignal.any([deathOf(daemon), AbortSignal.timeout(30_000)])
      died = await (async () => {
        await host.takeSnapshot(id, 'later', signal)
        await host.removeSnapshot(id, 'earlier', signal)
      })().then(
        () => false,
        () => true
      )
      deaths += Number(died)
      await daemon.kill()
      await start()
      const names = await namesOf(id)
      expect(await filesOf(id)).to.deep.equal(names.map((name) => `${name}.snapshot`))
      expect(names.join()).to.be.oneOf(died ? ['earlier', 'earlier,later', 'later'] : ['later'])
      expect(await host.inspect(id)).to.not.have.property('frozenBy')
      for (const name of names) await host.removeSnapshot(id, name)
    }
    expect(deaths).to.be.greaterThan(3)
  })

  /** What was in its file when it began, a line for each time that it began. */
  async function begunWith(id: string, times: number): Promise<string[]> {
    const begun = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('has'))
    for (;;) {
      const lines = begun(textOf(await bytesOf(host.output(id, { offset: 0, follow: false })), 1))
      if (lines.length >= times) return lines
      await delay(20)
    }
  }

  it('are what a server goes on with when they are restored, running or ended', async () => {
    await start()
    const id = await running(
      'had=$(cat file 2>/dev/null); echo x >> file; echo has $had; echo x > $ISHARE_OUT/out'
    )
    await host.takeSnapshot(id, 'one')
    await host.restart(id, { graceMs: 0 })
    await begunWith(id, 2)
    await host.takeSnapshot(id, 'two')
    expect(await codeOf(() => host.restore(id, 'three'))).to.equal('ERR_SNAPSHOT_UNKNOWN')
    await host.restore(id, 'one')
    expect(await begunWith(id, 3)).to.deep.equal(['has', 'has x', 'has x'])
    await host.stop(id, { graceMs: 0 })
    expect((await host.wait(id)).state).to.equal('exited')
    expect((await host.capacity()).used.servers).to.equal(0)
    await host.restore(id, 'two')
    expect((await begunWith(id, 4)).at(-1)).to.equal('has x x')
    const server = await host.inspect(id)
    expect(server).to.not.have.any.keys('exit', 'reason', 'endedAtMs', 'files')
    expect((await host.capacity()).used.servers).to.equal(1)
    await daemon.kill()
    await start()
    await host.stop(id, { graceMs: 0 })
    expect((await host.wait(id)).reason?.code).to.equal('stopped')
  })

  it('are not restored where there is no room any more, nor beyond the lease', async () => {
    config = { ...config, slice: { ...config.slice, servers: 1 } }
    await start()
    const id = await running('true')
    await host.takeSnapshot(id, 'one')
    await host.stop(id, { graceMs: 0 })
    await host.wait(id)
    const other = await running('true')
    expect(await codeOf(() => host.restore(id, 'one'))).to.equal('ERR_SLICE_FULL')
    await host.destroy(other)
    const short = serverSpec('echo up; exec sleep 1000', { expiresAtMs: Date.now() + 2500 })
    await host.create(short)
    await host.start(short.id)
    while ((await host.inspect(short.id)).state !== 'running') await delay(20)
    await host.takeSnapshot(short.id, 'one')
    await host.wait(short.id)
    expect(await codeOf(() => host.restore(short.id, 'one'))).to.equal('ERR_SERVER_STATE')
    await host.restore(id, 'one')
    expect((await host.inspect(id)).state).to.be.oneOf(['booting', 'running'])
  })

  it('are restored whole or not at all, wherever the daemon dies', async () => {
    await start()
    const id = await running('had=$(cat file 2>/dev/null); echo x >> file; echo has $had')
    await host.takeSnapshot(id, 'one')
    await daemon.kill()
    let lives = 1
    for (let step = 1, died = true; died; step++) {
      await start(step)
      const death = deathOf(daemon)
      const restored = host.restore(id, 'one', death).then(() => begunWith(id, lives + 1))
      died = await Promise.race([
        restored.then(() => daemon.child.signalCode !== null),
        once(death, 'abort').then(() => true)
      ]).catch(() => true)
      // What waits for the first daemon is answered by the second.
      await daemon.kill()
      await start()
      while ((await host.inspect(id)).state !== 'running') await delay(20)
      await host.restore(id, 'one')
      const lines = await begunWith(id, lives + 1)
      await restored.catch(() => undefined)
      lives = lines.length
      expect(new Set(lines.slice(1))).to.deep.equal(new Set(['has x']))
      await daemon.kill()
    }
    await start()
  })

  it('half made are removed at the start, and no other file is taken for one', async () => {
    await start()
    const id = await running('true')
    await host.takeSnapshot(id, 'real')
    await daemon.kill()
    const top = join(config.stateDir, 'servers', id)
    for (const name of ['half.snapshot.0.part', 'unknown.snapshot']) await writeFile(join(top, name), 'x')
    await start()
    expect(await namesOf(id)).to.deep.equal(['real'])
    expect(await filesOf(id)).to.deep.equal(['real.snapshot'])
  })
})
