import { expect } from 'chai'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import tar, { type Header } from 'tar-stream'
import { storedFiles, storeGuestFiles, storeTar } from '../../../soda-host/daemon/files-tar.ts'
import type { GuestFile } from '../../../soda-host/virtual-server/types.ts'
import { bytesOf, tarOf, untar } from '../../helpers/daemon/server-spec.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const never = new AbortController().signal

describe('a tar at the border', () => {
  let resources: AsyncDisposableStack
  let directory: string
  let path: string

  beforeEach(async () => {
    resources = new AsyncDisposableStack()
    directory = resources.use(await temporaryDirectory()).path
    path = join(directory, 'stored.tar')
  })

  afterEach(() => resources.disposeAsync())

  const store = (source: AsyncIterable<Uint8Array>, bytesMax = 1_000_000): Promise<void> =>
    storeTar(source, { path, bytesMax, signal: never })

  async function* raw(
    headers: (Partial<Header> & { name: string; content?: string })[]
  ): AsyncGenerator<Uint8Array> {
    const pack = tar.pack()
    for (const { content, ...header } of headers) pack.entry(header, content ?? '')
    pack.finalize()
    for await (const chunk of pack) yield chunk as Uint8Array
  }

  async function expectRefused(
    source: AsyncIterable<Uint8Array>,
    code: string,
    bytesMax?: number
  ): Promise<void> {
    expect(await codeOf(() => store(source, bytesMax))).to.equal(code)
    expect(await readdir(directory), 'nothing is stored').to.deep.equal([])
  }

  it('stores files and directories', async () => {
    await store(tarOf({ a: 'first', dir: undefined, 'dir/b': 'second', './c': 'third', empty: '' }))
    const files = await untar(createReadStream(path))
    expect([...files].map(([name, content]) => [name, content?.toString()])).to.deep.equal([
      ['a', 'first'],
      ['dir', undefined],
      ['dir/b', 'second'],
      ['c', 'third'],
      ['empty', '']
    ])
  })

  it('gives back what it stored, long names and names beyond ASCII too', async () => {
    const long = `${'d'.repeat(200)}/${'ü'.repeat(100)}`
    await store(tarOf({ [long]: 'content' }))
    const found: [string, string][] = []
    for await (const file of storedFiles(path, never))
      found.push([file.path, (await bytesOf(file.content)).toString()])
    expect(found).to.deep.equal([[long, 'content']])
  })

  it('drops set-uid bits and owners', async () => {
    await store(raw([{ name: 'tool', mode: 0o6755, uid: 0, uname: 'root', content: 'x' }]))
    for await (const file of storedFiles(path, never)) {
      expect(file.mode).to.equal(0o755)
      await bytesOf(file.content)
    }
  })

  it('takes an empty body as no files', async () => {
    await store(tarOf({}))
    expect((await untar(createReadStream(path))).size).to.equal(0)
  })

  for (const name of [
    '../evil',
    'a/../../evil',
    'a/..',
    '/etc/passwd',
    '//x',
    'a//b',
    'a/./b',
    '..',
    'x'.repeat(256),
    'a/'.repeat(600) + 'b'
  ])
    it(`refuses the name ${name.slice(0, 40)}`, () =>
      expectRefused(raw([{ name: 'ok' }, { name, content: 'x' }]), 'ERR_FILES_FORMAT'))

  it('refuses a name with a NUL that hides in an extended header', () =>
    expectRefused(raw([{ name: 'ok', pax: { path: 'a\0/../b' }, content: 'x' }]), 'ERR_FILES_FORMAT'))

  it('refuses a name that leads upwards in an extended header', () =>
    expectRefused(raw([{ name: 'ok', pax: { path: '../b' }, content: 'x' }]), 'ERR_FILES_FORMAT'))

  for (const type of ['symlink', 'link', 'character-device', 'block-device', 'fifo'] as const)
    it(`refuses a ${type}`, () =>
      expectRefused(raw([{ name: 'x', type, linkname: 'a', devmajor: 1, devminor: 3 }]), 'ERR_FILES_FORMAT'))

  it('refuses a name that comes twice, and a file used as a directory', async () => {
    await expectRefused(
      raw([
        { name: 'a', content: '1' },
        { name: 'a', content: '2' }
      ]),
      'ERR_FILES_FORMAT'
    )
    await expectRefused(
      raw([
        { name: 'a', content: '1' },
        { name: 'a/b', content: '2' }
      ]),
      'ERR_FILES_FORMAT'
    )
    await expectRefused(
      raw([
        { name: 'a/b', content: '1' },
        { name: 'a', content: '2' }
      ]),
      'ERR_FILES_FORMAT'
    )
  })

  it('refuses more bytes than allowed before it has read them', async () => {
    let read = 0
    async function* huge(): AsyncGenerator<Uint8Array> {
      const pack = tar.pack()
      pack.entry({ name: 'huge', size: 2 ** 40 })
      for await (const chunk of pack) {
        yield chunk as Uint8Array
        break
      }
      for (;;) {
        read += 1
        yield new Uint8Array(65_536)
      }
    }
    await expectRefused(huge(), 'ERR_FILES_LIMIT')
    expect(read).to.be.below(100)
  })

  it('refuses the sum of many', () =>
    expectRefused(tarOf({ a: 'x'.repeat(600), b: 'x'.repeat(600) }), 'ERR_FILES_LIMIT', 1000))

  it('refuses too many entries', async () => {
    async function* many(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index <= 100_000; index++) {
        const header = Buffer.alloc(512)
        header.write(`f${index}`, 0)
        header.write('0000644\0', 100)
        header.write('0000000\0', 108)
        header.write('0000000\0', 116)
        header.write('00000000000\0', 124)
        header.write('00000000000\0', 136)
        header.write('        0', 148)
        header.write('ustar\x0000', 257)
        const sum = header.reduce((total, byte) => total + byte, 0)
        header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
        yield header
      }
    }
    await expectRefused(many(), 'ERR_FILES_LIMIT')
  }).timeout(60_000)

  it('refuses what is no tar', async () => {
    async function* noise(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(2048, 'not a tar ')
    }
    await expectRefused(noise(), 'ERR_FILES_FORMAT')
  })

  it('refuses a tar that ends too soon', async () => {
    const whole = await bytesOf(tarOf({ a: 'x'.repeat(2000) }))
    async function* part(): AsyncGenerator<Uint8Array> {
      yield whole.subarray(0, 1500)
    }
    await expectRefused(part(), 'ERR_FILES_FORMAT')
  })

  it('passes on why its source broke', async () => {
    const whole = await bytesOf(tarOf({ a: 'x'.repeat(2000) }))
    async function* breaking(): AsyncGenerator<Uint8Array> {
      yield whole.subarray(0, 1500)
      throw Object.assign(new Error('gone'), { code: 'ECONNRESET' })
    }
    expect((await errorOf(() => store(breaking()))).code).to.equal('ECONNRESET')
    expect(await readdir(directory)).to.deep.equal([])
  })

  it('stores nothing when it is given up', async () => {
    const abort = new AbortController()
    async function* waiting(): AsyncGenerator<Uint8Array> {
      yield (await bytesOf(tarOf({ a: 'x'.repeat(2000) }))).subarray(0, 1024)
      abort.abort(new Error('enough'))
      await new Promise(() => undefined)
    }
    const error = await errorOf(() => storeTar(waiting(), { path, bytesMax: 10_000, signal: abort.signal }))
    expect(error.message).to.equal('enough')
    expect(await readdir(directory)).to.deep.equal([])
  })

  describe('from a guest', () => {
    const file = (changes: Partial<GuestFile>): GuestFile => ({
      path: 'a',
      mode: 0o644,
      sizeBytes: 1,
      kind: 'file',
      content: (async function* () {
        yield Buffer.from('x')
      })(),
      ...changes
    })

    async function* guest(...files: GuestFile[]): AsyncGenerator<GuestFile> {
      yield* files
    }

    const take = (...files: GuestFile[]): Promise<void> =>
      storeGuestFiles(guest(...files), { path, bytesMax: 1000, signal: never })

    it('stores what it hands over', async () => {
      await take(file({ path: 'd', kind: 'directory', sizeBytes: 0 }), file({ path: 'd/a' }))
      expect([...(await untar(createReadStream(path))).keys()]).to.deep.equal(['d', 'd/a'])
    })

    it('refuses names that lead out, contents that are not as long as said, and sizes that are none', async () => {
      const lies: Partial<GuestFile>[] = [
        { path: '../a' },
        { path: '/a' },
        { path: 'a\0' },
        { path: '' },
        { path: 'a/\uFFFD' },
        { sizeBytes: 2 },
        { sizeBytes: 1, content: guestBytes('toolong') },
        { sizeBytes: -1 },
        { sizeBytes: Number.NaN },
        { sizeBytes: 0.5 }
      ]
      for (const lie of lies) {
        expect(await codeOf(() => take(file(lie))), JSON.stringify(lie)).to.equal('ERR_FILES_FORMAT')
        expect(await readdir(directory)).to.deep.equal([])
      }
    })

    it('refuses more than the disk of the server', async () => {
      expect(await codeOf(() => take(file({ sizeBytes: 1001 })))).to.equal('ERR_FILES_LIMIT')
    })

    async function* guestBytes(text: string): AsyncGenerator<Uint8Array> {
      yield Buffer.from(text)
    }
  })
})
