/** What a kernel is made of besides its source package, and the digest by which it is found again. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { digestOf, type KernelInputs } from '../../src/documents/index.ts'
import { inputsSha256 } from './cache.ts'
import type { KernelSource } from './kernel-source.ts'
import { KERNEL_MAKE_SETTINGS } from './pins.ts'
import { filesSha256, sourceFiles } from './source-tree.ts'
import type { Toolchain } from './toolchain.ts'

const FACTORY_DIR = import.meta.dirname

/** Of kernort, what runs in user space only stays out of the kernel and out of its digest. */
const KERNORT_PATTERNS = ['**/*.h', 'Kconfig', 'Makefile']
const KERNORT_EXCLUDED = ['harness/', 'env/user/', 'rules/']

export interface KernelRecipe {
  config: string
  patchesDir: string
  /** Relative to `patchesDir`, in the order in which they are applied. */
  patchFiles: string[]
  kernortDir: string
  /** Relative to `kernortDir`. */
  kernortFiles: string[]
}

export interface RecipeLocations {
  configPath: string
  patchesDir: string
  kernortDir: string
}

const REPOSITORY_LOCATIONS: RecipeLocations = {
  configPath: join(FACTORY_DIR, 'kernel.config'),
  patchesDir: join(FACTORY_DIR, 'patches'),
  kernortDir: join(FACTORY_DIR, '../kernort')
}

/** Read the recipe that this repository holds, or one that lies elsewhere. */
export async function readKernelRecipe(
  locations: RecipeLocations = REPOSITORY_LOCATIONS
): Promise<KernelRecipe> {
  const { configPath, patchesDir, kernortDir } = locations
  return {
    config: await readFile(configPath, 'utf8'),
    patchesDir,
    patchFiles: await sourceFiles(patchesDir, ['*.patch']),
    kernortDir,
    kernortFiles: await kernortFiles(kernortDir)
  }
}

/** Headers, and the sources that the Makefile names: others lie there before they are compiled in. */
async function kernortFiles(directory: string): Promise<string[]> {
  const makefile = await readFile(join(directory, 'Makefile'), 'utf8')
  const sources = [...makefile.matchAll(/\S+\/\w+(?=\.o\b)/g)].map(([name]) => `${name}.c`)
  return [...(await sourceFiles(directory, KERNORT_PATTERNS, KERNORT_EXCLUDED)), ...sources].sort()
}

/** Digest, in hex, of all that decides over the bytes of a kernel. */
export async function kernelInputsSha256(
  source: KernelSource,
  recipe: KernelRecipe,
  toolchain: Toolchain
): Promise<string> {
  return inputsSha256({
    source: source.sha256,
    config: recipe.config,
    patches: await filesSha256(recipe.patchesDir, recipe.patchFiles),
    kernort: await filesSha256(recipe.kernortDir, recipe.kernortFiles),
    settings: JSON.stringify(KERNEL_MAKE_SETTINGS),
    ...toolchain
  })
}

/** The same, as a kernel manifest says it. */
export async function kernelInputs(
  source: KernelSource,
  recipe: KernelRecipe,
  toolchain: Toolchain
): Promise<KernelInputs> {
  return {
    source: { package: source.package, version: source.version, digest: `sha256:${source.sha256}` },
    config: digestOf(recipe.config),
    patches: `sha256:${await filesSha256(recipe.patchesDir, recipe.patchFiles)}`,
    kernort: `sha256:${await filesSha256(recipe.kernortDir, recipe.kernortFiles)}`,
    settings: digestOf(JSON.stringify(KERNEL_MAKE_SETTINGS)),
    toolchain: { ...toolchain, libc: `sha256:${toolchain.libc}` }
  }
}
