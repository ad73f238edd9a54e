/**
 * Attacker: none; the fault is a process that is killed with SIGKILL, or a cache that somebody damaged.
 * Asset: the cache, the machine's processes and disk.
 * Expected outcome: the programs that were running end too, the lock is free at once, the next owner removes what
 * was half-made and succeeds, and nothing half-made or damaged is ever taken for whole.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import { verifyFile } from '../../../soda-host/factory/debian-archive.ts'
import { importImage } from '../../../soda-host/factory/index.ts'
import { findImage, recordImage } from '../../../soda-host/factory/image-store.ts'
import { fetchKernelSource } from '../../../soda-host/factory/kernel-source.ts'
import { KERNEL_SOURCE } from '../../../soda-host/factory/pins.ts'
import { TAR_END, tarHeader } from '../../../soda-host/factory/tar-writer.ts'
import { codeOf } from '../../helpers/errors.ts'
import { withMirror } from '../../helpers/debian-mirror.ts'
import { processesWith } from '../../helpers/processes.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const IMPORTER = join(import.meta.dirname, '../../fixtures/factory/endless-import.ts')
const SMALL = Buffer.concat([
  tarHeader({ name: 'etc', type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: new Date(0) }),
  TAR_END
])

/** Start an import that never ends, and return once bytes of it have gone to the disk. */
async function startImport(cacheDir: string) {
  const child = spawn(process.execPath, [IMPORTER, cacheDir], { stdio: ['ignore', 'pipe', 'ignore'] })
  for (let bytes = 0; bytes < 20;) bytes += ((await once(child.stdout, 'data')) as [Buffer])[0].length
  return child
}

describe('sudden death of the factory', () => {
  it('ends its programs, frees the lock, and the next import removes what was half-made', async function () {
    this.timeout(60_000)
    await using directory = await temporaryDirectory()
    const cacheDir = directory.path
    const child = await startImport(cacheDir)
    expect(await readdir(join(cacheDir, 'work'))).to.have.length(1)
    child.kill('SIGKILL')
    await once(child, 'close')
    const image = await importImage('after', Readable.from([SMALL]), { cacheDir })
    expect(await readdir(join(cacheDir, 'work'))).to.deep.equal([])
    expect(await readdir(join(cacheDir, 'images'))).to.deep.equal([image.path.split('/').at(-1)])
    // The kernel tells sqfstar; the test's own time limit is the bound.
    while (processesWith(cacheDir).length > 0) await setTimeout(10)
  })
})

describe('a damaged cache', () => {
  it('image is not found, whether its bytes, its record or itself are gone', async () => {
    await using directory = await temporaryDirectory()
    const cacheDir = directory.path
    const image = await importImage('small', Readable.from([SMALL]), { cacheDir })
    await recordImage(cacheDir, 'inputs', image)
    expect(await findImage(cacheDir, 'small', 'inputs')).to.deep.equal(image)
    await writeFile(image.path, 'not a squashfs')
    expect(await findImage(cacheDir, 'small', 'inputs')).to.equal(undefined)
    await writeFile(
      join(cacheDir, 'images/small-inputs.json'),
      '{"name":"small","digest":"../../etc/passwd"}'
    )
    expect(await findImage(cacheDir, 'small', 'inputs')).to.equal(undefined)
  })

  it('source package is refused by its digest', async () => {
    await using directory = await temporaryDirectory()
    const deb = join(directory.path, 'tampered.deb')
    await writeFile(deb, 'tampered')
    expect(await codeOf(() => verifyFile(deb, KERNEL_SOURCE.sha256))).to.equal('ERR_SOURCE_DIGEST')
  })

  it('source package is thrown away and fetched again, not used', async () => {
    await using directory = await temporaryDirectory()
    const sources = join(directory.path, 'sources')
    await mkdir(sources)
    await writeFile(join(sources, `${KERNEL_SOURCE.sha256}.deb`), 'tampered')
    await withMirror(
      () => undefined,
      async () => {
        expect(await codeOf(() => fetchKernelSource({ cacheDir: directory.path }))).to.equal(
          'ERR_SOURCE_FETCH'
        )
      }
    )
    expect(await readdir(sources)).to.deep.equal([])
  })
})
