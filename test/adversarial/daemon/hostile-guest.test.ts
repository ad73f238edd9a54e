/**
 * Attacker: the whole guest, its kernel and init included, which may say anything on the channel, or nothing.
 * Asset: the host's files, disk and memory, the slice, and what is told about the run.
 * Outcome: the server ends with a code that says why; no guest is left, the slice is free, no file is outside its
 * place, and what was honest of it (exit, output) is kept.
 */
import { expect } from 'chai'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { DaemonTiming } from '../../../soda-host/daemon/limits.ts'
import type { GuestFile, ServerListener } from '../../../soda-host/virtual-server/types.ts'
import { KIB, MIB } from '../../../src/constants.ts'
import { HostError } from '../../../src/errors.ts'
import { openHost, type OpenedHost } from '../../helpers/daemon/open-host.ts'
import { fakeArtifacts } from '../../helpers/daemon/fake-artifacts.ts'
import {
  scriptedLauncher,
  type ScriptedGuest,
  type ScriptedLauncher
} from '../../helpers/daemon/scripted-launcher.ts'
import { bytesOf, serverSpec, textOf } from '../../helpers/daemon/server-spec.ts'
import { HurriedClock } from '../../helpers/hurried-clock.ts'
import { DISCARD_BUDGET } from '../../../soda-host/resources/host-work.ts'
import { codeOf } from '../../helpers/errors.ts'
import type { HostServer, HostServerSpec } from '../../../irun/host.ts'

describe('a hostile guest', () => {
  let opened: OpenedHost
  let launcher: ScriptedLauncher

  afterEach(async () => {
    expect(launcher.living(), 'guests that are left').to.equal(0)
    expect((await opened.host.capacity()).used.servers).to.equal(0)
    for (const { id } of await opened.host.list()) await opened.host.destroy(id)
    expect(await readdir(join(opened.directory, 'state', 'servers'))).to.deep.equal([])
    await opened[Symbol.asyncDispose]()
  })

  async function begin(
    script: ScriptedGuest,
    {
      timing = {},
      workClock,
      ...changes
    }: { timing?: Partial<DaemonTiming>; workClock?: HurriedClock } & Parameters<typeof serverSpec>[1] = {}
  ): Promise<HostServerSpec> {
    launcher = scriptedLauncher(script)
    opened = await openHost({
      launcher,
      artifacts: fakeArtifacts,
      config: { timing },
      ...(workClock && { workClock })
    })
    const spec = serverSpec('anything', changes)
    await opened.host.create(spec)
    await opened.host.start(spec.id)
    return spec
  }

  async function ends(...args: Parameters<typeof begin>): Promise<HostServer> {
    const { id } = await begin(...args)
    return opened.host.wait(id)
  }

  async function exits(listener: ServerListener, said = ''): Promise<void> {
    if (said !== '') await listener.output('stdout', Buffer.from(said), 0)
    await listener.programExited({ kind: 'status', status: 0 })
  }

  const running = (id: string): Promise<unknown> =>
    (async () => {
      for await (const event of opened.host.events({ follow: true }))
        if (event.id === id && event.kind === 'running') return
    })()

  const file = (changes: Partial<GuestFile>): GuestFile => ({
    path: 'a',
    mode: 0o644,
    sizeBytes: 1,
    kind: 'file',
    content: bytes('x'),
    ...changes
  })

  async function* bytes(text: string): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text)
  }

  const never = (): Promise<never> => new Promise(() => undefined)

  describe('with its files', () => {
    const hands = (...files: GuestFile[]): ScriptedGuest => ({
      run: (listener) => exits(listener, 'honest'),
      async *getFiles() {
        yield* files
      }
    })

    async function expectRefused(server: HostServer, code: string): Promise<void> {
      expect([server.state, server.reason?.code]).to.deep.equal(['failed', code])
      expect(server.exit).to.deep.equal({ kind: 'status', status: 0 })
      expect(server.files).to.equal(undefined)
      expect(textOf(await bytesOf(opened.host.output(server.id, { offset: 0, follow: true })), 1)).to.equal(
        'honest'
      )
      expect(await codeOf(() => bytesOf(opened.host.files(server.id)))).to.equal('ERR_SERVER_STATE')
      const stored = await readdir(join(opened.directory, 'state', 'servers', server.id))
      expect(stored.sort()).to.deep.equal(['log', 'output'])
    }

    for (const path of ['../../../etc/cron.d/x', '/etc/passwd', 'a/../../b', 'a\0b', '', 'x'.repeat(5000)])
      it(`cannot name one ${JSON.stringify(path.slice(0, 20))}`, async () => {
        await expectRefused(await ends(hands(file({ path }))), 'ERR_FILES_FORMAT')
      })

    it('cannot say one size and send another', async () => {
      await expectRefused(await ends(hands(file({ sizeBytes: 5 }))), 'ERR_FILES_FORMAT')
    })

    it('cannot send more than its disk', async () => {
      const sizeBytes = 10 * MIB
      const many = Array.from({ length: 10 }, (_, index) =>
        file({ path: `f${index}`, sizeBytes, content: zeros(sizeBytes) })
      )
      await expectRefused(await ends(hands(...many)), 'ERR_FILES_LIMIT')
    })

    it('cannot send entries without end, and they fill no memory', async () => {
      let sent = 0
      const before = process.memoryUsage().rss
      const server = await ends({
        run: (listener) => exits(listener, 'honest'),
        async *getFiles() {
          for (;;) yield file({ path: `${'d'.repeat(100)}/${sent++}`, sizeBytes: 0, content: bytes('') })
        }
      })
      await expectRefused(server, 'ERR_FILES_LIMIT')
      expect(sent).to.be.below(110_000)
      expect(process.memoryUsage().rss - before).to.be.below(250 * MIB)
    }).timeout(120_000)

    it('cannot keep its slice by never sending them', async () => {
      const server = await ends(
        {
          run: (listener) => exits(listener, 'honest'),
          async *getFiles(signal) {
            await new Promise((_, reject) =>
              signal?.addEventListener('abort', () => reject(signal.reason as Error))
            )
            yield file({})
          }
        },
        { timing: { collectMs: 200 } }
      )
      await expectRefused(server, 'guest-silent')
    })

    it('cannot hide how it died by dying over them', async () => {
      const dead = Promise.withResolvers<undefined>()
      const server = await ends({
        async run(listener, die) {
          await exits(listener, 'honest')
          void dead.promise.then(() => die({ kind: 'panic', detail: 'out of memory' }))
        },
        async *getFiles() {
          dead.resolve(undefined)
          yield file({})
          throw new HostError('ERR_CHANNEL_CLOSED', 'the guest is gone')
        }
      })
      await expectRefused(server, 'guest-panic')
    })

    async function* zeros(length: number): AsyncGenerator<Uint8Array> {
      for (let left = length; left > 0; left -= 64 * KIB) yield new Uint8Array(Math.min(left, 64 * KIB))
    }
  })

  describe('with its output', () => {
    it('fills neither disk nor memory with a gigabyte beyond its limit; all of it is counted, at a bounded rate', async () => {
      const clock = new HurriedClock()
      const cpu = 0.5
      const chunk = new Uint8Array(64 * KIB)
      const total = 1024 * MIB
      let peak = 0
      const before = process.memoryUsage().rss
      const server = await ends(
        {
          async run(listener) {
            for (let offset = 0; offset < total; offset += chunk.length) {
              await listener.output('stdout', chunk, offset)
              peak = Math.max(peak, process.memoryUsage.rss() - before)
            }
            await exits(listener)
          }
        },
        { workClock: clock, limits: { cpu, outputBytesMax: MIB } }
      )
      const { perSecond, burst } = DISCARD_BUDGET
      expect(clock.now()).to.be.at.least((((total - 2 * MIB - burst) / perSecond) * 1000) / cpu)
      expect(server.state).to.equal('exited')
      expect(server.output).to.deep.equal({ bytes: MIB, discardedBytes: total - MIB })
      const path = join(opened.directory, 'state', 'servers', server.id, 'output')
      expect((await stat(path)).size).to.be.below(2 * MIB)
      expect(peak).to.be.below(150 * MIB)
    }).timeout(180_000)

    it('gains nothing by offsets that are wrong', async () => {
      const server = await ends({
        async run(listener) {
          await listener.output('stdout', Buffer.from('honest'), 0)
          for (const offset of [-1, Number.NaN, 1.5, 2 ** 60])
            expect(await codeOf(() => listener.output('stdout', Buffer.from('bad'), offset))).to.equal(
              'ERR_CHANNEL_FORMAT'
            )
          await listener.output('stdout', Buffer.from('again!'), 0)
          await exits(listener)
        }
      })
      expect(server.output).to.deep.equal({ bytes: 6, discardedBytes: 0 })
    })
  })

  describe('with the life of its program', () => {
    it('cannot end twice, or change how it ended', async () => {
      const server = await ends({
        async run(listener) {
          await listener.programExited({ kind: 'status', status: 3 })
          await listener.programExited({ kind: 'status', status: 0 })
        }
      })
      expect(server.exit).to.deep.equal({ kind: 'status', status: 3 })
    })

    it('cannot say that a program ended which was not started', async () => {
      const holder: { listener?: ServerListener } = {}
      const { id } = await begin({
        run: async (listener) => {
          holder.listener = listener
        }
      })
      await running(id)
      await opened.host.stop(id, { graceMs: 0 })
      while (holder.listener === undefined) await new Promise((resolve) => setTimeout(resolve, 5))
      await holder.listener.programExited({ kind: 'signal', signal: 9 })
      expect((await opened.host.wait(id)).reason?.code).to.equal('stopped')
    })

    it('cannot make the host wait by taking no signal', async () => {
      const { id } = await begin(
        { run: async () => undefined, signal: never },
        { timing: { killPatienceMs: 100 } }
      )
      await running(id)
      await opened.host.stop(id, { graceMs: 50 })
      const server = await opened.host.wait(id)
      expect([server.state, server.reason?.code]).to.deep.equal(['failed', 'stopped'])
    })

    it('cannot outlive its lease by never starting its program', async () => {
      const { id } = await begin(
        { run: never, signal: never },
        { expiresAtMs: Date.now() + 300, timing: { stopGraceMs: 50, killPatienceMs: 50 } }
      )
      const server = await opened.host.wait(id)
      expect([server.state, server.reason?.code]).to.deep.equal(['failed', 'lease-expired'])
    })

    it('cannot hold its slice by never becoming ready', async () => {
      const { id } = await begin({ run: async () => undefined, ready: never })
      await opened.host.stop(id)
      const server = await opened.host.wait(id)
      expect([server.state, server.reason?.code]).to.deep.equal(['failed', 'stopped'])
    })

    it('cannot hold its slice by not powering off', async () => {
      const server = await ends(
        { run: (listener) => exits(listener, 'said'), powerOff: never },
        { timing: { powerOffMs: 100 } }
      )
      expect(server.state).to.equal('exited')
    })

    it('cannot be destroyed too early or too late to be gone', async () => {
      const { id } = await begin({ run: never, signal: never, powerOff: never })
      await opened.host.destroy(id)
      expect(launcher.living()).to.equal(0)
    })
  })

  describe('with its input', () => {
    it('does not confuse the host by saying that it took what nobody sent', async () => {
      const holder: { listener?: ServerListener } = {}
      const { id } = await begin({
        run: async (listener) => {
          holder.listener = listener
          for (const offset of [-5, Number.NaN, Infinity, 0.5]) listener.stdinTaken(offset)
          listener.stdinTaken(7)
          listener.stdinTaken(3)
        }
      })
      await running(id)
      while (holder.listener === undefined) await new Promise((resolve) => setTimeout(resolve, 5))
      expect((await opened.host.inspect(id)).stdin.takenBytes).to.equal(7)
      expect(await codeOf(() => opened.host.stdin(id, 0, Buffer.from('x')))).to.equal('ERR_SERVER_STATE')
      await opened.host.destroy(id)
    })
  })
})
