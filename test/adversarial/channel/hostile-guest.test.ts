/**
 * Attacker: the guest's root in place of guest init: it sends any bytes on the control channel, or none.
 * Asset: the daemon: its memory, its other guests, what it believes about this one.
 * Expected: the channel ends with ERR_CHANNEL_FORMAT, the connection is closed, the listener has been told nothing
 * wrong, and memory stays bounded. An honest guest in the same place works.
 */
import { expect } from 'chai'
import fc from 'fast-check'
import { randomBytes } from 'node:crypto'
import { encodeEntry } from '../../../soda-host/virtual-server/channel-messages.ts'
import { connectGuestChannel, type GuestChannel } from '../../../soda-host/virtual-server/channel.ts'
import {
  encodeHeader,
  FRAME_HEADER_BYTES,
  FrameType,
  SESSION_WINDOW_BYTES,
  SESSIONS_MAX,
  WINDOW_BYTES
} from '../../../soda-host/virtual-server/frames.ts'
import { KIB, MIB } from '../../../src/constants.ts'
import { HostError } from '../../../src/errors.ts'
import type { GuestFile, GuestSession } from '../../../soda-host/virtual-server/types.ts'
import {
  type Budget,
  FRAME_BUDGET,
  CONNECTION_WORK_FRAMES,
  SESSION_BUDGET
} from '../../../soda-host/resources/host-work.ts'
import { codeOf } from '../../helpers/errors.ts'
import { HurriedClock } from '../../helpers/hurried-clock.ts'
import { inputFile, readFiles, RecordingListener } from '../../helpers/launched.ts'
import {
  type HelloFields,
  type ScriptedConnection,
  type ScriptedGuest,
  scriptedGuest
} from '../../helpers/scripted-guest.ts'

interface Scene extends AsyncDisposable {
  guest: ScriptedGuest
  connection: ScriptedConnection
  channel: GuestChannel
  listener: RecordingListener
  /** By which it is held to its budgets. */
  clock: HurriedClock
}

/** A channel whose other end is ours; the guest has said hello unless `hello` is null. */
async function scene(hello: HelloFields | null = {}, outputStored?: number): Promise<Scene> {
  const resources = new AsyncDisposableStack()
  const guest = resources.use(await scriptedGuest())
  const listener = new RecordingListener()
  const clock = new HurriedClock()
  const options = { socketPath: guest.socketPath, listener, work: { clock } }
  const channel = resources.use(
    connectGuestChannel(outputStored === undefined ? options : { ...options, outputStored })
  )
  const connection = await guest.accept()
  await connection.next(FrameType.hello)
  if (hello !== null) connection.hello(hello)
  return {
    guest,
    connection,
    channel,
    listener,
    clock,
    [Symbol.asyncDispose]: () => resources.disposeAsync()
  }
}

async function isThrownOut({ channel, connection }: Scene): Promise<void> {
  const error = await channel.closed
  expect(error.code, error.message).to.equal('ERR_CHANNEL_FORMAT')
  await connection.ended()
  expect(await codeOf(() => channel.ready())).to.equal('ERR_CHANNEL_FORMAT')
  expect(await codeOf(() => channel.signal(9))).to.equal('ERR_CHANNEL_FORMAT')
}

describe('a guest that lies', function () {
  this.timeout(30_000)

  it('with garbage instead of a hello is thrown out', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: FRAME_HEADER_BYTES, maxLength: 500 }), async (garbage) => {
        // A first byte that no frame of ours can have, so that nothing waits for more.
        await using stage = await scene(null)
        stage.connection.socket.write(Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff]), garbage]))
        await isThrownOut(stage)
      }),
      { numRuns: 20 }
    )
  })

  it('with a frame before its hello, or a second hello, is thrown out', async () => {
    await using early = await scene(null)
    early.connection.send(FrameType.stdout, { position: 0 }, Buffer.from('x'))
    await isThrownOut(early)
    expect(early.listener.outputBytes).to.equal(0)
    await using twice = await scene()
    twice.connection.hello()
    await isThrownOut(twice)
  })

  it('about what it is or has in its hello is thrown out', async () => {
    const lies: HelloFields[] = [
      { magic: 0 },
      { version: 99 },
      { commandsDone: 2 ** 53 - 1 },
      { stdinReceived: 5, stdinTaken: 6 },
      { stdinReceived: WINDOW_BYTES + 1 },
      { outputAcked: 10, outputProduced: 5 },
      { limits: 0x10 }
    ]
    for (const lie of lies) {
      await using stage = await scene(lie)
      await isThrownOut(stage)
    }
    await using forgetful = await scene({ outputAcked: 50, outputProduced: 60 }, 40)
    await isThrownOut(forgetful)
    await using young = await scene({ outputAcked: 0, outputProduced: 30 }, 40)
    await isThrownOut(young)
  })

  it('with frames that no guest sends, or of wrong length, is thrown out', async () => {
    for (const bytes of [
      encodeHeader(FrameType.run, 12),
      encodeHeader(FrameType.stdin, 1),
      encodeHeader(0x7777 as FrameType, 0),
      encodeHeader(FrameType.stdout, 0),
      encodeHeader(FrameType.stdout, 2 ** 31),
      encodeHeader(FrameType.exit, 3),
      Buffer.alloc(FRAME_HEADER_BYTES, 0xff)
    ]) {
      await using stage = await scene()
      stage.connection.socket.write(bytes)
      await isThrownOut(stage)
    }
  })

  it('about limits that there are not is thrown out; others are told as often as it says them', async () => {
    await using stage = await scene()
    stage.connection.send(FrameType.limits, { position: 0x1 })
    stage.connection.send(FrameType.limits, { position: 0x9 })
    stage.connection.send(FrameType.limits, { position: 0x10 })
    await isThrownOut(stage)
    expect(stage.listener.limits).to.deep.equal(['memory', 'processes'])
  })

  it('about the position of its output is thrown out; what came before is kept', async () => {
    for (const position of [0, 2, 4, 2 ** 40]) {
      await using stage = await scene()
      stage.connection.send(FrameType.stdout, { position: 0 }, Buffer.from('abc'))
      stage.connection.send(FrameType.stdout, { position }, Buffer.from('x'))
      await isThrownOut(stage)
      expect(stage.listener.text('stdout')).to.equal('abc')
    }
  })

  it('about its exit is thrown out: at another position, twice, or with output behind it', async () => {
    const status = Buffer.of(0, 0)
    const stories: ((connection: ScriptedConnection) => void)[] = [
      (c) => c.send(FrameType.exit, { position: 1 }, status),
      (c) => c.send(FrameType.exit, { position: 0 }, Buffer.of(1, 200)),
      (c) => {
        c.send(FrameType.exit, { position: 0 }, status)
        c.send(FrameType.exit, { position: 0 }, status)
      },
      (c) => {
        c.send(FrameType.exit, { position: 0 }, status)
        c.send(FrameType.stdout, { position: 0 }, Buffer.from('x'))
      }
    ]
    for (const story of stories) {
      await using stage = await scene()
      story(stage.connection)
      await isThrownOut(stage)
      expect(stage.listener.exits).to.be.most(1)
      expect(stage.listener.outputBytes).to.equal(0)
    }
  })

  it('with acknowledgements of what was never sent, or of the same twice, is thrown out', async () => {
    const stories: ((connection: ScriptedConnection) => void)[] = [
      (c) => c.send(FrameType.commandAck, { sequence: 1 }),
      (c) => c.send(FrameType.commandAck, { sequence: 0 }),
      (c) => c.send(FrameType.stdinAck, { position: 1 }),
      (c) => c.send(FrameType.stdinAck, { position: 0 }),
      (c) => c.send(FrameType.uploadAck, { sequence: 1, position: 1 }),
      (c) => c.send(FrameType.putResult, { sequence: 1 }, Buffer.alloc(4)),
      (c) => c.send(FrameType.download, { sequence: 1 }, Buffer.from('x')),
      (c) => c.send(FrameType.downloadEnd, { sequence: 1 }, Buffer.alloc(4))
    ]
    for (const story of stories) {
      await using stage = await scene()
      story(stage.connection)
      await isThrownOut(stage)
    }
    await using stage = await scene()
    const run = stage.channel.signal(9)
    const { sequence } = await stage.connection.next(FrameType.signal)
    stage.connection.send(FrameType.commandAck, { sequence })
    await run
    stage.connection.send(FrameType.commandAck, { sequence })
    await isThrownOut(stage)
  })

  it('that a file is complete before it was sent is thrown out', async () => {
    await using stage = await scene()
    async function* content(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10)
      await stage.channel.closed
    }
    const put = codeOf(() =>
      stage.channel.putFile({ ...inputFile('f', ''), sizeBytes: 20, content: content() })
    )
    const { sequence } = await stage.connection.next(FrameType.put)
    await stage.connection.next(FrameType.upload)
    stage.connection.send(FrameType.putResult, { sequence }, Buffer.alloc(4))
    await isThrownOut(stage)
    expect(await put).to.be.oneOf(['ERR_CHANNEL_FORMAT', 'ERR_FILES_FORMAT'])
  })

  it('about being the same guest is taken for gone', async () => {
    await using stage = await scene({ bootId: '00'.repeat(16) })
    await stage.channel.ready()
    stage.connection.socket.destroy()
    const second = await stage.guest.accept()
    await second.next(FrameType.hello)
    second.hello({ bootId: '11'.repeat(16) })
    expect((await stage.channel.closed).code).to.equal('ERR_CHANNEL_CLOSED')
  })
})

describe('a guest that hands over hostile files', function () {
  this.timeout(30_000)

  function entry(changes: Partial<GuestFile>): Buffer {
    return encodeEntry({ kind: 'file', mode: 0o644, sizeBytes: 0, path: 'f', ...changes })
  }

  /** The guest answers a get with these bytes, then `end` (an errno) if given. */
  async function collect(bytes: Uint8Array, end?: number): Promise<{ code: string; stage: Scene }> {
    const stage = await scene()
    const code = codeOf(() => readFiles(stage.channel.getFiles()))
    const { sequence } = await stage.connection.next(FrameType.get)
    stage.connection.send(FrameType.commandAck, { sequence })
    for (let position = 0; position < bytes.length; position += 50_000)
      stage.connection.send(
        FrameType.download,
        { sequence, position },
        bytes.subarray(position, position + 50_000)
      )
    const errno = Buffer.alloc(4)
    errno.writeInt32LE(end ?? 0)
    if (end !== undefined)
      stage.connection.send(FrameType.downloadEnd, { sequence, position: bytes.length }, errno)
    return { code: await code, stage }
  }

  it('with paths that lead elsewhere is thrown out before the consumer sees one', async () => {
    for (const path of ['../x', '/etc/passwd', 'a/../../x', 'a//b', '.', '..', 'a/', 'a\0b']) {
      const { code, stage } = await collect(entry({ path }), 0)
      await using _stage = stage
      expect(code, path).to.equal('ERR_CHANNEL_FORMAT')
      await isThrownOut(stage)
    }
  })

  it('with kinds, modes and sizes that no file has is thrown out', async () => {
    const broken = (change: (bytes: Buffer) => void): Buffer => {
      const bytes = entry({})
      change(bytes)
      return bytes
    }
    for (const bytes of [
      broken((b) => b.writeUInt8(7, 0)),
      broken((b) => b.writeUInt16LE(0o6755, 2)),
      broken((b) => b.writeUInt32LE(2 ** 31, 4)),
      broken((b) => b.writeBigUInt64LE(2n ** 63n, 8)),
      Buffer.concat([entry({ kind: 'directory' }).fill(1, 8, 9)])
    ]) {
      const { code, stage } = await collect(bytes, 0)
      await using _stage = stage
      expect(code).to.equal('ERR_CHANNEL_FORMAT')
    }
  })

  it('that end in the middle of a file is thrown out; with an error it says, that is passed on', async () => {
    const half = Buffer.concat([entry({ sizeBytes: 10 }), Buffer.from('five!')])
    const silent = await collect(half, 0)
    await using _silent = silent.stage
    expect(silent.code).to.equal('ERR_CHANNEL_FORMAT')
    const honest = await collect(half, 5)
    await using _honest = honest.stage
    expect(honest.code).to.equal('ERR_FILES_FORMAT')
    await honest.stage.channel.ready()
  })

  it('with random bytes never crashes us: files, or one of the codes', async () => {
    for (let i = 0; i < 30; i++) {
      const { code, stage } = await collect(randomBytes(200), 5)
      await using _stage = stage
      expect(code).to.be.oneOf(['ERR_CHANNEL_FORMAT', 'ERR_FILES_FORMAT'])
    }
  })

  it('without end gets no further than one window ahead of the consumer', async () => {
    await using stage = await scene()
    const files = stage.channel.getFiles()[Symbol.asyncIterator]()
    const first = files.next()
    const { sequence } = await stage.connection.next(FrameType.get)
    stage.connection.send(FrameType.commandAck, { sequence })
    const head = entry({ sizeBytes: 2 ** 50 })
    stage.connection.send(FrameType.download, { sequence, position: 0 }, head)
    expect((await first).value).to.have.property('sizeBytes', 2 ** 50)
    const block = Buffer.alloc(64 * 1024)
    for (let position = head.length; position < 3 * MIB; position += block.length)
      stage.connection.send(FrameType.download, { sequence, position }, block)
    await isThrownOut(stage)
  })

  it('of which one walk was given up may go on with it within its window, and no further', async () => {
    await using stage = await scene()
    for await (const _file of walk(stage)) break
    const block = Buffer.alloc(1000)
    const head = entry({ sizeBytes: 2 ** 50 }).length
    stage.connection.send(FrameType.download, { sequence: 1, position: head }, block)
    const run = stage.channel.signal(1)
    const { sequence } = await stage.connection.next(FrameType.signal)
    stage.connection.send(FrameType.commandAck, { sequence })
    await run
    for (let position = head + block.length; position < 2 * MIB; position += block.length)
      stage.connection.send(FrameType.download, { sequence: 1, position }, block)
    await isThrownOut(stage)
  })

  function walk(stage: Scene): AsyncIterable<GuestFile> {
    void stage.connection.next(FrameType.get).then(({ sequence }) => {
      stage.connection.send(FrameType.commandAck, { sequence })
      stage.connection.send(FrameType.download, { sequence, position: 0 }, entry({ sizeBytes: 2 ** 50 }))
    })
    return stage.channel.getFiles()
  }
})

describe('a guest that floods', function () {
  this.timeout(60_000)

  it('with output that nobody takes is held to its window', async () => {
    await using stage = await scene()
    const held = Promise.withResolvers<undefined>()
    stage.listener.output = async () => {
      await held.promise
    }
    const block = Buffer.alloc(64 * 1024)
    for (let position = 0; position < 3 * MIB; position += block.length)
      stage.connection.send(FrameType.stdout, { position }, block)
    // It takes a window that was not given: that is the end of it, not our memory's.
    const error = await Promise.race([
      stage.channel.closed.then(() => 'closed'),
      stage.connection.ended().then(() => 'ended')
    ])
    expect(error).to.be.oneOf(['closed', 'ended'])
    held.resolve(undefined)
    await isThrownOut(stage)
  })

  it('with crumbs that nobody takes is no longer read', async () => {
    await using stage = await scene()
    const held = Promise.withResolvers<undefined>()
    let bytes = 0
    stage.listener.output = async (_stream, data) => {
      await held.promise
      bytes += data.length
    }
    // 50,000 frames of one byte, in turn to both streams: all within the window.
    const count = 50_000
    for (let position = 0; position < count; position++)
      stage.connection.send(
        position % 2 === 0 ? FrameType.stdout : FrameType.stderr,
        { position },
        Buffer.of(1)
      )
    stage.connection.send(FrameType.exit, { position: count }, Buffer.of(0, 0))
    // The socket's own buffers take some; the rest stays with the guest.
    while (stage.connection.socket.writableLength === 0) await new Promise(setImmediate)
    expect(stage.connection.socket.writableLength).to.be.above(500_000)
    held.resolve(undefined)
    await stage.listener.exited
    expect(bytes).to.equal(count)
  })

  it('and never reads is thrown out when we have too much to tell it', async () => {
    await using stage = await scene()
    stage.connection.socket.pause()
    let bytes = 0
    stage.listener.output = async (_stream, data) => void (bytes += data.length)
    const heapBefore = process.memoryUsage().rss
    // It knows what we would acknowledge without reading it.
    const block = Buffer.alloc(1)
    for (let position = 0; position < 200_000; position++) {
      stage.connection.send(FrameType.stdout, { position }, block)
      if (position % 1000 === 0) await new Promise(setImmediate)
    }
    while (bytes < 200_000 && !stage.connection.socket.destroyed) await new Promise(setImmediate)
    expect(process.memoryUsage().rss - heapBefore).to.be.below(200 * MIB)
  })

  it('with connections cut at once is not connected to without pause', async () => {
    await using stage = await scene()
    await stage.channel.ready()
    stage.connection.socket.destroy()
    for (let i = 0; i < 5; i++) (await stage.guest.accept()).socket.destroy()
    const last = await stage.guest.accept()
    await last.next(FrameType.hello)
    last.hello()
    const signal = stage.channel.signal(9)
    const { sequence } = await last.next(FrameType.signal)
    last.send(FrameType.commandAck, { sequence })
    await signal
    expect(stage.guest.connections).to.equal(7)
  })

  /** For what it did, the clock must have come this far. */
  function expectHeldTo({ perSecond, burst }: Budget, work: number, { clock }: Scene): void {
    const lentMs = 1000 / 64
    expect(clock.now()).to.be.at.least(((work - burst) / perSecond) * 1000 - lentMs)
  }

  it('in any way whatever is read at the rate of its budget', async () => {
    const count = 50_000
    // All but what came in one piece with the answer.
    const counted = count - (64 * KIB) / FRAME_HEADER_BYTES
    const floods: ((guest: ScriptedConnection, i: number) => void)[] = [
      (guest) => guest.send(FrameType.limits, { position: 1 }),
      (guest, i) => guest.send(i % 2 ? FrameType.stdout : FrameType.stderr, { position: i }, Buffer.of(1))
    ]
    for (const sends of floods) {
      await using stage = await scene()
      for (let i = 0; i < count; i++) {
        sends(stage.connection, i)
        if (i % 1000 === 0) await new Promise(setImmediate)
      }
      const signal = stage.channel.signal(9)
      const { sequence } = await stage.connection.next(FrameType.signal)
      stage.connection.send(FrameType.commandAck, { sequence })
      await signal
      expectHeldTo(FRAME_BUDGET, counted, stage)
    }
  })

  it('with connections, each with a hello, pays for them', async () => {
    await using stage = await scene()
    await stage.channel.ready()
    const count = 40
    stage.connection.socket.destroy()
    for (let i = 0; i < count; i++) {
      const next = await stage.guest.accept()
      await next.next(FrameType.hello)
      next.hello()
      next.socket.end()
    }
    await (await stage.guest.accept()).next(FrameType.hello)
    expectHeldTo(FRAME_BUDGET, count * CONNECTION_WORK_FRAMES, stage)
  })

  it('and then is honest is served: the other side of the coin', async () => {
    await using stage = await scene({ commandsDone: 41, outputAcked: 7, outputProduced: 7 }, 7)
    const run = stage.channel.run({ argv: ['x'], env: {} })
    const { sequence } = await stage.connection.next(FrameType.run)
    expect(sequence).to.equal(42)
    stage.connection.send(FrameType.commandAck, { sequence })
    await run
    stage.connection.send(FrameType.stderr, { position: 7 }, Buffer.from('ok'))
    stage.connection.send(FrameType.exit, { position: 9 }, Buffer.of(1, 6))
    expect(await stage.listener.exited).to.deep.equal({ kind: 'signal', signal: 6 })
    expect((await stage.connection.next(FrameType.outputAck)).position).to.equal(9)
    await stage.guest.die()
    expect((await stage.channel.closed).code).to.equal('ERR_CHANNEL_CLOSED')
  })
})

describe('a guest that lies about sessions', function () {
  this.timeout(30_000)
  const program = { argv: ['cat'], env: {} }

  /** With one session, its first, open. */
  async function sessionScene(): Promise<Scene & { session: GuestSession }> {
    const stage = await scene()
    const opened = stage.channel.exec(program)
    await stage.connection.next(FrameType.exec)
    return { ...stage, session: await opened }
  }

  it('is thrown out, and whoever waits for the session is told', async () => {
    const lies: ((connection: ScriptedConnection) => void)[] = [
      (guest) => guest.send(FrameType.execStdout, { sequence: 2 }, Buffer.from('of another')),
      (guest) => guest.send(FrameType.execStdout, { sequence: 0 }, Buffer.from('of none')),
      (guest) => guest.send(FrameType.execStdout, { sequence: 1, position: 1 }, Buffer.from('too far')),
      (guest) => guest.send(FrameType.execStdout, { sequence: 1 }, Buffer.alloc(SESSION_WINDOW_BYTES + 1)),
      (guest) => guest.send(FrameType.execStdinAck, { sequence: 1, position: 1 }),
      (guest) => guest.send(FrameType.execStdinAck, { sequence: 1, position: 0 }),
      (guest) => guest.send(FrameType.execExit, { sequence: 1, position: 1 }, Buffer.of(0, 0)),
      (guest) => guest.send(FrameType.execExit, { sequence: 1 }, Buffer.of(2, 0)),
      (guest) => guest.send(FrameType.execExit, { sequence: 1 }, Buffer.of(1, 65)),
      (guest) => {
        for (let i = 0; i < 2; i++) guest.send(FrameType.execExit, { sequence: 1 }, Buffer.of(0, 0))
      },
      (guest) => {
        for (let position = 0; position < SESSION_WINDOW_BYTES; position++)
          guest.send(
            position % 2 === 0 ? FrameType.execStdout : FrameType.execStderr,
            { sequence: 1, position },
            Buffer.of(1)
          )
      }
    ]
    for (const lie of lies) {
      await using stage = await sessionScene()
      const ending = stage.session.exited.then(
        () => 'ended',
        (error: unknown) => (error as { code: string }).code
      )
      lie(stage.connection)
      await isThrownOut(stage)
      expect(await ending).to.be.oneOf(['ended', 'ERR_SESSION_LOST'])
      expect(await codeOf(() => stage.channel.exec(program))).to.equal('ERR_CHANNEL_FORMAT')
    }
  })

  it('by never ending them has no more of them, and waits alone', async () => {
    await using stage = await sessionScene()
    const others = Array.from({ length: SESSIONS_MAX - 1 }, () => stage.channel.exec(program))
    for (const other of await Promise.all(others)) other.close()
    stage.session.close()
    expect(await codeOf(() => stage.channel.exec(program))).to.equal('ERR_SESSION_LIMIT')
    stage.connection.send(FrameType.stdout, {}, Buffer.from('main'))
    await stage.listener.until((listener) => listener.text('stdout') === 'main')
    stage.connection.send(FrameType.execExit, { sequence: 1 }, Buffer.of(1, 9))
    await stage.session.exited
    await stage.channel.exec(program)
  })

  it('by never reading holds back who feeds a session, not the daemon', async () => {
    await using stage = await sessionScene()
    const stop = new AbortController()
    const feeding = codeOf(() => stage.session.stdin(Buffer.alloc(10 * SESSION_WINDOW_BYTES), stop.signal))
    const seen = await stage.connection.next(FrameType.execStdin)
    expect(seen.payload.length).to.be.at.most(SESSION_WINDOW_BYTES)
    stop.abort(new HostError('ERR_HOST_REQUEST', 'no longer'))
    expect(await feeding).to.equal('ERR_HOST_REQUEST')
  })

  it('by printing without end into them gets no more than its budget for all, read or closed', async () => {
    await using stage = await sessionScene()
    const second = await stage.channel.exec(program)
    second.close()
    const reading = (async () => {
      for await (const _ of stage.session.output());
    })()
    const total = 64 * MIB
    const block = Buffer.alloc(SESSION_WINDOW_BYTES)
    for (let position = 0; position < total / 2; position += block.length) {
      for (const sequence of [1, 2])
        stage.connection.send(FrameType.execStdout, { sequence, position }, block)
      const acks = [
        await stage.connection.next(FrameType.execOutputAck),
        await stage.connection.next(FrameType.execOutputAck)
      ]
      expect(acks.map((ack) => ack.position)).to.deep.equal([
        position + block.length,
        position + block.length
      ])
    }
    const { perSecond, burst } = SESSION_BUDGET
    expect(stage.clock.now()).to.be.at.least(((total - burst) / perSecond) * 1000 - 1000 / 64)
    stage.connection.send(FrameType.execExit, { sequence: 1, position: total / 2 }, Buffer.of(0, 0))
    await reading
  })

  it('with what crosses the end of a session is forgiven: output after it was closed, but not kept', async () => {
    await using stage = await sessionScene()
    stage.session.close()
    await stage.connection.next(FrameType.execClose)
    for (let i = 0; i < 100; i++) {
      const position = i * SESSION_WINDOW_BYTES
      stage.connection.send(
        FrameType.execStdout,
        { sequence: 1, position },
        Buffer.alloc(SESSION_WINDOW_BYTES)
      )
      const ack = await stage.connection.next(FrameType.execOutputAck)
      expect(ack.position).to.equal(position + SESSION_WINDOW_BYTES)
    }
    for await (const _ of stage.session.output()) expect.fail('output of a closed session')
  })
})
