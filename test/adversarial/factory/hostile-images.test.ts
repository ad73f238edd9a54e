/**
 * Attacker: whoever made an image archive that a landlord or tenant imports.
 * Asset: the host's files, the image store, other images.
 * Expected outcome: ERR_IMAGE_FORMAT, nothing outside the store is touched, nothing is stored, no half-made file and
 * no process stays. What is let through unpacks to just what was judged.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { expect } from 'chai'
import fc from 'fast-check'
import { importImage } from '../../../soda-host/factory/index.ts'
import type { ImageEntry } from '../../../soda-host/factory/image-entries.ts'
import { TAR_END, tarHeader, tarPadding } from '../../../soda-host/factory/tar-writer.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const BLOCK = 512

interface Member extends Partial<ImageEntry> {
  name: string
  content?: string
  /** Replaces the type flag of the header, for kinds that our own writer does not know. */
  flag?: string
}

/** A header that says what the attacker wants, with a correct checksum. */
function member({ content = '', flag, ...entry }: Member): Buffer {
  const size = entry.size ?? Buffer.byteLength(content)
  const mtime = new Date(0)
  const header = tarHeader({ type: 'file', mode: 0o644, uid: 0, gid: 0, mtime, ...entry, size })
  const block = header.subarray(header.length - BLOCK)
  if (flag !== undefined) block.write(flag, 156, 'latin1')
  block.write('        ', 148, 'latin1')
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1'
  )
  return Buffer.concat([header, Buffer.from(content), tarPadding(Buffer.byteLength(content))])
}

const archive = (...members: Member[]): Buffer => Buffer.concat([...members.map(member), TAR_END])

const HOSTILE: Record<string, Buffer> = {
  'a name with ../': archive({ name: '../escaped', content: 'x' }),
  'a name with ../ inside': archive({ name: 'a/../../escaped', content: 'x' }),
  'a name that ends in ..': archive({ name: 'a/..', type: 'directory' }),
  'an absolute name': archive({ name: '/etc/cron.d/escaped', content: 'x' }),
  'an absolute name behind slashes': archive({ name: '///etc/escaped', content: 'x' }),
  'a block device': archive({ name: 'sda', flag: '4' }),
  'a character device': archive({ name: 'etc/mem', flag: '3' }),
  'a device whose name only begins like dev': archive({ name: 'device/mem', flag: '3' }),
  'a pipe': archive({ name: 'pipe', flag: '6' }),
  'a kind that nobody knows': archive({ name: 'odd', flag: 'Z' }),
  'a symbolic link that climbs out': archive({ name: 'a/link', type: 'symlink', linkname: '../../etc' }),
  'a symbolic link that climbs out and comes back': archive({
    name: 'link',
    type: 'symlink',
    linkname: '../x/y'
  }),
  'a symbolic link to nothing': archive({ name: 'link', type: 'symlink', linkname: '' }),
  'a hard link that climbs out': archive({ name: 'link', type: 'link', linkname: '../../etc/shadow' }),
  'an absolute hard link': archive({ name: 'link', type: 'link', linkname: '/etc/shadow' }),
  'a hard link to what is not there': archive(
    { name: 'link', type: 'link', linkname: 'later' },
    { name: 'later' }
  ),
  'a hard link to a symbolic link': archive(
    { name: 'out', type: 'symlink', linkname: '/etc/shadow' },
    { name: 'link', type: 'link', linkname: 'out' }
  ),
  'a file that lies in a symbolic link': archive(
    { name: 'etc', type: 'symlink', linkname: '/etc' },
    { name: 'etc/escaped', content: 'x' }
  ),
  'a file that lies in a file': archive({ name: 'a', content: 'x' }, { name: 'a/b', content: 'x' }),
  'a link put in the place of a directory': archive(
    { name: 'a/b', content: 'x' },
    { name: 'a', type: 'symlink', linkname: '/etc' }
  ),
  'a link in the place of a mount point': archive({ name: 'proc', type: 'symlink', linkname: 'etc' }),
  'a file in the place of a mount point': archive({ name: 'work', content: 'x' }),
  'a root that is a link': archive({ name: './', type: 'symlink', linkname: '/' }),
  'the same file twice': archive({ name: 'a', content: '1' }, { name: './a', content: '2' }),
  'a name longer than a path can be': archive({ name: 'd/'.repeat(2050) + 'f' }),
  'a part of a name longer than a name can be': archive({ name: 'n'.repeat(256) }),
  'a name that is not UTF-8': Buffer.from(archive({ name: 'caf\u00e9' })).fill(0xff, 3, 5),
  'an owner beyond what a header holds': archive({ name: 'a', uid: 0o1000000 }),
  'a size beyond the bound': archive({ name: 'a', size: 0o77777777777 }, { name: 'b' }),
  'a size larger than what follows': archive({ name: 'a', size: 5000, content: 'short' }),
  'a wrong checksum': Buffer.from(archive({ name: 'a' })).fill('z', 0, 1),
  'nothing at all': Buffer.alloc(0),
  'an end and nothing else': TAR_END,
  'a gzip file': Buffer.from('1f8b0800000000000003'.padEnd(2048, 'ab'), 'hex'),
  'a cut archive': archive({ name: 'a', content: 'x'.repeat(9000) }).subarray(0, 4000)
}

/** The store after a refusal: no image, no work in progress. */
async function expectEmptyStore(cache: string): Promise<void> {
  expect(await readdir(join(cache, 'images')).catch(() => [])).to.deep.equal([])
  expect(await readdir(join(cache, 'work')).catch(() => [])).to.deep.equal([])
}

describe('a hostile image archive', () => {
  for (const [what, bytes] of Object.entries(HOSTILE))
    it(`is refused for ${what}`, async () => {
      await using directory = await temporaryDirectory()
      const cacheDir = join(directory.path, 'deep/er/cache')
      await mkdir(cacheDir, { recursive: true })
      const code = await codeOf(() => importImage('hostile', Readable.from([bytes]), { cacheDir }))
      expect(code).to.equal('ERR_IMAGE_FORMAT')
      await expectEmptyStore(cacheDir)
      expect(execFileSync('find', [directory.path, '-name', 'escaped'], { encoding: 'utf8' })).to.equal('')
    })

  it('with device nodes below dev is imported without them', async () => {
    await using cache = await temporaryDirectory()
    const bytes = archive(
      { name: 'dev/mem', flag: '3' },
      { name: 'dev/sda', flag: '4' },
      { name: 'etc/ok', content: 'ok' }
    )
    const { path } = await importImage('devices', Readable.from([bytes]), { cacheDir: cache.path })
    const listing = execFileSync('unsquashfs', ['-lln', path], { encoding: 'utf8' })
    expect(listing)
      .to.include('etc/ok')
      .and.not.match(/\/dev\/./)
    expect(listing.split('\n').filter((line) => /^[bcp]/.test(line))).to.deep.equal([])
  })

  it('that ends in an error of its own stream is reported as that, and leaves nothing', async () => {
    await using cache = await temporaryDirectory()
    async function* breaks(): AsyncGenerator<Uint8Array> {
      yield archive({ name: 'a', content: 'x'.repeat(9000) }).subarray(0, 4000)
      throw Object.assign(new Error('connection lost'), { code: 'ECONNRESET' })
    }
    expect(await codeOf(() => importImage('broken', breaks(), { cacheDir: cache.path }))).to.equal(
      'ECONNRESET'
    )
    await expectEmptyStore(cache.path)
  })

  it('that never ends stops when it is aborted, and leaves nothing', async () => {
    await using cache = await temporaryDirectory()
    const stop = new AbortController()
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield member({ name: 'a', size: 1024 ** 3 })
      for (let chunks = 0; ; chunks++) {
        if (chunks === 50) stop.abort(Object.assign(new Error('enough'), { code: 'ENOUGH' }))
        yield Buffer.alloc(65_536)
      }
    }
    const options = { cacheDir: cache.path, signal: stop.signal }
    expect(await codeOf(() => importImage('endless', endless(), options))).to.equal('ENOUGH')
    await expectEmptyStore(cache.path)
  })

  it('under a name that is a path is refused before a byte is read', async () => {
    await using cache = await temporaryDirectory()
    for (const name of ['../x', 'a/b', '', '.hidden', 'A', 'x'.repeat(65)])
      expect(await codeOf(() => importImage(name, Readable.from([]), { cacheDir: cache.path }))).to.equal(
        'ERR_IMAGE_FORMAT'
      )
  })

  it('of random bytes and of damaged headers is refused or imported, and never crashes', async function () {
    this.timeout(60_000)
    const good = archive(
      { name: 'a', content: 'x'.repeat(700) },
      { name: 'b', type: 'symlink', linkname: 'a' }
    )
    const flips = fc.array(fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 8
    })
    await using cache = await temporaryDirectory()
    await fc.assert(
      fc.asyncProperty(flips, async (changes) => {
        const bytes = Buffer.from(good)
        for (const [offset, value] of changes) bytes[offset] = value
        try {
          await importImage('fuzzed', Readable.from([bytes]), { cacheDir: cache.path })
        } catch (error) {
          expect(error).to.have.property('code', 'ERR_IMAGE_FORMAT')
        }
      }),
      { numRuns: 40 }
    )
    expect(await readdir(join(cache.path, 'work'))).to.deep.equal([])
  })

  it('cannot change an image that is in the store already', async () => {
    await using cache = await temporaryDirectory()
    const cacheDir = cache.path
    const good = await importImage('good', Readable.from([archive({ name: 'a', content: 'good' })]), {
      cacheDir
    })
    const before = await readFile(good.path)
    await codeOf(() => importImage('good', Readable.from([HOSTILE['a name with ../']!]), { cacheDir }))
    expect(await readFile(good.path)).to.deep.equal(before)
  })
})
