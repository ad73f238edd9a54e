/**
 * Attacker: an owner who makes a dump of a tenant's server, or has one; a client that leaves a dump standing.
 * Asset: what is in the server's memory and on its disk; the server's going on.
 * Outcome: only the tenant's key opens it, by the standard tool, and then all is there; the server goes on.
 */
import { expect } from 'chai'
import { execa } from 'execa'
import { spawnSync } from 'node:child_process'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { DAEMON_TIMING } from '../../../soda-host/daemon/limits.ts'
import { umlLauncher } from '../../../soda-host/virtual-server/index.ts'
import { MIB } from '../../../src/constants.ts'
import { ageIdentity, createLogKey, loadOrCreateLogKey } from '../../../src/identity/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { openHost, type OpenedHost } from '../../helpers/daemon/open-host.ts'
import { bytesOf, serverSpec } from '../../helpers/daemon/server-spec.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const ISHARE = join(import.meta.dirname, '../../../src/cli/ishare')
const MEMORY_BYTES = 64 * MIB
const DISK_BYTES = 32 * MIB
/** Never in one piece in the program's text. */
const IN_MEMORY = 'only-in-memory-7319'
const ON_DISK = 'only-on-disk-7319'
const PROGRAM = `a=only; kept="$a-in-memory-7319"; echo "$a-on-disk-7319" > /work/file; sync
i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done`

describe('a dump of a server', function () {
  this.timeout(120_000)

  const resources = new AsyncDisposableStack()
  let opened: OpenedHost
  let directory: string
  let key: { publicKey: Uint8Array }
  let id: string

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap', 'age')
    directory = resources.use(await temporaryDirectory()).path
    key = await loadOrCreateLogKey(join(directory, 'tenant'))
    opened = resources.use(await openHost({ launcher: umlLauncher(), artifacts }))
    id = await running({ dumpKeys: [Buffer.from(key.publicKey).toString('base64url')] })
  })

  after(() => resources.disposeAsync())

  const artifacts = async (): Promise<string> => process.env['ISHARE_ARTIFACTS'] ?? ''

  async function running(changes: Parameters<typeof serverSpec>[1], { host } = opened): Promise<string> {
    const limits = { memoryBytes: MEMORY_BYTES, diskBytes: DISK_BYTES }
    const spec = serverSpec(PROGRAM, { ...changes, limits })
    await host.create(spec)
    await host.start(spec.id)
    await goesOn(spec.id, host)
    return spec.id
  }

  /** Until it has written more than it had. */
  async function goesOn(which = id, host = opened.host): Promise<void> {
    const written = async (): Promise<number> => (await host.inspect(which)).output.bytes
    const before = await written()
    while ((await written()) <= before) await delay(20)
  }

  /** `ishare host dump` in a process of its own. */
  function dump(path: string) {
    return execa(ISHARE, ['host', 'dump', id, path, '--socket-path', opened.socketPath], { reject: false })
  }

  it('is opened by `age` with the exported log key, and holds disk and memory of one instant', async () => {
    const path = join(directory, 'whole.age')
    const { exitCode, stderr } = await dump(path)
    expect(exitCode, stderr).to.equal(0)
    const sealed = await readFile(path)
    expect(sealed.subarray(0, 21).toString()).to.equal('age-encryption.org/v1')
    for (const text of [IN_MEMORY, ON_DISK, 'Linux version', id])
      expect(sealed.includes(text)).to.equal(false)
    const identity = join(directory, 'identity.txt')
    const exported = await execa(ISHARE, ['key', 'export', '--age', '--state-dir', join(directory, 'tenant')])
    await writeFile(identity, exported.stdout, { mode: 0o600 })
    const out = join(directory, 'out')
    await mkdir(out)
    await execa('age', ['-d', '-i', identity, '-o', join(out, 'dump.tar'), path])
    await execa('tar', ['-C', out, '-xf', join(out, 'dump.tar')])
    const told = JSON.parse(await readFile(join(out, 'dump.json'), 'utf8')) as Record<string, unknown>
    expect(told).to.deep.include({ format: 'ishare-dump', version: 1, server: id, owner: 'a consumer' })
    const memory = await readFile(join(out, 'memory.raw'))
    expect(told['memory']).to.deep.equal({
      file: 'memory.raw',
      bytes: memory.length,
      virtualBase: '0x60000000'
    })
    expect(memory.length).to.be.at.least(MEMORY_BYTES)
    expect(memory.includes(IN_MEMORY)).to.equal(true)
    // The kernel's own image, which is not in the file that holds the rest.
    expect(memory.subarray(0, 4).toString('latin1')).to.equal('\x7fELF')
    expect(memory.includes('Linux version ')).to.equal(true)
    const disk = join(out, 'disk.ext4')
    expect((await readFile(disk)).length).to.equal(DISK_BYTES)
    const { stdout } = await execa('debugfs', ['-R', 'cat /upper/work/file', disk])
    expect(stdout).to.equal(ON_DISK)
    await goesOn()
  })

  it('is opened by no other key, and not made where the tenant named none', async () => {
    const path = join(directory, 'other.age')
    await writeFile(path, await bytesOf(opened.host.dump(id)))
    const identity = join(directory, 'other.txt')
    await writeFile(identity, ageIdentity(createLogKey().privateKey))
    const { exitCode, stderr } = await execa('age', ['-d', '-i', identity, path], { reject: false })
    expect(exitCode).to.not.equal(0)
    expect(stderr).to.include('no identity matched')
    const without = await running({})
    expect(await codeOf(() => bytesOf(opened.host.dump(without)))).to.equal('ERR_DUMP_KEY')
    await goesOn(without)
    await opened.host.destroy(without)
  })

  it('is not made to a key that is none, which is told before the server starts', async () => {
    for (const dumpKeys of [[], ['x'], [Buffer.alloc(31).toString('base64url')]])
      expect(await codeOf(() => opened.host.create(serverSpec('true', { dumpKeys })))).to.equal(
        'ERR_HOST_REQUEST'
      )
    // A point of small order: whatever is encrypted to it, everybody could open.
    const weak = await running({ dumpKeys: [Buffer.alloc(32).toString('base64url')] })
    expect(await codeOf(() => bytesOf(opened.host.dump(weak)))).to.equal('ERR_DUMP_KEY')
    await goesOn(weak)
    await opened.host.destroy(weak)
  })

  it('that its reader gives up, or leaves standing, keeps nobody from going on', async () => {
    for await (const chunk of opened.host.dump(id)) if (chunk.length > 0) break
    await goesOn()
    await using impatient = await openHost({
      launcher: umlLauncher(),
      artifacts,
      config: { timing: { ...DAEMON_TIMING, bodyIdleMs: 100 } }
    })
    const dumpKeys = [Buffer.from(key.publicKey).toString('base64url')]
    const left = await running({ dumpKeys }, impatient)
    const socket = connect(impatient.socketPath)
    socket.pause()
    socket.write(`GET /v1/servers/${left}/dump HTTP/1.1\r\nhost: host\r\n\r\n`)
    // Nothing of it is read until the server goes on; then what was sent has no end.
    await goesOn(left, impatient.host)
    await delay(50)
    await goesOn(left, impatient.host)
    const got = await bytesOf(socket.resume() as AsyncIterable<Uint8Array>).catch(() => Buffer.alloc(0))
    expect(got.subarray(-5).toString()).to.not.equal('0\r\n\r\n')
  })

  it('that does not fit onto the disk leaves no file', async () => {
    const small = join(directory, 'small')
    await mkdir(small)
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small]).status).to.equal(0)
    try {
      const { exitCode, stderr } = await dump(join(small, 'dump.age'))
      expect(exitCode).to.equal(1)
      expect(stderr).to.include('ENOSPC')
      expect(await readdir(small)).to.deep.equal([])
    } finally {
      spawnSync('umount', [small])
    }
    await goesOn()
  })

  it('of a server that is destroyed meanwhile is cut off, and only of one that runs', async () => {
    const gone = await running({ dumpKeys: [Buffer.from(key.publicKey).toString('base64url')] })
    const reading = (async () => {
      for await (const chunk of opened.host.dump(gone)) if (chunk.length > 0) await opened.host.destroy(gone)
    })()
    expect(await codeOf(() => reading)).to.equal('ERR_HOST_UNREACHABLE')
    expect(await codeOf(() => bytesOf(opened.host.dump(gone)))).to.equal('ERR_SERVER_UNKNOWN')
  })
})
