import { cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { ensureInitrd } from '../../../soda-host/factory/initrd.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

async function makeSources(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, 'init.h'), '#define TEXT "hello from " __FILE__\n')
  await writeFile(
    join(directory, 'main.c'),
    '#include <stdio.h>\n#include "init.h"\nint main(void) { return puts(TEXT) < 0; }\n'
  )
}

describe('the initrd', () => {
  it('comes out the same from another place, and is not built again', async () => {
    await using directory = await temporaryDirectory()
    const at = (name: string) => join(directory.path, name)
    await makeSources(at('one'))
    await cp(at('one'), at('two/somewhere/else'), { recursive: true })
    const first = await ensureInitrd({ cacheDir: at('cache-1') }, at('one'))
    const moved = await ensureInitrd({ cacheDir: at('cache-2') }, at('two/somewhere/else'))
    expect(moved.digest).to.equal(first.digest)
    const before = await stat(first.path)
    expect(await ensureInitrd({ cacheDir: at('cache-1') }, at('one'))).to.deep.equal(first)
    expect((await stat(first.path)).ino).to.equal(before.ino)
  })

  it('holds the init and the console, and follows every source file', async () => {
    await using directory = await temporaryDirectory()
    const sources = join(directory.path, 'sources')
    await makeSources(sources)
    const options = { cacheDir: join(directory.path, 'cache') }
    const first = await ensureInitrd(options, sources)
    const archive = await readFile(first.path, 'latin1')
    expect(archive).to.include('hello from').and.include('dev/console').and.include('TRAILER!!!')
    await writeFile(join(sources, 'init.h'), '#define TEXT "changed"\n')
    expect((await ensureInitrd(options, sources)).digest).to.not.equal(first.digest)
  })

  it('that was damaged in the cache is built again', async () => {
    await using directory = await temporaryDirectory()
    const sources = join(directory.path, 'sources')
    await makeSources(sources)
    const options = { cacheDir: join(directory.path, 'cache') }
    const first = await ensureInitrd(options, sources)
    await writeFile(first.path, 'damaged')
    expect(await ensureInitrd(options, sources)).to.deep.equal(first)
    expect((await stat(first.path)).size).to.equal(first.sizeBytes)
  })

  it('whose source does not compile fails with what the compiler said', async () => {
    await using directory = await temporaryDirectory()
    await makeSources(directory.path)
    await writeFile(join(directory.path, 'broken.c'), 'int broken(void) { return undeclared; }\n')
    const error = await errorOf(() =>
      ensureInitrd({ cacheDir: join(directory.path, 'cache') }, directory.path)
    )
    expect(error).to.have.property('code', 'ERR_KERNEL_BUILD')
    expect(error.message).to.include('undeclared')
  })

  it('without any source fails', async () => {
    await using directory = await temporaryDirectory()
    const cacheDir = join(directory.path, 'cache')
    expect(await codeOf(() => ensureInitrd({ cacheDir }, directory.path))).to.equal('ERR_KERNEL_BUILD')
  })
})
