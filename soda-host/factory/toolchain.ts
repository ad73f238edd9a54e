/** What compiles for the guest, and how one toolchain is told from another. */
import { FactoryError } from '../../src/errors.ts'
import { fileSha256 } from './cache.ts'
import { run } from './command.ts'

/** Versions as the programs say them, and the SHA-256 of the static C library in hex. */
export interface Toolchain {
  compiler: string
  linker: string
  assembler: string
  libc: string
}

/**
 * Everything of the machine that ends up in a static binary: versions of compiler and linker, and the C library.
 *
 * @throws ERR_KERNEL_BUILD when there is no compiler, or no static C library
 */
export async function toolchainInputs(signal?: AbortSignal): Promise<Toolchain> {
  const options = { code: 'ERR_KERNEL_BUILD', signal } as const
  const firstLine = async (program: string): Promise<string> =>
    (await run(program, ['--version'], options)).split('\n')[0] ?? ''
  const [compiler, linker, assembler, library] = await Promise.all([
    firstLine('gcc'),
    firstLine('ld'),
    firstLine('as'),
    run('gcc', ['-print-file-name=libc.a'], options)
  ])
  if (!library.startsWith('/'))
    throw new FactoryError('ERR_KERNEL_BUILD', 'gcc finds no libc.a: install the package libc6-dev')
  return { compiler, linker, assembler, libc: await fileSha256(library.trim(), signal) }
}
