/**
 * Files that the factory made from known inputs: `<kind>/<digest of the inputs>/{file,result.json}`.
 *
 * The result names the digest of the file, which is checked at every use: a damaged file is built again.
 */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { fileSha256, publishFile, writeFileAtomically } from './cache.ts'

/** A file by place and content. */
export interface BuiltFile {
  path: string
  /** `sha256:<hex>` */
  digest: string
  sizeBytes: number
}

export const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const resultSchema = z.object({ file: z.string().regex(/^[\w.-]{1,64}$/), digest: digestSchema })

/** The file made from these inputs, if it is here and whole. */
export async function findResult(
  cacheDir: string,
  kind: string,
  inputs: string
): Promise<BuiltFile | undefined> {
  const directory = join(cacheDir, kind, inputs)
  try {
    const result = resultSchema.parse(JSON.parse(await readFile(join(directory, 'result.json'), 'utf8')))
    const built = await describeFile(join(directory, result.file))
    return built.digest === result.digest ? built : undefined
  } catch {
    return undefined
  }
}

/** Keep a finished file as what these inputs make. It is moved: both places are on one file system. */
export async function storeResult(
  cacheDir: string,
  kind: string,
  inputs: string,
  finished: { path: string; name: string }
): Promise<BuiltFile> {
  const directory = join(cacheDir, kind, inputs)
  const path = join(directory, finished.name)
  await publishFile(finished.path, path)
  const built = await describeFile(path)
  const result = { file: finished.name, digest: built.digest }
  await writeFileAtomically(join(directory, 'result.json'), `${JSON.stringify(result, null, 2)}\n`)
  return built
}

export async function describeFile(path: string): Promise<BuiltFile> {
  const { size } = await stat(path)
  return { path, digest: `sha256:${await fileSha256(path)}`, sizeBytes: size }
}
