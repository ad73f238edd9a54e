/**
 * Attacker: a full disk, filled by a program's output, its files, or anybody.
 * Asset: what was committed before: records, results, output that was kept; and the daemon itself.
 * Outcome: every server comes to an end that says `disk-full`; what was kept is whole; destroying makes room; when
 * there is room again everything works as before.
 */
import { expect } from 'chai'
import { spawnSync } from 'node:child_process'
import { mkdir, readdir, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import { startDaemon, type Daemon } from '../../../soda-host/daemon/index.ts'
import { MIB } from '../../../src/constants.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { requires } from '../../helpers/capabilities.ts'
import { fakeArtifacts } from '../../helpers/daemon/fake-artifacts.ts'
import { quietLog } from '../../helpers/daemon/quiet-log.ts'
import { bytesOf, framesOf, serverSpec, tarOf } from '../../helpers/daemon/server-spec.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'
import { fakeLauncher } from '../../helpers/fake-launcher.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import type { HostServer, HostServerSpec } from '../../../irun/host.ts'

const DISK_BYTES = 32 * MIB

describe('a host whose disk is full', () => {
  let resources: AsyncDisposableStack
  let disk: string
  let directory: string
  let daemon: Daemon
  let host: HostClient

  before(function () {
    requires(this, 'root')
  })

  beforeEach(async () => {
    resources = new AsyncDisposableStack()
    directory = resources.use(await temporaryDirectory()).path
    disk = join(directory, 'disk')
    await mkdir(disk)
    mount('-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', disk)
    resources.defer(() => void spawnSync('umount', [disk]))
    daemon = await start()
    host = resources.use(hostClient({ socketPath: daemon.socketPath }))
  })

  afterEach(async () => {
    await rm(join(disk, 'filler'), { force: true })
    for (const { id } of await host.list()) await host.destroy(id)
    expect(await readdir(join(disk, 'servers'))).to.deep.equal([])
    await daemon.stop()
    await resources.disposeAsync()
  })

  function mount(...args: string[]): void {
    const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  }

  async function start(): Promise<Daemon> {
    const artifactsPath = await fakeArtifacts(join(directory, 'artifacts'))
    const socketPath = join(directory, 'host.sock')
    return startDaemon(
      { stateDir: disk, socketPath, slice: SUITE_SLICE, artifactsPath, timing: { retryMs: 50 } },
      { launcher: fakeLauncher(), log: quietLog }
    )
  }

  /** Leaves that many bytes. */
  async function fill(leaveBytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(disk)
    await writeFile(join(disk, 'filler'), new Uint8Array(Math.max(0, bavail * bsize - leaveBytes))).catch(
      () => undefined
    )
  }

  async function run(spec: HostServerSpec): Promise<HostServer> {
    await host.create(spec)
    await host.start(spec.id)
    return host.wait(spec.id)
  }

  const kept = async (id: string): Promise<Buffer> =>
    Buffer.concat(
      framesOf(await bytesOf(host.output(id, { offset: 0, follow: true }))).map(({ data }) => data)
    )

  it('keeps the output that fitted, counts the rest, and says why', async () => {
    const total = 2 * DISK_BYTES
    const server = await run(
      serverSpec(`head -c ${total} /dev/zero; exit 4`, { limits: { outputBytesMax: total } })
    )
    expect(server.state).to.equal('exited')
    expect(server.exit).to.deep.equal({ kind: 'status', status: 4 })
    expect(server.reason?.code).to.equal('disk-full')
    expect(server.output.bytes).to.be.above(MIB).and.below(DISK_BYTES)
    expect(server.output.bytes + server.output.discardedBytes).to.equal(total)
    expect((await kept(server.id)).length).to.equal(server.output.bytes)
  })

  it('fails a server whose files do not fit, and keeps how its program ended', async () => {
    const spec = serverSpec('echo said; exit 5')
    await host.create(spec)
    await host.start(spec.id)
    const other = serverSpec('echo said; read line; head -c 9000000 /dev/zero > "$ISHARE_OUT/big"; exit 5')
    await host.wait(spec.id)
    await host.destroy(spec.id)
    await host.create(other)
    await host.start(other.id)
    for await (const chunk of host.output(other.id, { offset: 0, follow: true })) if (chunk.length > 0) break
    // Room for the file in the guest, which is on the same disk here, and for half of the tar.
    await fill(13 * MIB)
    await host.stdin(other.id, 0, new Uint8Array(), { end: true })
    const server = await host.wait(other.id)
    expect([server.state, server.reason?.code]).to.deep.equal(['failed', 'disk-full'])
    expect(server.exit).to.deep.equal({ kind: 'status', status: 5 })
    expect((await kept(other.id)).toString()).to.equal('said\n')
  })

  it('refuses files and servers for which there is no room, stores nothing of them, and goes on later', async () => {
    const spec = serverSpec('cat big | wc -c')
    await host.create(spec)
    await fill(MIB)
    const big = (): AsyncIterable<Uint8Array> => tarOf({ big: new Uint8Array(8 * MIB) })
    const error = await errorOf(() => host.putFiles(spec.id, big()))
    expect([error.code, error.message]).to.deep.equal(['ERR_HOST_STATE', "the host's disk is full"])
    expect(await readdir(join(disk, 'servers', spec.id))).to.not.include('input.tar')
    await rm(join(disk, 'filler'))
    await host.putFiles(spec.id, big())
    await host.start(spec.id)
    await host.wait(spec.id)
    expect((await kept(spec.id)).toString().trim()).to.equal(String(8 * MIB))
  })

  it('writes the last word about a server when not a byte is left', async () => {
    const spec = serverSpec('echo said; read line; exit 6')
    await host.create(spec)
    await host.start(spec.id)
    for await (const chunk of host.output(spec.id, { offset: 0, follow: true })) if (chunk.length > 0) break
    await fill(0)
    await host.stdin(spec.id, 0, new Uint8Array(), { end: true })
    const server = await host.wait(spec.id)
    expect(server.exit).to.deep.equal({ kind: 'status', status: 6 })
    await daemon.stop()
    daemon = await start()
    expect(await host.inspect(spec.id)).to.deep.equal(server)
  })

  it('makes room by destroying when not a byte is left', async () => {
    const { id } = await run(serverSpec('head -c 5000000 /dev/zero'))
    await fill(0)
    await host.destroy(id)
    expect(await host.list()).to.deep.equal([])
    expect(await codeOf(() => host.inspect(id))).to.equal('ERR_SERVER_UNKNOWN')
  })

  it('takes new servers or refuses them with a code when not a byte is left, and is whole afterwards', async () => {
    await fill(0)
    for (let count = 0; count < 200; count++) {
      const spec = serverSpec('true')
      const created = await host.create(spec).catch((error: unknown) => error)
      if (created instanceof Error) expect(created).to.have.property('code', 'ERR_HOST_STATE')
      else await host.destroy(spec.id)
    }
    expect(await host.list()).to.deep.equal([])
    await rm(join(disk, 'filler'))
    expect((await run(serverSpec('exit 7'))).exit).to.deep.equal({ kind: 'status', status: 7 })
  })
})
