/**
 * Attacker: a process that may connect to the daemon's socket, and is broken or means harm.
 * Asset: the daemon, its memory, its descriptors, and the servers of others.
 * Outcome: a refusal with a code; the daemon answers the next request as if nothing had been; nothing is stored.
 */
import { expect } from 'chai'
import { once, type EventEmitter } from 'node:events'
import { readdirSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { KIB, MIB } from '../../../src/constants.ts'
import { openHost, type OpenedHost } from '../../helpers/daemon/open-host.ts'
import { fakeArtifacts } from '../../helpers/daemon/fake-artifacts.ts'
import { openRequest, rawRequest, type RawAnswer, type RawRequest } from '../../helpers/daemon/raw-request.ts'
import { bytesOf, serverSpec, tarOf, textOf } from '../../helpers/daemon/server-spec.ts'
import { fakeLauncher } from '../../helpers/fake-launcher.ts'

describe('a hostile client of the host', () => {
  let opened: OpenedHost

  before(async () => {
    opened = await openHost({
      launcher: fakeLauncher(),
      artifacts: fakeArtifacts,
      config: { timing: { bodyIdleMs: 500 } }
    })
  })

  after(() => opened[Symbol.asyncDispose]())

  afterEach(async () => {
    expect((await opened.host.capacity()).architecture, 'it still answers').to.equal('x86_64')
    for (const { id } of await opened.host.list()) await opened.host.destroy(id)
  })

  const ask = (request: RawRequest): Promise<RawAnswer> => rawRequest(opened.socketPath, request)

  async function expectRefused(request: RawRequest, status: number, code: string): Promise<void> {
    const answer = await ask(request)
    expect([answer.status, answer.body.code], JSON.stringify(answer.body)).to.deep.equal([status, code])
    expect(answer.body.requestId).to.equal(answer.headers['x-request-id'])
    expect(answer.body.message).to.be.a('string').with.length.below(1000)
  }

  const create = (body: string | Uint8Array): RawRequest => ({ method: 'POST', path: '/v1/servers', body })

  describe('with bad requests', () => {
    it('is refused what is no JSON, no UTF-8, or no spec', async () => {
      for (const body of ['', '{', 'nonsense', '[]', 'null', '1', '"text"', '{"id":1}'])
        await expectRefused(create(body), 400, 'ERR_HOST_REQUEST')
      await expectRefused(create(Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)), 400, 'ERR_HOST_REQUEST')
    })

    it('is refused JSON that nests without end', async () => {
      for (const [open, close] of [
        ['[', ']'],
        ['{"a":', '}']
      ] as const) {
        const depth = Math.floor((250 * KIB) / (open.length + close.length))
        await expectRefused(create(open.repeat(depth) + close.repeat(depth)), 400, 'ERR_HOST_REQUEST')
        await expectRefused(create(open.repeat(depth)), 400, 'ERR_HOST_REQUEST')
      }
    })

    it('cannot reach prototypes', async () => {
      const body = JSON.stringify(serverSpec('true')).replace('{', '{"__proto__":{"isPolluted":true},')
      await expectRefused(create(body), 400, 'ERR_HOST_REQUEST')
      expect(({} as { isPolluted?: boolean }).isPolluted).to.equal(undefined)
    })

    it('is refused a body that is too long, said beforehand or not', async () => {
      const long = 'x'.repeat(300 * KIB)
      await expectRefused(create(long), 400, 'ERR_HOST_REQUEST')
      await expectRefused(
        { ...create(long), headers: { 'transfer-encoding': 'chunked' } },
        400,
        'ERR_HOST_REQUEST'
      )
      await expectRefused(
        { ...create(''), headers: { 'content-length': String(2 ** 45) } },
        400,
        'ERR_HOST_REQUEST'
      )
    })

    it('is refused paths that do not exist, methods that do not fit, and ids that are none', async () => {
      await expectRefused({ path: '/' }, 404, 'ERR_HOST_REQUEST')
      await expectRefused({ path: '/v1/servers/a/b/c' }, 404, 'ERR_HOST_REQUEST')
      await expectRefused({ path: '/v2/servers' }, 404, 'ERR_HOST_REQUEST')
      await expectRefused({ path: '/v1/servers', method: 'PATCH' }, 405, 'ERR_HOST_REQUEST')
      await expectRefused({ path: '/v1/servers/..%2f..%2f..%2fetc' }, 400, 'ERR_HOST_REQUEST')
      await expectRefused({ path: '/v1/servers/short' }, 400, 'ERR_HOST_REQUEST')
      await expectRefused({ path: `/v1/servers/${'a'.repeat(4000)}` }, 400, 'ERR_HOST_REQUEST')
      await expectRefused({ path: '/v1/servers/unknown-server-0123' }, 404, 'ERR_SERVER_UNKNOWN')
    })

    it('is refused parameters that are wrong, unknown, or given twice', async () => {
      const { id } = await opened.host.create(serverSpec('true'))
      for (const query of [
        'offset=-1',
        'offset=1.5',
        'offset=x',
        'offset=99999999999999999999',
        'follow=yes',
        'offset=0&offset=1',
        'other=1'
      ])
        await expectRefused({ path: `/v1/servers/${id}/output?${query}` }, 400, 'ERR_HOST_REQUEST')
    })

    it('is refused output beyond what there is', async () => {
      const { id } = await opened.host.create(serverSpec('true'))
      await expectRefused({ path: `/v1/servers/${id}/output?offset=1` }, 400, 'ERR_HOST_REQUEST')
      await expectRefused(
        { path: `/v1/servers/${id}/output?offset=999999999999999&follow=true` },
        400,
        'ERR_HOST_REQUEST'
      )
    })

    it('is refused signals and sizes that are none', async () => {
      const { id } = await opened.host.create(serverSpec('true'))
      for (const signal of [0, 65, -1, 1.5, '9', null])
        await expectRefused(
          { method: 'POST', path: `/v1/servers/${id}/signal`, body: JSON.stringify({ signal }) },
          400,
          'ERR_HOST_REQUEST'
        )
      await expectRefused(
        { method: 'POST', path: `/v1/servers/${id}/resize`, body: '{"columns":0,"rows":1}' },
        400,
        'ERR_HOST_REQUEST'
      )
    })

    it('is refused more input than fits one request, and none of it is taken', async () => {
      const spec = serverSpec('cat')
      await opened.host.create(spec)
      await opened.host.start(spec.id)
      const path = `/v1/servers/${spec.id}/stdin?offset=0`
      await expectRefused({ method: 'POST', path, body: new Uint8Array(MIB + 1) }, 400, 'ERR_HOST_REQUEST')
      expect((await opened.host.inspect(spec.id)).stdin.takenBytes).to.equal(0)
    })

    it('is not understood when it does not speak HTTP', async () => {
      const socket = createConnection(opened.socketPath)
      socket.on('error', () => undefined)
      socket.write('\x16\x03\x01 this is no HTTP\r\n\r\n')
      socket.resume()
      await once(socket, 'close')
    })
  })

  describe('that vanishes or dawdles', () => {
    function descriptors(): number {
      return readdirSync('/proc/self/fd').length
    }

    /** However that comes about. */
    const closed = (stream: EventEmitter): Promise<unknown> =>
      new Promise((resolve) => stream.once('close', resolve))

    const connected = (socket: Socket): Promise<unknown> =>
      new Promise((resolve) => socket.once('connect', resolve))

    async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
      while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10))
    }

    it('stores nothing of an upload that it gives up', async () => {
      const spec = serverSpec('ls')
      await opened.host.create(spec)
      const directory = join(opened.directory, 'state', 'servers', spec.id)
      const path = `/v1/servers/${spec.id}/files`
      const sending = openRequest(opened.socketPath, { method: 'PUT', path })
      sending.on('error', () => undefined)
      const tar = await bytesOf(tarOf({ a: new Uint8Array(200_000) }))
      sending.write(tar.subarray(0, 100_000))
      await until(async () => (await readdir(directory)).some((name) => name.endsWith('.part')))
      sending.destroy()
      await until(async () => !(await readdir(directory)).some((name) => name.endsWith('.part')))
      expect(await readdir(directory)).to.not.include('input.tar')
      await opened.host.putFiles(spec.id, tarOf({ b: '' }))
      await opened.host.start(spec.id)
      await opened.host.wait(spec.id)
      expect(textOf(await bytesOf(opened.host.output(spec.id, { offset: 0, follow: true })), 1)).to.equal(
        'b\n'
      )
    })

    it('is dropped when its upload stands still', async () => {
      const spec = serverSpec('ls')
      await opened.host.create(spec)
      const sending = openRequest(opened.socketPath, { method: 'PUT', path: `/v1/servers/${spec.id}/files` })
      sending.on('error', () => undefined)
      sending.write('some')
      await closed(sending)
      await opened.host.putFiles(spec.id, tarOf({}))
    })

    it('leaves no descriptor behind when it drops what it follows', async () => {
      const spec = serverSpec('echo here; exec sleep 1000')
      await opened.host.create(spec)
      await opened.host.start(spec.id)
      for await (const chunk of opened.host.output(spec.id, { offset: 0, follow: true }))
        if (chunk.length > 0) break
      const before = descriptors()
      for (const path of [
        `/v1/servers/${spec.id}/output?follow=true`,
        `/v1/events?follow=true`,
        `/v1/servers/${spec.id}/wait`
      ])
        for (let round = 0; round < 20; round++) {
          const following = openRequest(opened.socketPath, { path })
          following.on('error', () => undefined)
          following.end()
          if (path.endsWith('wait')) await once(following, 'finish')
          else await once(following, 'response')
          following.destroy()
        }
      await until(() => descriptors() <= before)
    })

    it('holds up nobody, and fills no memory, when it does not read', async () => {
      const bytes = 64 * MIB
      const spec = serverSpec(`head -c ${bytes} /dev/zero`, { limits: { outputBytesMax: bytes } })
      await opened.host.create(spec)
      await opened.host.start(spec.id)
      const before = process.memoryUsage().rss
      const idle = Array.from({ length: 20 }, () => {
        const following = openRequest(opened.socketPath, {
          path: `/v1/servers/${spec.id}/output?follow=true`
        })
        following.on('error', () => undefined)
        following.on('response', (response) => response.pause())
        following.end()
        return following
      })
      expect((await opened.host.wait(spec.id)).output.bytes).to.equal(bytes)
      expect(process.memoryUsage().rss - before).to.be.below(200 * MIB)
      for (const following of idle) following.destroy()
    }).timeout(60_000)

    it('gives its input up without harm to what comes after', async () => {
      const spec = serverSpec('sleep 0.5; cat')
      await opened.host.create(spec)
      await opened.host.start(spec.id)
      const path = `/v1/servers/${spec.id}/stdin?offset=0`
      const sending = openRequest(opened.socketPath, {
        method: 'POST',
        path,
        headers: { 'content-length': '100' }
      })
      sending.on('error', () => undefined)
      sending.write('half')
      await once(sending, 'socket')
      sending.destroy()
      await opened.host.stdin(spec.id, 0, Buffer.from('whole'), { end: true })
      await opened.host.wait(spec.id)
      expect(textOf(await bytesOf(opened.host.output(spec.id, { offset: 0, follow: true })), 1)).to.equal(
        'whole'
      )
    })

    it('may open too many connections, and others are served when it is gone', async () => {
      const sockets = Array.from({ length: 600 }, () => {
        const socket = createConnection(opened.socketPath)
        socket.on('error', () => undefined)
        return socket
      })
      await Promise.all(sockets.map((socket) => Promise.race([connected(socket), closed(socket)])))
      for (const socket of sockets) socket.destroy()
      await until(async () => (await opened.host.capacity().catch(() => undefined)) !== undefined)
    })
  })

  it('takes no more of the slice by asking at once than one after another', async () => {
    const specs = Array.from({ length: 30 }, () => serverSpec('true'))
    const results = await Promise.allSettled(specs.map((spec) => opened.host.create(spec)))
    expect(results.filter(({ status }) => status === 'fulfilled').length).to.equal(2)
    expect((await opened.host.capacity()).used.servers).to.equal(2)
    const stored = await readdir(join(opened.directory, 'state', 'servers'))
    expect(stored.length).to.equal(2)
  })
})
