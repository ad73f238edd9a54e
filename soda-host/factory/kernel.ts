/** The guest kernel, built once for each set of inputs. */
import { join } from 'node:path'
import { FactoryError } from '../../src/errors.ts'
import { sweepWork, workDirectory } from './cache.ts'
import { buildKernel } from './kernel-build.ts'
import { kernelInputsSha256, readKernelRecipe } from './kernel-recipe.ts'
import type { KernelSource } from './kernel-source.ts'
import { fallbackText, fetchKernelSource, rememberedFallback } from './kernel-source.ts'
import { withLock } from './lock.ts'
import { KERNEL_SOURCE } from './pins.ts'
import type { FactoryOptions } from './progress.ts'
import type { BuiltFile } from './result.ts'
import { findResult, storeResult } from './result.ts'
import { toolchainInputs } from './toolchain.ts'

/**
 * The guest kernel of this repository: from the cache if its inputs are the same, else built.
 *
 * @throws ERR_SOURCE_FETCH, ERR_SOURCE_DIGEST, ERR_KERNEL_CONFIG, ERR_KERNEL_BUILD; each says what to look at
 */
export async function ensureKernel(options: FactoryOptions): Promise<BuiltFile> {
  const { cacheDir, progress, signal } = options
  const recipe = await readKernelRecipe()
  const toolchain = await toolchainInputs(signal)
  const keyFor = (source: KernelSource): Promise<string> => kernelInputsSha256(source, recipe, toolchain)
  const cached = async (): Promise<BuiltFile | undefined> => {
    const pinned = await findResult(cacheDir, 'kernels', await keyFor(KERNEL_SOURCE))
    if (pinned !== undefined) return pinned
    const fallback = await rememberedFallback(cacheDir)
    if (fallback === undefined) return undefined
    const built = await findResult(cacheDir, 'kernels', await keyFor(fallback))
    if (built !== undefined) progress?.({ task: fallbackText(fallback), isWarning: true })
    return built
  }
  const found = await cached()
  if (found !== undefined) return found
  const onWait = (): void => progress?.({ task: 'waiting for another process that builds the kernel' })
  return await withLock(join(cacheDir, 'kernel.lock'), { signal, onWait }, async () => {
    const made = await cached()
    if (made !== undefined) return made
    await sweepWork(cacheDir, 'kernel')
    const source = await fetchKernelSource(options)
    const key = await keyFor(source)
    await using work = await workDirectory(cacheDir, 'kernel')
    const path = await buildKernel(source, recipe, work.path, options)
    // Somebody may have edited kernort meanwhile: what was built then belongs to no key.
    if ((await keyFor(source)) !== key)
      throw new FactoryError(
        'ERR_KERNEL_BUILD',
        'the sources of kernort changed during the build; start again'
      )
    return await storeResult(cacheDir, 'kernels', key, { path, name: 'linux' })
  })
}
