import { expect } from 'chai'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { listenForGuest } from '../../../soda-host/virtual-server/channel-socket.ts'
import { killJail } from '../../../soda-host/virtual-server/jail-status.ts'
import { uidOfSlot } from '../../../soda-host/virtual-server/jail.ts'
import { namespaceUsage } from '../../../soda-host/virtual-server/process-usage.ts'
import { serverFiles } from '../../../soda-host/virtual-server/server-files.ts'
import { createWritableLayer } from '../../../soda-host/virtual-server/writable-layer.ts'
import { codeOf } from '../../helpers/errors.ts'
import { requires } from '../../helpers/capabilities.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const MIB = 1024 * 1024

describe('writable layer', () => {
  it('is an ext4 of exactly the size that was promised, and takes next to no space', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'disk.ext4')
    await createWritableLayer({ path, sizeBytes: 1024 * MIB, uid: undefined })
    const { size, blocks, mode } = statSync(path)
    expect(size).to.equal(1024 * MIB)
    expect(blocks * 512).to.be.lessThan(8 * MIB)
    expect(mode & 0o777).to.equal(0o600)
    // The superblock's magic. @see Documentation/filesystems/ext4/super.rst
    expect(readFileSync(path).readUInt16LE(1024 + 0x38)).to.equal(0xef53)
  })

  it('belongs to the uid of its server', async function () {
    requires(this, 'root')
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'disk.ext4')
    await createWritableLayer({ path, sizeBytes: 16 * MIB, uid: uidOfSlot(5) })
    expect(statSync(path).uid).to.equal(2_000_005)
  })

  it('starts empty, whatever was there before', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'disk.ext4')
    writeFileSync(path, Buffer.alloc(16 * MIB, 'secret of the tenant before'))
    await createWritableLayer({ path, sizeBytes: 16 * MIB, uid: undefined })
    expect(readFileSync(path).includes('secret')).to.equal(false)
  })

  for (const sizeBytes of [0, 1000, -1])
    it(`cannot be made of ${sizeBytes} bytes, and says ERR_JAIL`, async () => {
      await using directory = await temporaryDirectory()
      const path = join(directory.path, 'disk.ext4')
      expect(await codeOf(() => createWritableLayer({ path, sizeBytes, uid: undefined }))).to.equal(
        'ERR_JAIL'
      )
    })
})

describe('socket for a guest', () => {
  it('lives on in another process, at the same path, after our copy is closed', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'channel.sock')
    const socket = await listenForGuest(path)
    const script =
      "require('net').createServer(s => { s.end('guest'); process.exitCode = 0; this.done?.() }).listen({ fd: 3 })"
    const guest = spawn(process.execPath, ['-e', script], {
      stdio: ['ignore', 'ignore', 'inherit', socket.fd]
    })
    const exit = once(guest, 'exit')
    try {
      await socket.close()
      const connection = createConnection(path)
      const [data] = (await once(connection, 'data')) as [Buffer]
      expect(data.toString()).to.equal('guest')
      connection.destroy()
    } finally {
      guest.kill('SIGKILL')
      await exit
    }
    expect(existsSync(path)).to.equal(true)
  })

  it('is for us alone from its first moment', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'channel.sock')
    await using socket = await listenForGuest(path)
    expect(socket.fd).to.be.greaterThan(2)
    expect(statSync(path).mode & 0o777).to.equal(0o600)
    const other = join(directory.path, 'other')
    writeFileSync(other, '', { mode: 0o644 })
    expect(statSync(other).mode & 0o044, 'the umask is back').to.not.equal(0)
  })

  it('replaces what an earlier life left at its path', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'channel.sock')
    await (await listenForGuest(path)).close()
    await (await listenForGuest(path)).close()
    expect(existsSync(path)).to.equal(true)
  })

  it('lies at any depth, deeper than the address of a socket is long', async () => {
    await using directory = await temporaryDirectory()
    const deep = join(directory.path, 'd'.repeat(100), 'e'.repeat(100))
    mkdirSync(deep, { recursive: true })
    await (await listenForGuest(join(deep, 'channel.sock'))).close()
    expect(existsSync(join(deep, 'channel.sock'))).to.equal(true)
  })

  it('says ERR_JAIL where there is no directory for it', async () => {
    expect(await codeOf(() => listenForGuest('/no/such/directory/s'))).to.equal('ERR_JAIL')
  })
})

describe('what is left of a jail', () => {
  it('is killed only while its pid is still its own', async () => {
    await using directory = await temporaryDirectory()
    const files = serverFiles(directory.path)
    const bystander = spawn('sleep', ['1000'])
    try {
      // The pid of the bystander, but another pid namespace than it lives in.
      writeFileSync(files.status, `{ "child-pid": ${bystander.pid ?? 0}, "pid-namespace": 4026530000 }\n`)
      await killJail(files)
      expect(spawnSync('kill', ['-0', String(bystander.pid)]).status).to.equal(0)
      const { ino } = statSync(`/proc/${bystander.pid ?? 0}/ns/pid`)
      writeFileSync(files.status, `{ "child-pid": ${bystander.pid ?? 0}, "pid-namespace": ${ino} }\n`)
      const exit = once(bystander, 'exit')
      await killJail(files)
      await exit
    } finally {
      bystander.kill('SIGKILL')
    }
  })

  for (const text of [
    '',
    '{ "child-pid": ',
    '{}',
    'rubbish',
    '{ "child-pid": 99999999, "pid-namespace": 1 }'
  ])
    it(`is nothing where the status says ${JSON.stringify(text)}`, async () => {
      await using directory = await temporaryDirectory()
      const files = serverFiles(directory.path)
      writeFileSync(files.status, text)
      await killJail(files)
    })
})

describe('usage without cgroups', () => {
  it('counts a pid namespace, and nothing for one that is gone', () => {
    const usage = namespaceUsage(process.pid)
    expect(usage.cpuSeconds).to.be.greaterThan(0)
    expect(usage.memoryPeakBytes).to.be.greaterThan(MIB)
    expect(namespaceUsage(99_999_999)).to.deep.equal({ cpuSeconds: 0, memoryPeakBytes: 0 })
  })
})
