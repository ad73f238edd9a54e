/** The guest kernel, built once for each set of inputs. */
import { join } from 'node:path'
import type { KernelInputs } from '../../src/documents/index.ts'
import { FactoryError } from '../../src/errors.ts'
import { sweepWork, workDirectory } from './cache.ts'
import { buildKernel } from './kernel-build.ts'
import { kernelInputs, kernelInputsSha256, readKernelRecipe, type KernelRecipe } from './kernel-recipe.ts'
import type { KernelSource } from './kernel-source.ts'
import { fallbackText, fetchKernelSource, rememberedFallback } from './kernel-source.ts'
import { withLock } from './lock.ts'
import { KERNEL_SOURCE } from './pins.ts'
import type { FactoryOptions } from './progress.ts'
import type { BuiltFile } from './result.ts'
import { describeFile, findResult, storeResult } from './result.ts'
import { toolchainInputs, type Toolchain } from './toolchain.ts'

export interface BuiltKernel extends BuiltFile {
  /** What it was built from. */
  inputs: KernelInputs
}

interface Inputs {
  recipe: KernelRecipe
  toolchain: Toolchain
}

async function readInputs(signal: AbortSignal | undefined): Promise<Inputs> {
  return { recipe: await readKernelRecipe(), toolchain: await toolchainInputs(signal) }
}

const keyOf = (source: KernelSource, { recipe, toolchain }: Inputs): Promise<string> =>
  kernelInputsSha256(source, recipe, toolchain)

const described = async (
  file: BuiltFile,
  source: KernelSource,
  { recipe, toolchain }: Inputs
): Promise<BuiltKernel> => ({ ...file, inputs: await kernelInputs(source, recipe, toolchain) })

/**
 * The guest kernel of this repository: from the cache if its inputs are the same, else built.
 *
 * @throws ERR_SOURCE_FETCH, ERR_SOURCE_DIGEST, ERR_KERNEL_CONFIG, ERR_KERNEL_BUILD; each says what to look at
 */
export async function ensureKernel(options: FactoryOptions): Promise<BuiltKernel> {
  const { cacheDir, progress, signal } = options
  const inputs = await readInputs(signal)
  const cached = async (): Promise<BuiltKernel | undefined> => {
    const pinned = await findResult(cacheDir, 'kernels', await keyOf(KERNEL_SOURCE, inputs))
    if (pinned !== undefined) return described(pinned, KERNEL_SOURCE, inputs)
    const fallback = await rememberedFallback(cacheDir)
    if (fallback === undefined) return undefined
    const built = await findResult(cacheDir, 'kernels', await keyOf(fallback, inputs))
    if (built === undefined) return undefined
    progress?.({ task: fallbackText(fallback), isWarning: true })
    return described(built, fallback, inputs)
  }
  const found = await cached()
  if (found !== undefined) return found
  return await withKernelLock(options, async () => {
    const made = await cached()
    if (made !== undefined) return made
    const source = await fetchKernelSource(options)
    await using work = await workDirectory(cacheDir, 'kernel')
    const path = await build(source, inputs, work.path, options)
    const stored = await storeResult(cacheDir, 'kernels', await keyOf(source, inputs), {
      path,
      name: 'linux'
    })
    return await described(stored, source, inputs)
  })
}

/**
 * The same, built anew whatever the cache holds; `use` sees it, then it is gone.
 *
 * @throws as {@link ensureKernel}
 */
export async function withRebuiltKernel<T>(
  options: FactoryOptions,
  use: (kernel: BuiltKernel) => Promise<T>
): Promise<T> {
  const inputs = await readInputs(options.signal)
  return await withKernelLock(options, async () => {
    const source = await fetchKernelSource(options)
    await using work = await workDirectory(options.cacheDir, 'kernel')
    const file = await describeFile(await build(source, inputs, work.path, options))
    return await use(await described(file, source, inputs))
  })
}

async function withKernelLock<T>(
  { cacheDir, progress, signal }: FactoryOptions,
  body: () => Promise<T>
): Promise<T> {
  const onWait = (): void => progress?.({ task: 'waiting for another process that builds the kernel' })
  return await withLock(join(cacheDir, 'kernel.lock'), { signal, onWait }, async () => {
    await sweepWork(cacheDir, 'kernel')
    return await body()
  })
}

async function build(
  source: KernelSource,
  inputs: Inputs,
  directory: string,
  options: FactoryOptions
): Promise<string> {
  const key = await keyOf(source, inputs)
  const path = await buildKernel(source, inputs.recipe, directory, options)
  // Somebody may have edited kernort meanwhile: what was built then belongs to no key.
  if ((await keyOf(source, inputs)) !== key)
    throw new FactoryError('ERR_KERNEL_BUILD', 'the sources of kernort changed during the build; start again')
  return path
}
