import { cp, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { RecipeLocations } from '../../../soda-host/factory/kernel-recipe.ts'
import { kernelInputsSha256, readKernelRecipe } from '../../../soda-host/factory/kernel-recipe.ts'
import { KERNEL_SOURCE } from '../../../soda-host/factory/pins.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const TOOLCHAIN = { compiler: 'gcc 12', linker: 'ld 2.40', assembler: 'as 2.40', libc: 'abc' }

async function makeRecipe(directory: string): Promise<RecipeLocations> {
  const locations = {
    configPath: join(directory, 'kernel.config'),
    patchesDir: join(directory, 'patches'),
    kernortDir: join(directory, 'kernort')
  }
  await mkdir(join(locations.kernortDir, 'linux'), { recursive: true })
  await mkdir(join(locations.kernortDir, 'harness'))
  await mkdir(locations.patchesDir)
  await writeFile(locations.configPath, 'CONFIG_A=y\n')
  await writeFile(join(locations.patchesDir, '0001-first.patch'), 'one')
  await writeFile(join(locations.kernortDir, 'Kconfig'), 'config K\n')
  await writeFile(join(locations.kernortDir, 'Makefile'), 'kernort-y := linux/lsm.o\n')
  await writeFile(join(locations.kernortDir, 'linux/lsm.c'), 'int a;\n')
  await writeFile(join(locations.kernortDir, 'linux/hooks.c'), 'int h;\n')
  return locations
}

const digest = async (
  locations: RecipeLocations,
  source: string = KERNEL_SOURCE.sha256,
  toolchain = TOOLCHAIN
) => kernelInputsSha256({ ...KERNEL_SOURCE, sha256: source }, await readKernelRecipe(locations), toolchain)

const CHANGES: Record<string, (at: RecipeLocations) => Promise<unknown>> = {
  'the configuration': (at) => writeFile(at.configPath, 'CONFIG_A=n\n'),
  'the content of a patch': (at) => writeFile(join(at.patchesDir, '0001-first.patch'), 'two'),
  'the order of patches': (at) =>
    rename(join(at.patchesDir, '0001-first.patch'), join(at.patchesDir, '0009-first.patch')),
  'one more patch': (at) => writeFile(join(at.patchesDir, '0002-second.patch'), ''),
  'a source of kernort': (at) => writeFile(join(at.kernortDir, 'linux/lsm.c'), 'int b;\n'),
  'one more source of kernort that is compiled in': (at) =>
    writeFile(join(at.kernortDir, 'Makefile'), 'kernort-y := linux/lsm.o\nkernort-y += linux/hooks.o\n'),
  'one more empty header': (at) => writeFile(join(at.kernortDir, 'linux/new.h'), ''),
  'the options of kernort': (at) => writeFile(join(at.kernortDir, 'Kconfig'), 'config L\n')
}

describe('factory: digest of a kernel’s inputs', () => {
  for (const [what, change] of Object.entries(CHANGES))
    it(`changes with ${what}`, async () => {
      await using directory = await temporaryDirectory()
      const locations = await makeRecipe(directory.path)
      const before = await digest(locations)
      await change(locations)
      expect(await digest(locations)).to.not.equal(before)
    })

  it('changes with the source package and with each part of the toolchain', async () => {
    await using directory = await temporaryDirectory()
    const locations = await makeRecipe(directory.path)
    const digests = [await digest(locations), await digest(locations, 'f'.repeat(64))]
    for (const part of Object.keys(TOOLCHAIN))
      digests.push(await digest(locations, undefined, { ...TOOLCHAIN, [part]: 'another' }))
    expect(new Set(digests)).to.have.length(digests.length)
  })

  it('changes neither with the place nor with files that run in user space, objects or notes', async () => {
    await using directory = await temporaryDirectory()
    const first = join(directory.path, 'first')
    const second = join(directory.path, 'second')
    const locations = await makeRecipe(first)
    const before = await digest(locations)
    await cp(first, second, { recursive: true })
    const moved = {
      configPath: join(second, 'kernel.config'),
      patchesDir: join(second, 'patches'),
      kernortDir: join(second, 'kernort')
    }
    for (const file of ['harness/main.c', 'linux/lsm.o', 'notes.md'])
      await writeFile(join(moved.kernortDir, file), 'x')
    await writeFile(join(moved.patchesDir, 'README.md'), 'x')
    expect(await digest(moved)).to.equal(before)
  })
})
