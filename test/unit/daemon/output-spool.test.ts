import { expect } from 'chai'
import fc from 'fast-check'
import { appendFile, readFile, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeHeader, OutputSpool } from '../../../soda-host/daemon/output-spool.ts'
import { framesOf } from '../../helpers/daemon/server-spec.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('the output spool', () => {
  let resources: AsyncDisposableStack
  let path: string

  beforeEach(async () => {
    resources = new AsyncDisposableStack()
    path = join(resources.use(await temporaryDirectory()).path, 'output')
  })

  afterEach(() => resources.disposeAsync())

  async function open(bytesMax = 1_000_000, seenBytes = 0): Promise<OutputSpool> {
    return resources.use(await OutputSpool.open({ path, bytesMax, seenBytes }))
  }

  async function content(): Promise<string> {
    return Buffer.concat(framesOf(await readFile(path)).map(({ data }) => data)).toString()
  }

  it('writes frames of length, stream and data', async () => {
    const spool = await open()
    await spool.append('stdout', Buffer.from('ab'), 0)
    await spool.append('stderr', Buffer.from('c'), 2)
    expect((await readFile(path)).toString('hex')).to.equal(
      `${Buffer.from([2, 0, 0, 0, 1]).toString('hex')}6162${Buffer.from([1, 0, 0, 0, 2]).toString('hex')}63`
    )
    expect(spool.fileBytes).to.equal(13)
  })

  it('keeps order when frames come without waiting', async () => {
    const spool = await open()
    const all = Array.from({ length: 200 }, (_, index) => spool.append('stdout', Buffer.from([index]), index))
    await Promise.all(all)
    const bytes = framesOf(await readFile(path)).map(({ data }) => data[0])
    expect(bytes).to.deep.equal(Array.from({ length: 200 }, (_, index) => index))
  })

  it('skips what was written before, whole or in part', async () => {
    const spool = await open()
    await spool.append('stdout', Buffer.from('hello'), 0)
    await spool.append('stdout', Buffer.from('hello'), 0)
    await spool.append('stdout', Buffer.from('lo you'), 3)
    expect(await content()).to.equal('hello you')
    expect(spool.seenBytes).to.equal(9)
  })

  it('goes on after being opened again', async () => {
    const first = await OutputSpool.open({ path, bytesMax: 100, seenBytes: 0 })
    await first.append('stdout', Buffer.from('one '), 0)
    await first[Symbol.asyncDispose]()
    const second = await open(100)
    await second.append('stdout', Buffer.from('one two'), 0)
    expect(await content()).to.equal('one two')
  })

  it('cuts off a frame that was not written to its end, wherever it broke', async () => {
    const whole = Buffer.concat([encodeHeader('stdout', 3), Buffer.from('abc')])
    const torn = Buffer.concat([encodeHeader('stderr', 4), Buffer.from('wxyz')])
    for (let length = 0; length < torn.length; length++) {
      await appendFile(path, whole)
      await appendFile(path, torn.subarray(0, length))
      const spool = await OutputSpool.open({ path, bytesMax: 100, seenBytes: 0 })
      expect([spool.fileBytes, spool.keptBytes], `after ${length} bytes`).to.deep.equal([8, 3])
      await spool[Symbol.asyncDispose]()
      expect((await stat(path)).size).to.equal(8)
      await truncate(path, 0)
    }
  })

  it('keeps a prefix up to the limit, to the byte, and counts the rest', async () => {
    const spool = await open(7)
    await spool.append('stdout', Buffer.from('12345'), 0)
    await spool.append('stderr', Buffer.from('67890'), 5)
    await spool.append('stdout', Buffer.from('more'), 10)
    expect(await content()).to.equal('1234567')
    expect([spool.keptBytes, spool.seenBytes]).to.deep.equal([7, 14])
  })

  it('knows after being opened again that it had thrown something away', async () => {
    const first = await OutputSpool.open({ path, bytesMax: 3, seenBytes: 0 })
    await first.append('stdout', Buffer.from('12345'), 0)
    await first[Symbol.asyncDispose]()
    const second = await open(1000, 5)
    await second.append('stdout', Buffer.from('67'), 5)
    expect(await content()).to.equal('123')
    expect(second.seenBytes).to.equal(7)
  })

  it('counts a gap as lost, and keeps nothing after it', async () => {
    const spool = await open()
    await spool.append('stdout', Buffer.from('ab'), 0)
    await spool.append('stdout', Buffer.from('yz'), 24)
    await spool.append('stdout', Buffer.from('!'), 26)
    expect(await content()).to.equal('ab')
    expect(spool.seenBytes).to.equal(27)
  })

  it('bounds the file when every frame is one byte', async () => {
    const spool = await open(20_000)
    for (let offset = 0; offset < 20_000; offset++)
      await spool.append(offset % 2 === 0 ? 'stdout' : 'stderr', Buffer.from('x'), offset)
    expect((await stat(path)).size).to.be.at.most(2 * 20_000 + 65_536)
    expect(spool.seenBytes).to.equal(20_000)
  })

  it('refuses offsets that are none', async () => {
    const spool = await open()
    for (const offset of [-1, 0.5, Number.NaN, Infinity, 2 ** 53])
      expect(await codeOf(() => spool.append('stdout', Buffer.from('x'), offset))).to.equal(
        'ERR_CHANNEL_FORMAT'
      )
  })

  it('holds what was sent once, however often a guest sends it again', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 20 })), { maxLength: 30 }),
        fc.integer({ min: 0, max: 60 }),
        async (sends, bytesMax) => {
          await truncate(path, 0).catch(() => undefined)
          const said = Buffer.from(Array.from({ length: 60 }, (_, index) => index))
          const spool = await OutputSpool.open({ path, bytesMax, seenBytes: 0 })
          let end = 0
          for (const [back, length] of sends) {
            const from = Math.max(0, end - back)
            const piece = said.subarray(from, from + length)
            await spool.append('stdout', piece, from)
            end = Math.max(end, from + piece.length)
          }
          await spool[Symbol.asyncDispose]()
          const held = Buffer.concat(framesOf(await readFile(path)).map(({ data }) => data))
          expect(held.equals(said.subarray(0, Math.min(end, bytesMax)))).to.equal(true)
          expect(spool.seenBytes).to.equal(end)
        }
      ),
      { numRuns: 50 }
    )
  })
})
