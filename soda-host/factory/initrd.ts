/** The initial RAM disk of every guest: our init, one static binary, and the console that Linux opens for it. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FactoryError } from '../../src/errors.ts'
import { inputsSha256, sweepWork, workDirectory } from './cache.ts'
import { run } from './command.ts'
import { MODE_CHARACTER_DEVICE, MODE_DIRECTORY, MODE_FILE, packCpio } from './cpio.ts'
import { withLock } from './lock.ts'
import type { FactoryOptions } from './progress.ts'
import type { BuiltFile } from './result.ts'
import { findResult, storeResult } from './result.ts'
import { filesSha256, sourceFiles } from './source-tree.ts'
import { toolchainInputs } from './toolchain.ts'

const GUEST_INIT_DIR = join(import.meta.dirname, '../virtual-server/guest-init')

const COMPILER_FLAGS = [
  '-std=gnu11',
  '-static',
  '-Os',
  '-Wall',
  '-Wextra',
  '-fno-asynchronous-unwind-tables',
  '-s'
]

/**
 * The initrd of this repository's guest init: from the cache if its inputs are the same, else built.
 *
 * @param sourceDir - the C sources; their place does not matter to the result
 * @throws ERR_KERNEL_BUILD when there is no source or it does not compile
 */
export async function ensureInitrd(options: FactoryOptions, sourceDir = GUEST_INIT_DIR): Promise<BuiltFile> {
  const { cacheDir, progress, signal } = options
  const files = await sourceFiles(sourceDir, ['**/*.c', '**/*.h'])
  if (files.length === 0)
    throw new FactoryError('ERR_KERNEL_BUILD', `${sourceDir}: no sources of the guest init`)
  const toolchain = await toolchainInputs(signal)
  const inputs = inputsSha256({
    files: await filesSha256(sourceDir, files),
    flags: JSON.stringify(COMPILER_FLAGS),
    layout: packInitrd(Buffer.alloc(0)).toString('latin1'),
    ...toolchain
  })
  const find = (): Promise<BuiltFile | undefined> => findResult(cacheDir, 'initrds', inputs)
  const found = await find()
  if (found !== undefined) return found
  return await withLock(join(cacheDir, 'initrd.lock'), { signal }, async () => {
    const made = await find()
    if (made !== undefined) return made
    await sweepWork(cacheDir, 'initrd')
    await using work = await workDirectory(cacheDir, 'initrd')
    progress?.({ task: 'compiling the guest init' })
    const path = join(work.path, 'initrd.cpio')
    await writeFile(path, packInitrd(await compileInit(sourceDir, files, work.path, signal)))
    const built = await storeResult(cacheDir, 'initrds', inputs, { path, name: 'initrd.cpio' })
    progress?.({ task: 'compiling the guest init', isDone: true })
    return built
  })
}

async function compileInit(
  sourceDir: string,
  files: readonly string[],
  workDir: string,
  signal: AbortSignal | undefined
): Promise<Buffer> {
  const output = join(workDir, 'init')
  const sources = files.filter((file) => file.endsWith('.c'))
  // Relative names from a fixed place: the compiler writes no path of this machine into the binary.
  await run('gcc', [...COMPILER_FLAGS, '-o', output, ...sources], {
    code: 'ERR_KERNEL_BUILD',
    cwd: sourceDir,
    signal
  })
  return await readFile(output)
}

function packInitrd(init: Uint8Array): Buffer {
  const directory = (name: string): { name: string; mode: number } => ({ name, mode: MODE_DIRECTORY | 0o755 })
  return packCpio([
    directory('dev'),
    { name: 'dev/console', mode: MODE_CHARACTER_DEVICE | 0o600, device: { major: 5, minor: 1 } },
    ...['proc', 'sys', 'mnt', 'tmp'].map(directory),
    { name: 'init', mode: MODE_FILE | 0o755, data: init }
  ])
}
