/** Does a kernel manifest say what anybody gets who builds from its inputs? */
import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { KernelInputs, KernelManifest } from '../../src/documents/index.ts'
import { FactoryError } from '../../src/errors.ts'
import type { BuiltKernel } from './kernel.ts'
import { stampOf } from './kernel-stamper.ts'
import { stampKernel } from './stamp.ts'

/** What the manifest says, and what came out here. */
export interface Reproduction {
  base: { said: string; made: string }
  kernel: { said: string; made: string }
  isSame: boolean
}

/**
 * Compare a manifest with a base kernel that was built here, and with what its stamp makes of that.
 *
 * @param directory - where the stamped kernel may lie for a moment
 * @throws ERR_KERNEL_INPUTS when this one was built from something else; the message names it
 * @throws ERR_KERNEL_FORMAT, ERR_STAMP when what was built cannot be stamped
 */
export async function reproduceKernel(
  manifest: Pick<KernelManifest, 'base' | 'kernel' | 'stamp'>,
  built: Pick<BuiltKernel, 'path' | 'digest' | 'inputs'>,
  directory: string
): Promise<Reproduction> {
  const others = differences(manifest.base.inputs, built.inputs)
  if (others.length > 0)
    throw new FactoryError(
      'ERR_KERNEL_INPUTS',
      `the kernel of the manifest was built from other inputs than there are here: ${others.join('; ')}`
    )
  const path = join(directory, `stamped-${randomUUID()}`)
  try {
    const { digest } = await stampKernel(built.path, path, stampOf(manifest.stamp))
    const base = { said: manifest.base.digest, made: built.digest }
    const kernel = { said: manifest.kernel.digest, made: digest }
    return { base, kernel, isSame: base.said === base.made && kernel.said === kernel.made }
  } finally {
    await rm(path, { force: true })
  }
}

/** One line for each input that differs. */
function differences(said: KernelInputs, here: KernelInputs): string[] {
  const lines = (inputs: KernelInputs): Map<string, string> =>
    new Map([
      ['source', `${inputs.source.package} ${inputs.source.version} ${inputs.source.digest}`],
      ...(['config', 'patches', 'kernort', 'settings'] as const).map((name) => [name, inputs[name]] as const),
      ...Object.entries(inputs.toolchain)
    ])
  const ours = lines(here)
  return [...lines(said)].flatMap(([name, value]) => {
    const own = ours.get(name) ?? 'none'
    return own === value ? [] : [`${name} is ${value}, here ${own}`]
  })
}
