import { expect } from 'chai'
import type { TarHeader } from '../../../soda-host/factory/image-entries.ts'
import { ImageEntries } from '../../../soda-host/factory/image-entries.ts'
import { codeOf } from '../../helpers/errors.ts'

const file = (name: string, more: Partial<TarHeader> = {}): TarHeader => ({
  name,
  type: 'file',
  mode: 0o644,
  ...more
})
const directory = (name: string): TarHeader => ({ name, type: 'directory', mode: 0o755 })
const symlink = (name: string, linkname: string): TarHeader => ({ name, type: 'symlink', linkname })

function acceptAll(headers: TarHeader[], bytesMax?: number): string[] {
  const entries = new ImageEntries(bytesMax)
  return headers.flatMap((header) => entries.accept(header)).map(({ name }) => name)
}

describe('factory: entries of an image', () => {
  it('get clean names, and parents where the archive left them out', () => {
    expect(acceptAll([file('./a//b/./c'), file('a/d')])).to.deep.equal(['a', 'a/b', 'a/b/c', 'a/d'])
  })

  it('may name a directory twice, but nothing else', async () => {
    expect(acceptAll([directory('a'), directory('a/'), directory('./a')])).to.deep.equal(['a'])
    for (const pair of [
      [file('a'), file('a')],
      [file('a'), directory('a')],
      [directory('a'), file('./a')],
      [symlink('a', 'b'), directory('a')]
    ])
      expect(await codeOf(() => acceptAll(pair))).to.equal('ERR_IMAGE_FORMAT')
  })

  it('keep permissions with setuid and sticky bits, without bits that mean a file type', () => {
    const [entry] = new ImageEntries().accept(file('a', { mode: 0o104755 }))
    expect(entry?.mode).to.equal(0o4755)
  })

  it('keep times in the past; the future, the far past and nonsense are moved into range', () => {
    const timeOf = (mtime?: Date) => new ImageEntries().accept(file('a', { mtime }))[0]?.mtime.toISOString()
    expect(timeOf(new Date('2020-01-02T03:04:05Z'))).to.equal('2020-01-02T03:04:05.000Z')
    expect(timeOf(new Date('2100-01-01'))).to.equal('2026-01-01T00:00:00.000Z')
    expect(timeOf(new Date(-1e12))).to.equal('1970-01-01T00:00:00.000Z')
    expect(timeOf(new Date(Number.NaN))).to.equal('1970-01-01T00:00:00.000Z')
  })

  it('lose devices and pipes below dev, where guests have a file system of their own', () => {
    const entries = new ImageEntries()
    for (const type of ['character-device', 'block-device', 'fifo'])
      expect(entries.accept({ name: `./dev/${type}`, type })).to.deep.equal([])
    expect(entries.dropped).to.equal(3)
  })

  it('may link to where the image itself leads: absolute means its own root', () => {
    const links = [symlink('bin', 'usr/bin'), symlink('var/run', '/run'), symlink('usr/lib/x', '../../etc/x')]
    expect(acceptAll(links)).to.include.members(['bin', 'var/run', 'usr/lib/x'])
  })

  it('may link a file a second time, by a clean name', () => {
    const entries = new ImageEntries()
    entries.accept(file('./a/b'))
    expect(entries.accept({ name: 'c', type: 'link', linkname: './a//b' })[0]).to.include({
      linkname: 'a/b',
      size: 0
    })
  })

  it('together are no larger than the bound, to the byte', async () => {
    acceptAll([file('a', { size: 6 }), file('b', { size: 4 })], 10)
    expect(await codeOf(() => acceptAll([file('a', { size: 6 }), file('b', { size: 5 })], 10))).to.equal(
      'ERR_IMAGE_FORMAT'
    )
  })

  it('end with the mount points that the archive did not have', () => {
    const entries = new ImageEntries()
    entries.accept(directory('tmp'))
    entries.accept(file('dev/null-is-a-file'))
    const added = entries.finish().map(({ name }) => name)
    expect(added).to.deep.equal(['proc', 'sys', 'run', 'work', 'out'])
  })
})
