import { expect } from 'chai'
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { codeOf } from '../helpers/errors.ts'
import {
  bytesOf,
  framesOf,
  serverSpec,
  tarOf,
  textOf,
  untar,
  untilOutput
} from '../helpers/daemon/server-spec.ts'
import type { HostServer, HostServerSpec, HostSession, RunHost } from '../../irun/host.ts'
import { diskShareBytes, grantableDiskBytes } from '../../soda-host/daemon/limits.ts'
import { MIB, SECOND_MS } from '../../src/constants.ts'
import { ruleSetOf } from '../helpers/tables.ts'

/** The slice of every host under test. */
export const SUITE_SLICE = { cpu: 1, memoryBytes: 512 * MIB, diskBytes: 512 * MIB, servers: 2 }

/** One implementation of RunHost, with {@link SUITE_SLICE} and an image `tiny` that has a shell. */
export interface RunHostUnderTest {
  open(): Promise<{ host: RunHost; kernelPath: string } & AsyncDisposable>
}

/** What every host promises to iRun. Call inside a `describe`. */
export function runHostSuite(underTest: RunHostUnderTest): void {
  const resources = new AsyncDisposableStack()
  let host: RunHost
  let kernelPath: string

  before(async () => {
    ;({ host, kernelPath } = resources.use(await underTest.open()))
  })

  after(() => resources.disposeAsync())

  afterEach(async () => {
    for (const { id } of await host.list()) await host.destroy(id)
  })

  async function run(spec: HostServerSpec): Promise<HostServer> {
    await host.create(spec)
    await host.start(spec.id)
    return host.wait(spec.id)
  }

  /** Started, and its program has said something: it runs. */
  async function running(
    script: string,
    changes: Parameters<typeof serverSpec>[1] = {}
  ): Promise<HostServerSpec> {
    const spec = serverSpec(`echo here; ${script}`, changes)
    await host.create(spec)
    await host.start(spec.id)
    for await (const chunk of host.output(spec.id, { offset: 0, follow: true })) if (chunk.length > 0) break
    return spec
  }

  function spoolOf(id: string): Promise<Buffer> {
    return bytesOf(host.output(id, { offset: 0, follow: true }))
  }

  describe('capacity and admission', () => {
    it('tells the slice, what is used of it, and the images', async () => {
      const { total, used, images, architecture } = await host.capacity()
      expect({ total, used, architecture }).to.deep.equal({
        total: SUITE_SLICE,
        used: { cpu: 0, memoryBytes: 0, diskBytes: 0, servers: 0 },
        architecture: 'x86_64'
      })
      const tiny = images.find(({ name }) => name === 'tiny')
      expect(tiny?.digest).to.match(/^sha256:[0-9a-f]{64}$/)
    })

    it('counts a server from its creation to its end', async () => {
      const spec = serverSpec('true')
      await host.create(spec)
      expect((await host.capacity()).used).to.deep.equal({
        cpu: spec.limits.cpu,
        memoryBytes: spec.limits.memoryBytes,
        // Its sealed log lies beside its disk.
        diskBytes: diskShareBytes(spec.limits.diskBytes),
        servers: 1
      })
      await host.start(spec.id)
      await host.wait(spec.id)
      expect((await host.capacity()).used.servers).to.equal(0)
    })

    it('refuses a third server, and says which limit is short', async () => {
      const specs = ['true', 'true', 'true'].map((script) => serverSpec(script))
      await host.create(specs[0]!)
      await host.create(specs[1]!)
      expect(await codeOf(() => host.create(specs[2]!))).to.equal('ERR_SLICE_FULL')
      await host.destroy(specs[0]!.id)
      expect((await host.create(specs[2]!)).state).to.equal('created')
    })

    it('refuses more of one thing than there is', async () => {
      const spec = serverSpec('true', { limits: { memoryBytes: SUITE_SLICE.memoryBytes + 1 } })
      expect(await codeOf(() => host.create(spec))).to.equal('ERR_SLICE_FULL')
    })

    it('keeps room for the log of each beside its disk', async () => {
      const diskBytes = grantableDiskBytes(SUITE_SLICE.diskBytes)
      const more = serverSpec('true', { limits: { diskBytes: diskBytes + 1 } })
      expect(await codeOf(() => host.create(more))).to.equal('ERR_SLICE_FULL')
      const most = serverSpec('true', { limits: { diskBytes } })
      expect((await host.create(most)).limits.diskBytes).to.equal(diskBytes)
    })

    it('refuses an image that it does not have', async () => {
      expect(await codeOf(() => host.create(serverSpec('true', { image: 'no-such-image' })))).to.equal(
        'ERR_IMAGE_UNKNOWN'
      )
    })

    it('takes an image by its digest', async () => {
      const image = (await host.capacity()).images.find(({ name }) => name === 'tiny')!.digest
      expect((await run(serverSpec('exit 4', { image }))).exit).to.deep.equal({ kind: 'status', status: 4 })
    })

    it('answers the same spec again with the same server, and another spec with a refusal', async () => {
      const spec = serverSpec('true')
      const first = await host.create(spec)
      expect(await host.create(spec)).to.deep.equal(first)
      expect((await host.list()).length).to.equal(1)
      const other = { ...spec, owner: 'somebody else' }
      expect(await codeOf(() => host.create(other))).to.equal('ERR_SERVER_EXISTS')
    })
  })

  describe('a program from start to end', () => {
    it('tells the exit status, and when it was', async () => {
      const server = await run(serverSpec('exit 7'))
      expect(server.state).to.equal('exited')
      expect(server.exit).to.deep.equal({ kind: 'status', status: 7 })
      expect(server.reason).to.equal(undefined)
      expect(server.createdAtMs).to.be.at.most(server.startedAtMs!)
      expect(server.startedAtMs).to.be.at.most(server.endedAtMs!)
    })

    it('tells the end by signal', async () => {
      const server = await run(serverSpec('kill -KILL $$'))
      expect(server.exit).to.deep.equal({ kind: 'signal', signal: constants.signals.SIGKILL })
    })

    it('spools output and errors as frames, in order', async () => {
      const server = await run(serverSpec('echo out; echo err >&2'))
      const spool = await spoolOf(server.id)
      expect(textOf(spool, 1)).to.equal('out\n')
      expect(textOf(spool, 2)).to.equal('err\n')
      expect(server.output).to.deep.equal({ bytes: 8, discardedBytes: 0 })
      expect(framesOf(spool).every(({ stream }) => stream === 1 || stream === 2)).to.equal(true)
    })

    it('gives the spool again from any offset', async () => {
      const { id } = await run(serverSpec('i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done'))
      const whole = await spoolOf(id)
      for (const offset of [0, 1, 4, 5, 777, whole.length - 1, whole.length]) {
        const rest = await bytesOf(host.output(id, { offset, follow: true }))
        expect(rest.equals(whole.subarray(offset)), `from ${offset}`).to.equal(true)
      }
    })

    it('follows output while it is written, and ends when the program has', async () => {
      const { id } = await running('read line; echo "got $line"')
      const following = spoolOf(id)
      await host.stdin(id, 0, Buffer.from('more\n'), { end: true })
      expect(textOf(await following, 1)).to.equal('here\ngot more\n')
    })

    it('does not wait without follow', async () => {
      const { id } = await running('read line')
      expect(textOf(await bytesOf(host.output(id, { offset: 0, follow: false })), 1)).to.equal('here\n')
    })

    it('keeps output up to its limit, then counts what it throws away', async () => {
      const server = await run(serverSpec('head -c 100000 /dev/zero', { limits: { outputBytesMax: 1000 } }))
      expect(server.output).to.deep.equal({ bytes: 1000, discardedBytes: 99_000 })
      expect(textOf(await spoolOf(server.id), 1).length).to.equal(1000)
    })

    it('starts a program once, however often it is told to', async () => {
      const spec = serverSpec('echo once; read line')
      await host.create(spec)
      await Promise.all([host.start(spec.id), host.start(spec.id)])
      await host.stdin(spec.id, 0, new Uint8Array(), { end: true })
      await host.wait(spec.id)
      expect((await host.start(spec.id)).state).to.equal('exited')
      expect(textOf(await spoolOf(spec.id), 1)).to.equal('once\n')
    })

    it('fails a program that does not exist with status 127', async () => {
      const server = await run(serverSpec({ argv: ['no-such-program'], env: {} }))
      expect(server.exit).to.deep.equal({ kind: 'status', status: 127 })
    })

    it('passes arguments and environment unharmed', async () => {
      const word = 'a b\'c"d\\e\nf$g ü'
      const argv = ['sh', '-c', 'printf "%s|%s" "$1" "$VALUE"', 'sh', word]
      const { id } = await run(serverSpec({ argv, env: { VALUE: word } }))
      expect(textOf(await spoolOf(id), 1)).to.equal(`${word}|${word}`)
    })
  })

  describe('a kernel of its own', () => {
    const digestOf = (bytes: Uint8Array): string =>
      `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    const kernelOf = (bytes: Uint8Array, digest = digestOf(bytes)) => ({ digest, chunks: pieces(bytes) })

    it('boots, once it has been put, and not before', async () => {
      const kernel = await readFile(kernelPath)
      const spec = serverSpec('exit 5', { hasOwnKernel: true })
      expect(await host.create(spec)).to.not.have.property('kernel')
      expect(await codeOf(() => host.start(spec.id))).to.equal('ERR_SERVER_STATE')
      expect((await host.putKernel(spec.id, kernelOf(kernel))).kernel).to.equal(digestOf(kernel))
      await host.start(spec.id)
      const { exit, kernel: booted } = await host.wait(spec.id)
      expect(exit).to.deep.equal({ kind: 'status', status: 5 })
      expect(booted).to.equal(digestOf(kernel))
    })

    it('is refused when one byte of it is another, or it is cut, and then nothing boots', async () => {
      const kernel = await readFile(kernelPath)
      const changed = Buffer.from(kernel)
      changed[kernel.length >> 1] = (changed[kernel.length >> 1] ?? 0) ^ 1
      const spec = serverSpec('true', { hasOwnKernel: true })
      await host.create(spec)
      for (const bytes of [changed, kernel.subarray(0, -1), Buffer.alloc(0)])
        expect(await codeOf(() => host.putKernel(spec.id, kernelOf(bytes, digestOf(kernel))))).to.equal(
          'ERR_KERNEL_DIGEST'
        )
      expect(await codeOf(() => host.start(spec.id))).to.equal('ERR_SERVER_STATE')
    })

    it('is taken before the start only, and only for a server that has one', async () => {
      const kernel = await readFile(kernelPath)
      const { id } = await running('read line')
      expect(await codeOf(() => host.putKernel(id, kernelOf(kernel)))).to.equal('ERR_SERVER_STATE')
      const common = serverSpec('true')
      await host.create(common)
      expect(await codeOf(() => host.putKernel(common.id, kernelOf(kernel)))).to.equal('ERR_SERVER_STATE')
    })
  })

  describe('rules for its own kernel', () => {
    const { bytes, digest } = ruleSetOf(1)
    const ruleset = { digest, sizeBytes: bytes.length }

    it('are put once for all servers that take them, before these boot', async () => {
      const spec = serverSpec('true', { hasOwnKernel: true, ruleset })
      const created = await host.create(spec)
      expect(created).to.deep.include({ ruleset }).and.not.have.property('hasRuleset')
      const kernel = await readFile(kernelPath)
      const kernelDigest = `sha256:${createHash('sha256').update(kernel).digest('hex')}`
      await host.putKernel(spec.id, { digest: kernelDigest, chunks: pieces(kernel) })
      expect(await codeOf(() => host.start(spec.id))).to.equal('ERR_SERVER_STATE')
      expect((await host.putRuleset(spec.id, pieces(bytes))).hasRuleset).to.equal(true)
      const other = await host.create(serverSpec('true', { hasOwnKernel: true, ruleset }))
      expect(other.hasRuleset).to.equal(true)
      await host.start(spec.id)
      expect((await host.wait(spec.id)).state).to.equal('exited')
    })

    it('are refused when they are others', async () => {
      const { id } = await host.create(serverSpec('true', { hasOwnKernel: true, ruleset }))
      expect(await codeOf(() => host.putRuleset(id, pieces(ruleSetOf(2).bytes)))).to.equal(
        'ERR_RULESET_DIGEST'
      )
    })
  })

  describe('files', () => {
    it('brings input files to the program and its output files back', async () => {
      const content = randomBytes(300_000)
      const spec = serverSpec(
        'mkdir "$ISHARE_OUT/deep"; cat data/in.bin > "$ISHARE_OUT/deep/out.bin"; : > "$ISHARE_OUT/empty"'
      )
      await host.create(spec)
      await host.putFiles(spec.id, tarOf({ data: undefined, 'data/in.bin': content }))
      await host.start(spec.id)
      const server = await host.wait(spec.id)
      expect(server.exit).to.deep.equal({ kind: 'status', status: 0 })
      const tar = await bytesOf(host.files(spec.id))
      expect(tar.length).to.equal(server.files?.bytes)
      const files = await untar(host.files(spec.id))
      expect([...files.keys()].sort()).to.deep.equal(['deep', 'deep/out.bin', 'empty'])
      expect(files.get('deep/out.bin')?.equals(content)).to.equal(true)
    })

    it('replaces the files of an earlier upload', async () => {
      const spec = serverSpec('ls')
      await host.create(spec)
      await host.putFiles(spec.id, tarOf({ first: '1' }))
      await host.putFiles(spec.id, tarOf({ second: '2' }))
      await host.start(spec.id)
      await host.wait(spec.id)
      expect(textOf(await spoolOf(spec.id), 1)).to.equal('second\n')
    })

    it('keeps the earlier files when an upload is refused', async () => {
      const spec = serverSpec('ls')
      await host.create(spec)
      await host.putFiles(spec.id, tarOf({ first: '1' }))
      expect(await codeOf(() => host.putFiles(spec.id, tarOf({ good: '2', '../bad': '3' })))).to.equal(
        'ERR_FILES_FORMAT'
      )
      await host.start(spec.id)
      await host.wait(spec.id)
      expect(textOf(await spoolOf(spec.id), 1)).to.equal('first\n')
    })

    it('refuses more files than the disk holds', async () => {
      const spec = serverSpec('true', { limits: { diskBytes: 16 * MIB } })
      await host.create(spec)
      const tooMuch = tarOf({ big: new Uint8Array(17 * MIB) })
      expect(await codeOf(() => host.putFiles(spec.id, tooMuch))).to.equal('ERR_FILES_LIMIT')
    })

    it('takes no files after the start, and gives none before the end', async () => {
      const { id } = await running('read line')
      expect(await codeOf(() => host.putFiles(id, tarOf({ late: '' })))).to.equal('ERR_SERVER_STATE')
      expect(await codeOf(() => bytesOf(host.files(id)))).to.equal('ERR_SERVER_STATE')
    })
  })

  describe('standard input', () => {
    it('passes input through, whole and in order', async () => {
      const { id } = await running('cat')
      const data = randomBytes(3 * MIB)
      let offset = 0
      while (offset < data.length)
        offset = await host.stdin(id, offset, data.subarray(offset, offset + 700_000))
      expect(offset).to.equal(data.length)
      expect(await host.stdin(id, offset, new Uint8Array(), { end: true })).to.equal(offset)
      const { stdin } = await host.wait(id)
      expect(stdin).to.deep.equal({ takenBytes: data.length, ended: true })
      const frames = framesOf(await spoolOf(id)).map((frame) => frame.data)
      expect(Buffer.concat(frames).equals(Buffer.concat([Buffer.from('here\n'), data]))).to.equal(true)
    })

    it('refuses input at another place than where it stands', async () => {
      const { id } = await running('cat')
      await host.stdin(id, 0, Buffer.from('12345'))
      for (const offset of [0, 4, 6])
        expect(await codeOf(() => host.stdin(id, offset, Buffer.from('x')))).to.equal('ERR_SERVER_STATE')
      expect((await host.inspect(id)).stdin.takenBytes).to.equal(5)
    })

    it('waits with input for a program that is still to be started', async () => {
      const spec = serverSpec('cat')
      await host.create(spec)
      const taken = host.stdin(spec.id, 0, Buffer.from('early'), { end: true })
      await host.start(spec.id)
      expect(await taken).to.equal(5)
      await host.wait(spec.id)
      expect(textOf(await spoolOf(spec.id), 1)).to.equal('early')
    })

    it('refuses input when the program has ended', async () => {
      const { id } = await run(serverSpec('true'))
      expect(await codeOf(() => host.stdin(id, 0, Buffer.from('late')))).to.equal('ERR_SERVER_STATE')
    })
  })

  describe('programs beside the main one', () => {
    const beside = (script: string) => ({ argv: ['sh', '-c', script], env: {} })

    async function resultOf(
      session: HostSession
    ): Promise<{ stdout: string; stderr: string; exit: unknown }> {
      const text = { stdout: '', stderr: '' }
      for await (const { stream, data } of session.output) text[stream] += Buffer.from(data).toString()
      return { ...text, exit: await session.exited }
    }

    it('have streams and a status of their own, and end without the main one', async () => {
      const { id } = await running('cat')
      const session = await host.exec(id, beside('echo out; echo err >&2; cat; exit 7'))
      await session.stdin(Buffer.from('in\n'), { end: true })
      expect(await resultOf(session)).to.deep.equal({
        stdout: 'out\nin\n',
        stderr: 'err\n',
        exit: { kind: 'status', status: 7 }
      })
      await host.stdin(id, 0, Buffer.from('still here\n'), { end: true })
      expect((await host.wait(id)).exit).to.deep.equal({ kind: 'status', status: 0 })
      expect(textOf(await spoolOf(id), 1)).to.equal('here\nstill here\n')
    })

    it('are signalled, and killed when they are closed', async () => {
      const { id } = await running('exec sleep 1000')
      const signalled = await host.exec(
        id,
        beside('trap "exit 9" USR1; echo armed; while :; do sleep 0.05; done')
      )
      let isArmed = false
      for await (const { data } of signalled.output) {
        if (isArmed || data.length === 0) continue
        isArmed = true
        await signalled.signal(constants.signals.SIGUSR1)
      }
      expect(await signalled.exited).to.deep.equal({ kind: 'status', status: 9 })
      const mark = `sleep 77${randomBytes(3).readUIntBE(0, 3)}`
      const closed = await host.exec(id, beside(`echo ready; exec ${mark}`))
      for await (const { data } of closed.output) if (data.length > 0) break
      expect(await codeOf(() => closed.exited)).to.equal('ERR_SESSION_LOST')
      const script = `while ps -o args | grep "^${mark}"; do sleep 0.05; done; echo none`
      expect((await resultOf(await host.exec(id, beside(script)))).stdout).to.match(/none\n$/)
    })

    it('are refused where no program runs, and end with it', async () => {
      const idle = serverSpec('true')
      await host.create(idle)
      expect(await codeOf(() => host.exec(idle.id, beside('true')))).to.equal('ERR_SERVER_STATE')
      expect(await codeOf(() => host.exec('nobody-knows-this', beside('true')))).to.equal(
        'ERR_SERVER_UNKNOWN'
      )
      const { id } = await running('cat')
      const session = await host.exec(id, beside('exec sleep 1000'))
      await host.stdin(id, 0, Buffer.alloc(0), { end: true })
      await host.wait(id)
      // Killed by the guest, or gone with it before it could say so.
      await resultOf(session).then(
        ({ exit }) => expect(exit).to.deep.equal({ kind: 'signal', signal: 9 }),
        (error: unknown) => expect(error).to.have.property('code', 'ERR_SESSION_LOST')
      )
    })
  })

  describe('signals, terminals and ends before time', () => {
    it('passes a signal to the program', async () => {
      const { id } = await running('trap "echo caught; exit 9" USR1; while :; do sleep 0.05; done')
      // The shell says that it is here before it sets its trap; until then the signal would end it.
      const spec = serverSpec('trap "echo caught; exit 9" USR1; echo armed; while :; do sleep 0.05; done')
      await host.destroy(id)
      await host.create(spec)
      await host.start(spec.id)
      for await (const chunk of host.output(spec.id, { offset: 0, follow: true })) if (chunk.length > 0) break
      await host.signal(spec.id, constants.signals.SIGUSR1)
      expect((await host.wait(spec.id)).exit).to.deep.equal({ kind: 'status', status: 9 })
    })

    it('refuses a signal when no program runs', async () => {
      const spec = serverSpec('true')
      await host.create(spec)
      expect(await codeOf(() => host.signal(spec.id, 15))).to.equal('ERR_SERVER_STATE')
    })

    it('gives a program a terminal of the size asked for', async () => {
      const program = { argv: ['sh', '-c', 'stty size'], env: {}, terminal: { columns: 91, rows: 17 } }
      const { id } = await run(serverSpec(program))
      expect(textOf(await spoolOf(id), 1).trim()).to.equal('17 91')
    })

    it('stops with TERM, collects the files, and says so', async () => {
      const { id } = await running(
        'trap "echo late > $ISHARE_OUT/late; exit 3" TERM; echo armed; while :; do sleep 0.05; done'
      )
      await untilOutput(host, id, 'armed')
      await host.stop(id, { graceMs: 60_000 })
      const server = await host.wait(id)
      expect(server.state).to.equal('exited')
      expect(server.exit).to.deep.equal({ kind: 'status', status: 3 })
      expect(server.reason?.code).to.equal('stopped')
      expect([...(await untar(host.files(id))).keys()]).to.deep.equal(['late'])
    })

    it('stops with KILL what does not hear TERM', async () => {
      const { id } = await running('trap "" TERM; echo armed; while :; do sleep 0.05; done')
      await untilOutput(host, id, 'armed')
      await host.stop(id, { graceMs: 100 })
      const server = await host.wait(id)
      expect(server.exit).to.deep.equal({ kind: 'signal', signal: constants.signals.SIGKILL })
      expect(server.reason?.code).to.equal('stopped')
    })

    it('stops at once when a second stop has no patience', async () => {
      const { id } = await running('trap "" TERM; echo armed; while :; do sleep 0.05; done')
      await untilOutput(host, id, 'armed')
      await host.stop(id, { graceMs: 3_600_000 })
      await host.stop(id, { graceMs: 0 })
      expect((await host.wait(id)).exit).to.deep.equal({ kind: 'signal', signal: constants.signals.SIGKILL })
    })

    it('fails a server that is stopped before it was started, and frees its slice', async () => {
      const spec = serverSpec('true')
      await host.create(spec)
      await host.stop(spec.id)
      const server = await host.wait(spec.id)
      expect(server.state).to.equal('failed')
      expect(server.reason?.code).to.equal('stopped')
      expect(server.exit).to.equal(undefined)
      expect((await host.capacity()).used.servers).to.equal(0)
    })

    it('does nothing when what has ended is stopped', async () => {
      const { id } = await run(serverSpec('exit 2'))
      await host.stop(id)
      expect((await host.inspect(id)).reason).to.equal(undefined)
    })

    it('ends the program when the lease expires', async () => {
      const spec = serverSpec('exec sleep 1000', { expiresAtMs: Date.now() + 2 * SECOND_MS })
      const server = await run(spec)
      expect(server.state).to.equal('exited')
      expect(server.exit).to.deep.equal({ kind: 'signal', signal: constants.signals.SIGTERM })
      expect(server.reason?.code).to.equal('lease-expired')
    })

    it('fails a server whose lease expires before it is started', async () => {
      const spec = serverSpec('true', { expiresAtMs: Date.now() + 200 })
      await host.create(spec)
      const server = await host.wait(spec.id)
      expect(server.state).to.equal('failed')
      expect(server.reason?.code).to.equal('lease-expired')
    })
  })

  describe('destroying', () => {
    it('removes an ended server and its results', async () => {
      const { id } = await run(serverSpec('echo out'))
      await host.destroy(id)
      expect(await host.list()).to.deep.equal([])
      for (const call of [
        () => host.inspect(id),
        () => host.wait(id),
        () => host.start(id),
        () => bytesOf(host.files(id)),
        () => spoolOf(id)
      ])
        expect(await codeOf(call)).to.equal('ERR_SERVER_UNKNOWN')
    })

    it('kills a program that runs', async () => {
      const { id } = await running('trap "" TERM; exec sleep 1000')
      const waiting = codeOf(() => host.wait(id))
      await host.destroy(id)
      expect(await waiting).to.equal('ERR_SERVER_UNKNOWN')
      expect((await host.capacity()).used.servers).to.equal(0)
    })

    it('removes a server that is just booting', async () => {
      const spec = serverSpec('sleep 1000')
      await host.create(spec)
      await host.start(spec.id)
      await host.destroy(spec.id)
      expect(await host.list()).to.deep.equal([])
    })

    it('does nothing for an id that it does not know', async () => {
      await host.destroy('no-such-server-here')
    })

    it('removes results when their time is over', async () => {
      const expiresAtMs = Date.now() + 1500
      const spec = serverSpec('true', { expiresAtMs, keepUntilMs: expiresAtMs })
      await run(spec)
      while ((await host.list()).length > 0) await new Promise((resolve) => setTimeout(resolve, 50))
    })
  })

  describe('patience', () => {
    it('ends a call that its caller gives up', async () => {
      const { id } = await running('read line')
      for (const call of [
        (signal: AbortSignal) => host.wait(id, signal),
        (signal: AbortSignal) => bytesOf(host.output(id, { offset: 0, follow: true, signal }))
      ]) {
        const abort = new AbortController()
        const calling = codeOf(() => call(abort.signal))
        abort.abort(new DOMException('enough', 'AbortError'))
        expect(await calling).to.be.oneOf([20, 'AbortError', 'ABORT_ERR'])
      }
    })
  })
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += MIB) yield bytes.subarray(at, at + MIB)
}
