/** Two builds of the guest kernel in different directories: how long, how large, and whether they are the same. */
import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { fileSha256, workDirectory } from '../soda-host/factory/cache.ts'
import { buildKernel } from '../soda-host/factory/kernel-build.ts'
import { readKernelRecipe } from '../soda-host/factory/kernel-recipe.ts'
import { fetchKernelSource } from '../soda-host/factory/kernel-source.ts'
import { withLock } from '../soda-host/factory/lock.ts'
import { progressLine } from '../src/setup/index.ts'
import { row, type BenchContext, type Row } from './report.ts'

/** A build takes minutes, so there are two samples; more would say little more. */
const BUILDS = ['one', 'two/much/deeper']

interface Build {
  seconds: number
  bytes: number
  /** Of its code and data: Kernort. */
  kernortBytes: number
  sha256: string
}

export async function bench({ artifacts }: BenchContext): Promise<Row[]> {
  const options = { cacheDir: dirname(artifacts), progress: progressLine() }
  const recipe = await readKernelRecipe()
  const builds = await withLock(join(options.cacheDir, 'kernel.lock'), {}, async () => {
    const source = await fetchKernelSource(options)
    const done: Build[] = []
    for (const name of BUILDS) {
      await using work = await workDirectory(options.cacheDir, 'kernel')
      const started = performance.now()
      const kernel = await buildKernel(source, recipe, join(work.path, name), options)
      const seconds = (performance.now() - started) / 1000
      const kernortBytes = await sizeOf(join(work.path, name, 'linux/security/kernort/built-in.a'))
      done.push({ seconds, kernortBytes, bytes: (await stat(kernel)).size, sha256: await fileSha256(kernel) })
    }
    return done
  })
  const digests = new Set(builds.map(({ sha256 }) => sha256))
  if (digests.size !== 1) throw new Error(`the builds differ: ${[...digests].join(', ')}`)
  return [
    row(
      'kernel: source to stripped file',
      's',
      builds.map(({ seconds }) => seconds)
    ),
    row(
      'kernel: stripped size',
      'MB',
      builds.map(({ bytes }) => bytes / 1e6)
    ),
    row(
      'kernel: of it Kernort, code and data',
      'MB',
      builds.map(({ kernortBytes }) => kernortBytes / 1e6)
    ),
    row('kernel: different digests of two builds', 'digests', [digests.size])
  ]
}

/** Code and data of the objects in an archive; what is only zeros takes no place in a file. */
async function sizeOf(archive: string): Promise<number> {
  const { stdout } = await execa('size', ['--totals', archive])
  const [text = 0, data = 0] = (stdout.split('\n').at(-1) ?? '').trim().split(/\s+/).map(Number)
  return text + data
}
