import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, link, mkdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { importImage } from '../../../soda-host/factory/index.ts'
import { errorOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const LONG_NAME = `${'long-'.repeat(30)}name`

/** A tree with what real images have: links of both kinds, odd permissions, long and foreign names. */
async function makeTree(root: string): Promise<void> {
  await mkdir(join(root, 'usr/bin'), { recursive: true })
  await writeFile(join(root, 'usr/bin/tool'), '#!/bin/sh\necho tool\n')
  await chmod(join(root, 'usr/bin/tool'), 0o4755)
  await link(join(root, 'usr/bin/tool'), join(root, 'usr/bin/twin'))
  await symlink('usr/bin', join(root, 'bin'))
  await symlink('/run', join(root, 'usr/run'))
  await writeFile(join(root, 'usr/secret'), 'nobody may read this')
  await chmod(join(root, 'usr/secret'), 0)
  await writeFile(join(root, 'usr/größe-数'), 'x'.repeat(300_000))
  await writeFile(join(root, `usr/${LONG_NAME}`), '')
  await utimes(join(root, 'usr/secret'), 1_500_000_000, 1_500_000_000)
}

function tarOf(root: string, format: string): string {
  const path = `${root}-${format}.tar`
  execFileSync('tar', [
    '--create',
    `--format=${format}`,
    '--sort=name',
    '--owner=0',
    '--group=0',
    '-f',
    path,
    '-C',
    root,
    '.'
  ])
  return path
}

const listing = (image: string): string => execFileSync('unsquashfs', ['-lln', image], { encoding: 'utf8' })
const content = (image: string, path: string): string =>
  execFileSync('unsquashfs', ['-cat', image, path], { encoding: 'utf8' })

describe('import of an image', () => {
  for (const format of ['gnu', 'pax'])
    it(`keeps contents, permissions, links and times of a ${format} archive`, async () => {
      await using directory = await temporaryDirectory()
      await makeTree(join(directory.path, 'tree'))
      const tar = createReadStream(tarOf(join(directory.path, 'tree'), format))
      const image = await importImage('sample', tar, { cacheDir: join(directory.path, 'cache') })
      const lines = listing(image.path)
      expect(lines).to.match(/-rwsr-xr-x 0\/0 .* squashfs-root\/usr\/bin\/tool/)
      expect(lines).to.match(/squashfs-root\/bin -> usr\/bin/)
      expect(lines).to.match(/squashfs-root\/usr\/run -> \/run/)
      expect(lines).to.match(/---------- 0\/0 +20 2017-07-14 \d\d:40 squashfs-root\/usr\/secret/)
      expect(lines).to.include(LONG_NAME)
      expect(content(image.path, 'usr/bin/twin')).to.equal('#!/bin/sh\necho tool\n')
      expect(content(image.path, 'usr/größe-数')).to.have.length(300_000)
    })

  it('adds the directories on which the guest mounts, and gives the root to root', async () => {
    await using directory = await temporaryDirectory()
    await makeTree(join(directory.path, 'tree'))
    const tar = createReadStream(tarOf(join(directory.path, 'tree'), 'pax'))
    const lines = listing((await importImage('sample', tar, { cacheDir: directory.path })).path)
    for (const name of ['proc', 'sys', 'dev', 'tmp', 'run', 'work', 'out'])
      expect(lines).to.match(new RegExp(`^d.* squashfs-root/${name}$`, 'm'))
    expect(lines).to.match(/^drwxrwxrwt .*\/tmp$/m)
    expect(lines).to.match(/^drwxr-xr-x 0\/0 .* squashfs-root$/m)
  })

  it('stores the same archive under the same digest, twice and in different places', async () => {
    await using directory = await temporaryDirectory()
    await makeTree(join(directory.path, 'tree'))
    const path = tarOf(join(directory.path, 'tree'), 'pax')
    const importInto = async (cache: string) =>
      importImage('sample', createReadStream(path), { cacheDir: join(directory.path, cache) })
    const [one, again, elsewhere] = [
      await importInto('one'),
      await importInto('one'),
      await importInto('two')
    ]
    expect(again).to.deep.equal(one)
    expect(elsewhere.digest).to.equal(one.digest)
    expect(one.path).to.match(/\/one\/images\/[0-9a-f]{64}\.squashfs$/)
    expect(
      `sha256:${createHash('sha256')
        .update(await readFile(one.path))
        .digest('hex')}`
    ).to.equal(one.digest)
  })

  it('takes several archives at once', async () => {
    await using directory = await temporaryDirectory()
    await makeTree(join(directory.path, 'tree'))
    const path = tarOf(join(directory.path, 'tree'), 'gnu')
    const images = await Promise.all(
      ['a', 'b', 'c'].map((name) => importImage(name, createReadStream(path), { cacheDir: directory.path }))
    )
    expect(new Set(images.map(({ digest }) => digest))).to.have.length(1)
  })

  it('that cannot be written, for want of space say, fails with what sqfstar said', async () => {
    await using directory = await temporaryDirectory()
    await makeTree(join(directory.path, 'tree'))
    const tar = createReadStream(tarOf(join(directory.path, 'tree'), 'gnu'))
    const path = process.env['PATH']
    await writeFile(
      join(directory.path, 'sqfstar'),
      '#!/bin/sh\nread -r first\necho no space left >&2\nexit 1\n'
    )
    await chmod(join(directory.path, 'sqfstar'), 0o755)
    process.env['PATH'] = `${directory.path}:${path}`
    try {
      const error = await errorOf(() => importImage('sample', tar, { cacheDir: directory.path }))
      expect(error).to.include({ code: 'ERR_IMAGE_BUILD' })
      expect(error.message).to.include('no space left')
    } finally {
      process.env['PATH'] = path
    }
  })
})
