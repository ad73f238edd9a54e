import { expect } from 'chai'
import { join } from 'node:path'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { startDaemonProcess, type DaemonProcess } from '../../helpers/daemon/daemon-process.ts'
import { fakeArtifacts } from '../../helpers/daemon/fake-artifacts.ts'
import { bytesOf, serverSpec, textOf } from '../../helpers/daemon/server-spec.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const SIGUSR1 = 10
/** Says what it hears, and ends when it is told to. */
const HEARS =
  'trap "echo warned" USR1; trap "echo ended; exit 0" TERM; echo armed; while :; do sleep 0.02; done'

describe('the end of a lease', function () {
  this.timeout(60_000)

  let resources: AsyncDisposableStack
  let config: DaemonConfig
  let daemon: DaemonProcess
  let host: HostClient

  before(async () => {
    resources = new AsyncDisposableStack()
    const directory = resources.use(await temporaryDirectory()).path
    config = {
      stateDir: join(directory, 'state'),
      socketPath: join(directory, 'run', 'host.sock'),
      slice: SUITE_SLICE,
      artifactsPath: await fakeArtifacts(join(directory, 'artifacts'))
    }
    daemon = await startDaemonProcess(config)
    host = resources.use(hostClient({ socketPath: config.socketPath }))
    await host.capacity()
  })

  afterEach(async () => {
    for (const { id } of await host.list()) await host.destroy(id)
  })

  after(async () => {
    await daemon.kill()
    await resources.disposeAsync()
  })

  async function running(changes: Parameters<typeof serverSpec>[1]): Promise<string> {
    const spec = serverSpec(HEARS, changes)
    await host.create(spec)
    await host.start(spec.id)
    for await (const _chunk of host.output(spec.id, { offset: 0, follow: true })) break
    return spec.id
  }

  const output = async (id: string): Promise<string> =>
    textOf(await bytesOf(host.output(id, { offset: 0, follow: true })), 1)

  const codes = async (id: string): Promise<string[]> =>
    (await host.inspect(id)).notices.map(({ code }) => code)

  it('is told to the tenant and, by the signal that it chose, to the program; then the program is stopped', async () => {
    const expiresAtMs = Date.now() + 3000
    const id = await running({ expiresAtMs, warning: { seconds: 1, signal: SIGUSR1 } })
    const { notices } = await host.watch(id, 0)
    expect(notices.map(({ code, sequence }) => [code, sequence])).to.deep.equal([['lease-ends', 1]])
    expect(notices[0]?.message).to.include(new Date(expiresAtMs).toISOString())
    const server = await host.wait(id)
    expect(server.reason?.code).to.equal('lease-expired')
    expect(await output(id)).to.equal('armed\nwarned\nended\n')
  })

  it('sends a program no signal that it did not ask for', async () => {
    const id = await running({ expiresAtMs: Date.now() + 2000 })
    await host.watch(id, 0)
    await host.wait(id)
    expect(await output(id)).to.equal('armed\nended\n')
    expect(await codes(id)).to.deep.equal(['lease-ends'])
  })

  it('comes later for a lease that is extended, after another warning', async () => {
    const expiresAtMs = Date.now() + 2500
    const id = await running({ expiresAtMs, warning: { seconds: 1, signal: SIGUSR1 } })
    await host.watch(id, 0)
    const extended = await host.extend(id, { expiresAtMs: expiresAtMs + 2500 })
    expect(extended.expiresAtMs).to.equal(expiresAtMs + 2500)
    expect(extended.keepUntilMs).to.be.greaterThan(extended.expiresAtMs)
    const server = await host.wait(id)
    expect(server.endedAtMs).to.be.at.least(expiresAtMs + 2500)
    expect(await codes(id)).to.deep.equal(['lease-ends', 'lease-extended', 'lease-ends'])
    expect(await output(id)).to.equal('armed\nwarned\nwarned\nended\n')
    expect(await codeOf(() => host.extend(id, { expiresAtMs: Date.now() + 10_000 }))).to.equal(
      'ERR_SERVER_STATE'
    )
  })

  it('is not brought forward by an extension, nor are results kept for less', async () => {
    const spec = serverSpec('true')
    await host.create(spec)
    const { expiresAtMs, keepUntilMs } = spec
    for (const lease of [
      { expiresAtMs: expiresAtMs - 1 },
      { expiresAtMs, keepUntilMs: keepUntilMs - 1 },
      { expiresAtMs: keepUntilMs + 1, keepUntilMs }
    ])
      expect(await codeOf(() => host.extend(spec.id, lease))).to.equal('ERR_HOST_REQUEST')
    expect(await host.create(spec)).to.deep.include({ id: spec.id, expiresAtMs })
  })

  it('is told once, by whatever daemon is there, and kept as it was extended', async () => {
    const expiresAtMs = Date.now() + 2000
    const id = await running({ expiresAtMs, warning: { seconds: 86_400, signal: SIGUSR1 } })
    await host.watch(id, 0)
    await host.extend(id, { expiresAtMs: expiresAtMs + 3000 })
    await host.watch(id, 2)
    await daemon.kill()
    daemon = await startDaemonProcess(config)
    expect((await host.inspect(id)).expiresAtMs).to.equal(expiresAtMs + 3000)
    await host.wait(id)
    expect(await codes(id)).to.deep.equal(['lease-ends', 'lease-extended', 'lease-ends'])
    expect((await output(id)).match(/warned/g)?.length).to.be.within(1, 2)
  })
})
