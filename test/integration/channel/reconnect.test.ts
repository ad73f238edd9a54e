import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { connectGuestChannel, type GuestChannel } from '../../../soda-host/virtual-server/channel.ts'
import { bareGuest, type BareGuest } from '../../helpers/bare-guest.ts'
import { requires } from '../../helpers/capabilities.ts'
import { cuttingProxy } from '../../helpers/cutting-proxy.ts'
import { codeOf } from '../../helpers/errors.ts'
import { shell } from '../../helpers/guests.ts'
import { inputFile, readFiles, RecordingListener } from '../../helpers/launched.ts'

const MIB = 1024 * 1024

/** Bytes of which no two stretches are alike. */
function pattern(bytes: number): Buffer {
  const data = Buffer.alloc(bytes)
  for (let at = 0; at + 4 <= bytes; at += 4) data.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at)
  return data
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

/** The guest's own channel is let go; this one goes through a proxy that cuts it, at first early and often. */
async function cutChannel(
  guest: BareGuest,
  listener: RecordingListener
): Promise<{ channel: GuestChannel; cuts: () => number } & AsyncDisposable> {
  await guest.channel.close()
  const resources = new AsyncDisposableStack()
  const next = (): number => Math.floor(Math.random() ** 3 * 600_000)
  const proxy = resources.use(await cuttingProxy(`${guest.socketPath}-cut`, guest.socketPath, next))
  const channel = resources.use(connectGuestChannel({ socketPath: proxy.socketPath, listener }))
  return { channel, cuts: () => proxy.cuts, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

describe('a channel that is cut', function () {
  this.timeout(60_000)
  before(function () {
    requires(this, 'uml')
  })

  it('at random points loses and doubles no byte of input and output', async () => {
    await using guest = await bareGuest()
    const listener = new RecordingListener()
    await using cut = await cutChannel(guest, listener)
    const data = pattern(6 * MIB)
    const echoed = createHash('sha256')
    let bytes = 0
    listener.output = async (_stream, piece, offset) => {
      // Nothing comes twice within the life of one daemon.
      expect(offset).to.equal(bytes)
      bytes += piece.length
      echoed.update(piece)
    }
    await cut.channel.run({ argv: ['cat'], env: {} })
    for (let at = 0; at < data.length; at += 50_000)
      await cut.channel.stdin(at, data.subarray(at, at + 50_000))
    await cut.channel.stdinEnd(data.length)
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    expect(bytes).to.equal(data.length)
    expect(echoed.digest('hex')).to.equal(sha256(data))
    expect(listener.exits).to.equal(1)
    expect(cut.cuts()).to.be.above(10)
  })

  it('at random points brings files in and out whole', async () => {
    await using guest = await bareGuest()
    const listener = new RecordingListener()
    await using cut = await cutChannel(guest, listener)
    const data = pattern(4 * MIB)
    for (let i = 0; i < 30; i++) await cut.channel.putFile(inputFile(`f${i}`, `${i}`))
    await cut.channel.putFile(inputFile('big', data))
    await cut.channel.run(shell('cp -a /work/. /out/'))
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    const files = await readFiles(cut.channel.getFiles())
    expect(files.size).to.equal(31)
    expect(files.get('f29')?.toString()).to.equal('29')
    expect(sha256(files.get('big') ?? Buffer.alloc(0))).to.equal(sha256(data))
    expect(cut.cuts()).to.be.above(10)
  })

  it('by another connection comes back', async () => {
    await using guest = await bareGuest()
    await guest.channel.run({ argv: ['cat'], env: {} })
    for (let i = 0; i < 5; i++) {
      const intruder = connect({ path: guest.socketPath })
      await once(intruder, 'connect')
      // Its end is the channel's return.
      intruder.resume()
      await guest.channel.stdin(i, Buffer.from('x'))
      await guest.listener.until(({ outputBytes }) => outputBytes === i + 1)
      intruder.destroy()
    }
    await guest.channel.stdinEnd(5)
    await guest.listener.exited
    expect(guest.listener.text('stdout')).to.equal('xxxxx')
  })
})

describe('a new daemon', function () {
  this.timeout(60_000)
  before(function () {
    requires(this, 'uml')
  })

  it('goes on where the one before had stored, and hears of an exit that nobody has heard', async () => {
    await using guest = await bareGuest()
    // The program ends long after its first reader has gone.
    await guest.channel.run(
      shell(
        'for i in $(seq 1000); do echo line $i; done; read x; for i in $(seq 1000); do echo line $i; done; exit 4'
      )
    )
    await guest.listener.until(({ outputBytes }) => outputBytes > 100)
    await guest.channel.stdin(0, Buffer.from('go\n'))
    await guest.channel.close()
    const stored = guest.listener.text('stdout')
    const listener = new RecordingListener()
    listener.outputBytes = stored.length
    await using channel = connectGuestChannel({
      socketPath: guest.socketPath,
      listener,
      outputStored: stored.length
    })
    await channel.ready()
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 4 })
    const lines = Array.from({ length: 1000 }, (_, i) => `line ${i + 1}\n`).join('')
    expect(stored + listener.text('stdout')).to.equal(lines + lines)
  })

  it('that has not counted gets everything again that was not acknowledged, with offsets', async () => {
    await using guest = await bareGuest()
    const released = Promise.withResolvers<undefined>()
    const first: { offset: number; data: Buffer }[] = []
    // Stored, but the acknowledgement never gets out: as if killed in between.
    guest.listener.output = async (_stream, data, offset) => {
      first.push({ offset, data: Buffer.from(data) })
      await released.promise
    }
    await guest.channel.run(shell('echo one; echo two; exit 1'))
    while (first.length === 0) await new Promise(setImmediate)
    const closing = guest.channel.close()
    const listener = new RecordingListener()
    await using channel = connectGuestChannel({ socketPath: guest.socketPath, listener })
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 1 })
    expect(listener.text('stdout')).to.equal('one\ntwo\n')
    expect(first[0]?.offset).to.equal(0)
    expect('one\ntwo\n'.startsWith(first[0]?.data.toString() ?? '?')).to.equal(true)
    released.resolve(undefined)
    await closing
    await channel.run(shell('echo never'))
    expect(listener.text('stdout')).to.equal('one\ntwo\n')
  })

  it('goes on with input where the guest stands, and may send again what was sent', async () => {
    await using guest = await bareGuest()
    await guest.channel.run({ argv: ['cat'], env: {} })
    await guest.channel.stdin(0, Buffer.from('0123'))
    await guest.listener.until(({ outputBytes }) => outputBytes === 4)
    await guest.channel.close()
    const listener = new RecordingListener()
    await using channel = connectGuestChannel({ socketPath: guest.socketPath, listener, outputStored: 4 })
    listener.outputBytes = 4
    await channel.ready()
    expect(listener.stdinTakenBytes).to.equal(4)
    expect(await codeOf(() => channel.stdin(5, Buffer.from('5')))).to.equal('ERR_SERVER_STATE')
    await channel.stdin(2, Buffer.from('2345'))
    await channel.stdin(0, Buffer.from('012345'))
    expect(await codeOf(() => channel.stdinEnd(7))).to.equal('ERR_SERVER_STATE')
    await channel.stdinEnd(6)
    await channel.stdinEnd(6)
    await listener.exited
    expect(listener.text('stdout')).to.equal('45')
    expect(await codeOf(() => channel.stdin(6, Buffer.from('6')))).to.equal('ERR_SERVER_STATE')
  })

  it('that claims to have stored what never was, or less than was acknowledged, is told so', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(shell('echo hello; sleep 1000'))
    await guest.listener.until(({ outputBytes }) => outputBytes === 6)
    await guest.channel.close()
    for (const outputStored of [7, 1000 * MIB, 0]) {
      const listener = new RecordingListener()
      await using channel = connectGuestChannel({ socketPath: guest.socketPath, listener, outputStored })
      expect((await channel.closed).code, `${outputStored}`).to.equal('ERR_CHANNEL_FORMAT')
      expect(await codeOf(() => channel.run(shell('true')))).to.equal('ERR_CHANNEL_FORMAT')
    }
    const listener = new RecordingListener()
    await using channel = connectGuestChannel({ socketPath: guest.socketPath, listener, outputStored: 6 })
    await channel.ready()
  })

  it('finds a program that printed into nowhere waiting, not ended, and lets it go on', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(
      shell('echo start; read x; dd if=/dev/zero bs=64k count=160 2>/dev/null; touch /out/done')
    )
    await guest.listener.until(({ outputBytes }) => outputBytes === 6)
    await guest.channel.stdin(0, Buffer.from('\n'))
    await guest.channel.close()
    const held = Promise.withResolvers<undefined>()
    const listener = new RecordingListener()
    let bytes = 6
    listener.output = async (_stream, data, offset) => {
      await held.promise
      expect(offset).to.equal(bytes)
      bytes += data.length
    }
    await using channel = connectGuestChannel({ socketPath: guest.socketPath, listener, outputStored: 6 })
    expect((await readFiles(channel.getFiles())).size).to.equal(0)
    held.resolve(undefined)
    expect(await listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    expect(bytes).to.equal(6 + 160 * 65_536)
    expect([...(await readFiles(channel.getFiles())).keys()]).to.deep.equal(['done'])
  })

  it('may begin a transfer anew that the one before left unfinished', async () => {
    await using guest = await bareGuest()
    const begun = Promise.withResolvers<undefined>()
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(100_000, 'x')
      begun.resolve(undefined)
      await guest.channel.closed
    }
    const unfinished = codeOf(() =>
      guest.channel.putFile({ ...inputFile('f', ''), sizeBytes: 200_000, content: endless() })
    )
    await begun.promise
    await guest.channel.close()
    expect(await unfinished).to.be.oneOf(['ERR_CHANNEL_CLOSED', 'ERR_FILES_FORMAT'])
    const listener = new RecordingListener()
    await using channel = connectGuestChannel({ socketPath: guest.socketPath, listener })
    await channel.putFile(inputFile('f', 'new'))
    await channel.run(shell('cat f; cp f /out/'))
    await listener.exited
    expect(listener.text('stdout')).to.equal('new')
    expect((await readFiles(channel.getFiles())).get('f')?.toString()).to.equal('new')
  })
})

describe('the end of a guest', function () {
  this.timeout(60_000)
  before(function () {
    requires(this, 'uml')
  })

  it('rejects whatever waits, with one code, and everything after', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(shell('sleep 1000'))
    const stdin = codeOf(async () => {
      for (let at = 0; ; at += 65_536) await guest.channel.stdin(at, Buffer.alloc(65_536))
    })
    async function* content(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10)
      guest.process.kill('SIGKILL')
      await guest.channel.closed
    }
    const put = codeOf(() =>
      guest.channel.putFile({ ...inputFile('f', ''), sizeBytes: 20, content: content() })
    )
    expect(await stdin).to.equal('ERR_CHANNEL_CLOSED')
    expect(await put).to.be.oneOf(['ERR_CHANNEL_CLOSED', 'ERR_FILES_FORMAT'])
    expect((await guest.channel.closed).code).to.equal('ERR_CHANNEL_CLOSED')
    for (const call of [
      () => guest.channel.ready(),
      () => guest.channel.run(shell('true')),
      () => guest.channel.signal(9),
      () => guest.channel.stdin(0, Buffer.from('x')),
      () => guest.channel.putFile(inputFile('f', 'x')),
      () => readFiles(guest.channel.getFiles()),
      () => guest.channel.powerOff()
    ])
      expect(await codeOf(call)).to.equal('ERR_CHANNEL_CLOSED')
  })

  it('delivers first what it had sent', async () => {
    await using guest = await bareGuest()
    const held = Promise.withResolvers<undefined>()
    let bytes = 0
    guest.listener.output = async (_stream, data) => {
      await held.promise
      bytes += data.length
    }
    await guest.channel.run(shell('dd if=/dev/zero bs=1k count=64 2>/dev/null; touch /out/sent; sleep 1000'))
    // Output goes before files: when the mark is seen, all of it has been sent.
    while ((await readFiles(guest.channel.getFiles())).size === 0);
    guest.process.kill('SIGKILL')
    await guest.ended
    const closing = guest.channel.close()
    held.resolve(undefined)
    await closing
    expect(bytes).to.equal(65_536)
  })

  it('by a reboot from inside is the end: the program is not run a second time', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(shell('echo once; read x; reboot -f; sleep 1000'))
    await guest.listener.until(({ outputBytes }) => outputBytes === 5)
    await guest.channel.stdin(0, Buffer.from('\n'))
    await guest.ended
    expect((await guest.channel.closed).code).to.equal('ERR_CHANNEL_CLOSED')
    expect(guest.listener.text('stdout')).to.equal('once\n')
    expect(guest.console()).to.include('booted before')
  })
})
