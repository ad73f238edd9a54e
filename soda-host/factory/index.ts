/**
 * The factory: guest kernel, initial RAM disk and images, each built from pinned and signed sources, cached by the
 * digest of what it was made from, and listed in `artifacts.json`.
 *
 * @packageDocumentation
 */
import { join } from 'node:path'
import type { Artifacts } from './artifacts.ts'
import { writeArtifacts } from './artifacts.ts'
import { ensureImage, BUILT_IN_IMAGES } from './images.ts'
import { ensureInitrd } from './initrd.ts'
import { ensureKernel } from './kernel.ts'
import type { FactoryOptions } from './progress.ts'

export type { Artifacts } from './artifacts.ts'
export { readArtifacts } from './artifacts.ts'
export { run } from './command.ts'
export { aptFraction } from './apt-output.ts'
export { ensureKernel, withRebuiltKernel } from './kernel.ts'
export { keepBaseKernel, kernelStamper, type KernelStamper } from './kernel-stamper.ts'
export { readStamp, stampKernel, type Stamp } from './stamp.ts'
export { reproduceKernel, type Reproduction } from './reproduce.ts'
export type { StoredImage } from './image-store.ts'
export { importImage } from './image-store.ts'
export type { FactoryOptions, ProgressEvent, ProgressListener } from './progress.ts'

/**
 * Make sure that everything a virtual server starts from is in the cache, and list it.
 *
 * @returns what there is, and the path of the file that lists it
 * @throws FactoryError of the step that failed; what was finished before stays in the cache
 */
export async function ensureArtifacts(
  options: FactoryOptions
): Promise<{ path: string; artifacts: Artifacts }> {
  const kernel = await ensureKernel(options)
  const initrd = await ensureInitrd(options)
  const images = []
  for (const name of BUILT_IN_IMAGES) images.push(await ensureImage(name, options))
  const artifacts = {
    kernel: { path: kernel.path, digest: kernel.digest, inputs: kernel.inputs },
    initrd: { path: initrd.path, digest: initrd.digest },
    images
  }
  const path = join(options.cacheDir, 'artifacts.json')
  await writeArtifacts(path, artifacts)
  return { path, artifacts }
}
