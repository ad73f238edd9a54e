/** From a source package to a stripped guest kernel, in one directory that is thrown away afterwards. */
import { appendFile, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { FactoryError } from '../../src/errors.ts'
import type { CommandOptions } from './command.ts'
import { run } from './command.ts'
import { parseKernelConfig, verifyKernelConfig } from './kernel-config.ts'
import type { KernelRecipe } from './kernel-recipe.ts'
import type { KernelSource } from './kernel-source.ts'
import { unpackKernelSource } from './kernel-source.ts'
import { KERNEL_BUILD_STEPS, KERNEL_BUILD_TIMEOUT_MS, KERNEL_MAKE_SETTINGS } from './pins.ts'
import type { FactoryOptions, ProgressListener } from './progress.ts'

interface Make {
  tree: string
  jobs: number
  options: CommandOptions
}

function make({ tree, jobs, options }: Make, targets: readonly string[]): Promise<string> {
  const settings = Object.entries(KERNEL_MAKE_SETTINGS).map(([name, value]) => `${name}=${value}`)
  return run('make', [`--jobs=${jobs}`, ...settings, ...targets], { ...options, cwd: tree })
}

/** True for the lines by which kbuild tells what it does: `  CC      kernel/fork.o`. */
export function isBuildStep(line: string): boolean {
  return /^ {2}(?:\[M\])?[A-Z][A-Z0-9_]*(?: \[M\])? +\S/.test(line)
}

/** Puts `kernort/` into the tree as a security module among the others. */
export async function graftKernort(tree: string, recipe: KernelRecipe): Promise<void> {
  for (const file of recipe.kernortFiles) {
    const target = join(tree, 'security/kernort', file)
    await mkdir(dirname(target), { recursive: true })
    await copyFile(join(recipe.kernortDir, file), target)
  }
  const kconfig = join(tree, 'security/Kconfig')
  const text = await readFile(kconfig, 'utf8')
  const neighbour = 'source "security/yama/Kconfig"\n'
  if (!text.includes(neighbour))
    throw new FactoryError('ERR_KERNEL_CONFIG', 'security/Kconfig of this kernel has no place for kernort')
  await writeFile(kconfig, text.replace(neighbour, `${neighbour}source "security/kernort/Kconfig"\n`))
  await appendFile(join(tree, 'security/Makefile'), '\nobj-$(CONFIG_SECURITY_KERNORT)\t\t+= kernort/\n')
}

async function applyPatches(
  tree: string,
  recipe: KernelRecipe,
  signal: AbortSignal | undefined
): Promise<void> {
  for (const patch of recipe.patchFiles)
    await run('patch', ['--strip=1', '--forward', '--batch', '--input', join(recipe.patchesDir, patch)], {
      code: 'ERR_KERNEL_BUILD',
      cwd: tree,
      signal
    })
}

async function configure(context: Make, recipe: KernelRecipe): Promise<void> {
  const wishes = join(context.tree, 'ishare.config')
  await writeFile(wishes, recipe.config)
  await make(context, [`KCONFIG_ALLCONFIG=${wishes}`, 'allnoconfig'])
  const actual = parseKernelConfig(await readFile(join(context.tree, '.config'), 'utf8'))
  verifyKernelConfig(parseKernelConfig(recipe.config), actual)
}

async function compile(context: Make, progress: ProgressListener | undefined): Promise<void> {
  const task = 'compiling the guest kernel'
  let steps = 0
  const onLine = (line: string): void => {
    if (!isBuildStep(line)) return
    steps++
    // The number of steps is a measured one: the last percent waits for the end.
    const fraction = Math.min(steps / KERNEL_BUILD_STEPS, 0.99)
    progress?.({ task, fraction, detail: line.trim().replace(/ +/, ' ') })
  }
  progress?.({ task, fraction: 0 })
  await make({ ...context, options: { ...context.options, onLine } }, ['linux'])
  progress?.({ task, isDone: true, detail: `${steps} steps` })
}

/**
 * Build the kernel in `directory` (empty, needs 2.5 GB) and return the path of the stripped file.
 *
 * @throws ERR_KERNEL_CONFIG when the source does not grant the wanted configuration
 * @throws ERR_KERNEL_BUILD when a patch does not apply or a step of the build fails
 */
export async function buildKernel(
  source: KernelSource,
  recipe: KernelRecipe,
  directory: string,
  options: FactoryOptions
): Promise<string> {
  const { progress, signal } = options
  const tree = join(directory, 'linux')
  await unpackKernelSource(source, tree, options)
  await applyPatches(tree, recipe, signal)
  await graftKernort(tree, recipe)
  const commandOptions = { code: 'ERR_KERNEL_BUILD', signal, timeoutMs: KERNEL_BUILD_TIMEOUT_MS } as const
  const context = { tree, jobs: availableParallelism(), options: commandOptions }
  await configure(context, recipe)
  await compile(context, progress)
  const kernel = join(directory, 'linux.stripped')
  await run('strip', ['--strip-all', '-o', kernel, join(tree, 'linux')], commandOptions)
  return kernel
}
