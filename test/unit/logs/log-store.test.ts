import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect } from 'chai'
import { LogStore, readLogFiles } from '../../../soda-host/logs/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { codeOf } from '../../helpers/errors.ts'
import { bytesOf } from '../../helpers/sealer.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

async function contentOf(directory: string): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(readLogFiles(directory)))
}

describe('Store of sealed logs', () => {
  it('keeps what is appended, in order, over segments and restarts', async () => {
    await using directory = await temporaryDirectory()
    const log = bytesOf('log', 5000)
    const init = { directory: join(directory.path, 'log'), bytesMax: 100_000, segmentBytesMax: 700 }
    for (let at = 0; at < log.length; at += 1000) {
      await using store = await LogStore.open(init)
      void store.append(log.subarray(at, at + 300))
      void store.append(log.subarray(at + 300, at + 1000))
    }
    expect((await contentOf(init.directory)).equals(log)).to.equal(true)
    expect((await readdir(init.directory)).length).to.be.above(5)
  })

  it('never takes more than its share: the oldest go, whole segments at a time', async () => {
    await using directory = await temporaryDirectory()
    await using store = await LogStore.open({
      directory: directory.path,
      bytesMax: 1000,
      segmentBytesMax: 250
    })
    const log = bytesOf('log', 10_000)
    for (let at = 0; at < log.length; at += 100) {
      await store.append(log.subarray(at, at + 100))
      expect(store.bytes).to.be.at.most(1000)
      const content = await contentOf(directory.path)
      expect(content.length).to.equal(store.bytes)
      expect(
        log
          .subarray(0, at + 100)
          .subarray(-content.length)
          .equals(content)
      ).to.equal(true)
    }
  })

  it('keeps the offset of every byte, over segments, restarts and what was given up', async () => {
    await using directory = await temporaryDirectory()
    const init = { directory: directory.path, bytesMax: 1000, segmentBytesMax: 250 }
    const log = bytesOf('log', 3210)
    for (let at = 0; at < log.length; at += 321) {
      await using store = await LogStore.open(init)
      expect(store.end).to.equal(at)
      await store.append(log.subarray(at, at + 321))
    }
    await using store = await LogStore.open(init)
    expect([store.start, store.end]).to.deep.equal([2250, 3210])
    const read = async (from: number, to: number) =>
      Buffer.concat(await Array.fromAsync(store.read(from, to))).equals(log.subarray(from, to))
    for (const [from, to] of [
      [2250, 3210],
      [2499, 2501],
      [3000, 3209],
      [3210, 3210]
    ] as const)
      expect(await read(from, to), `${from} to ${to}`).to.equal(true)
    expect(await codeOf(() => Array.fromAsync(store.read(2000, 2100)))).to.equal('ERR_LOG_ACCESS')
  })

  it('takes a write back that a full disk cut, and goes on when there is room again', async function () {
    requires(this, 'root')
    await using directory = await temporaryDirectory()
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory.path])
    try {
      await using store = await LogStore.open({ directory: join(directory.path, 'log'), bytesMax: 1 << 20 })
      const kept = bytesOf('kept', 20_000)
      await store.append(kept)
      await writeFile(join(directory.path, 'filler'), Buffer.alloc(30_000))
      expect(await codeOf(() => store.append(bytesOf('lost', 60_000)))).to.equal('ERR_LOG_ACCESS')
      expect((await contentOf(join(directory.path, 'log'))).equals(kept)).to.equal(true)
      await execa('rm', [join(directory.path, 'filler')])
      const later = bytesOf('later', 20_000)
      await store.append(later)
      expect((await contentOf(join(directory.path, 'log'))).equals(Buffer.concat([kept, later]))).to.equal(
        true
      )
    } finally {
      await execa('umount', [directory.path])
    }
  })
})
