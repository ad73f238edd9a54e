import { execFileSync } from 'node:child_process'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { buildKernel, graftKernort } from '../../../soda-host/factory/kernel-build.ts'
import { fileSha256 } from '../../../soda-host/factory/cache.ts'
import type { ProgressEvent } from '../../../soda-host/factory/index.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'
import { processesWith } from '../../helpers/processes.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { toyRecipe, toySource } from '../../helpers/toy-kernel.ts'

/** The real steps with real tools, on a source that builds in a moment. */
describe('the kernel build', () => {
  it('unpacks, patches, grafts kernort, compiles and strips', async () => {
    await using directory = await temporaryDirectory()
    const at = (name: string) => join(directory.path, name)
    const source = await toySource(at('source'), at('cache'))
    const recipe = await toyRecipe(at('recipe'), 'CONFIG_SECURITY_KERNORT=y\n')
    const events: ProgressEvent[] = []
    const options = { cacheDir: at('cache'), progress: (event: ProgressEvent) => void events.push(event) }
    const kernel = await buildKernel(source, recipe, at('build'), options)
    expect(execFileSync(kernel, { encoding: 'utf8' })).to.equal('patched\n')
    expect((await stat(kernel)).size).to.be.lessThan((await stat(at('build/linux/linux'))).size)
    expect(await readFile(at('build/linux/security/Makefile'), 'utf8')).to.include('+= kernort/')
    expect(events.filter(({ isDone }) => isDone).map(({ task }) => task)).to.deep.equal([
      'unpacking the kernel source',
      'compiling the guest kernel'
    ])
    for (const { fraction = 0 } of events) expect(fraction).to.be.within(0, 1)
  })

  it('names the option that the source did not grant, and does not compile', async () => {
    await using directory = await temporaryDirectory()
    const at = (name: string) => join(directory.path, name)
    const source = await toySource(at('source'), at('cache'))
    const recipe = await toyRecipe(at('recipe'), 'CONFIG_A=y\nCONFIG_REFUSED=y\n')
    const error = await errorOf(() => buildKernel(source, recipe, at('build'), { cacheDir: at('cache') }))
    expect(error).to.have.property('code', 'ERR_KERNEL_CONFIG')
    expect(error.message).to.include('CONFIG_REFUSED').and.not.include('CONFIG_A')
    expect(await codeOf(() => stat(at('build/linux/linux')))).to.equal('ENOENT')
  })

  it('fails where a patch does not apply', async () => {
    await using directory = await temporaryDirectory()
    const at = (name: string) => join(directory.path, name)
    const source = await toySource(at('source'), at('cache'))
    const recipe = await toyRecipe(at('recipe'), 'CONFIG_A=y\n')
    await writeFile(
      at('recipe/patches/0001-message.patch'),
      '--- a/message.h\n+++ b/message.h\n@@ -1 +1 @@\n-x\n+y\n'
    )
    expect(await codeOf(() => buildKernel(source, recipe, at('build'), { cacheDir: at('cache') }))).to.equal(
      'ERR_KERNEL_BUILD'
    )
  })

  it('tells what the compiler said', async () => {
    await using directory = await temporaryDirectory()
    const at = (name: string) => join(directory.path, name)
    const source = await toySource(at('source'), at('cache'))
    const recipe = await toyRecipe(at('recipe'), 'CONFIG_A=y\n', '" undeclared_name "')
    const error = await errorOf(() => buildKernel(source, recipe, at('build'), { cacheDir: at('cache') }))
    expect(error).to.have.property('code', 'ERR_KERNEL_BUILD')
    expect(error.message).to.include('undeclared_name')
  })

  it('stops when it is aborted, with every program that it started', async () => {
    await using directory = await temporaryDirectory()
    const at = (name: string) => join(directory.path, name)
    const source = await toySource(at('source'), at('cache'))
    const recipe = await toyRecipe(at('recipe'), 'CONFIG_SLOW=y\n')
    const stop = new AbortController()
    const progress = ({ detail }: ProgressEvent) => {
      if (detail?.startsWith('CC') === true) stop.abort(new Error('enough'))
    }
    const options = { cacheDir: at('cache'), signal: stop.signal, progress }
    expect((await errorOf(() => buildKernel(source, recipe, at('build'), options))).message).to.equal(
      'enough'
    )
    expect(processesWith('1000.25')).to.deep.equal([])
  })

  it('refuses a package that is damaged or holds no source', async () => {
    await using directory = await temporaryDirectory()
    const at = (name: string) => join(directory.path, name)
    const source = await toySource(at('source'), at('cache'))
    const recipe = await toyRecipe(at('recipe'), 'CONFIG_A=y\n')
    const elsewhere = { ...source, package: 'linux-source-7.98' }
    expect(
      await codeOf(() => buildKernel(elsewhere, recipe, at('build-1'), { cacheDir: at('cache') }))
    ).to.equal('ERR_SOURCE_DIGEST')
    const deb = join(at('cache'), 'sources', `${source.sha256}.deb`)
    await writeFile(deb, (await readFile(deb)).subarray(0, 700))
    expect(
      await codeOf(() => buildKernel(source, recipe, at('build-2'), { cacheDir: at('cache') }))
    ).to.equal('ERR_SOURCE_DIGEST')
  })

  it('gives the same bytes in another directory', async () => {
    await using directory = await temporaryDirectory()
    const at = (name: string) => join(directory.path, name)
    const source = await toySource(at('source'), at('cache'))
    const recipe = await toyRecipe(at('recipe'), 'CONFIG_A=y\n')
    const build = async (name: string) =>
      fileSha256(await buildKernel(source, recipe, at(name), { cacheDir: at('cache') }))
    expect(await build('one')).to.equal(await build('two/deeper'))
  })

  it('refuses a source in which kernort has no place', async () => {
    await using directory = await temporaryDirectory()
    await mkdir(join(directory.path, 'security'))
    await writeFile(join(directory.path, 'security/Kconfig'), 'menu\nendmenu\n')
    const recipe = await toyRecipe(join(directory.path, 'recipe'), '')
    expect(await codeOf(() => graftKernort(directory.path, recipe))).to.equal('ERR_KERNEL_CONFIG')
  })
})
