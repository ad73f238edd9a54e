/** The files of ours that go into the guest: what they are, and one digest over them. */
import { createHash } from 'node:crypto'
import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Files below `directory`, as sorted relative paths.
 *
 * @param patterns - globs, relative to `directory`
 * @param excluded - first parts of paths that are left out: `harness/`
 */
export async function sourceFiles(
  directory: string,
  patterns: readonly string[],
  excluded: readonly string[] = []
): Promise<string[]> {
  const found = new Set<string>()
  for (const pattern of patterns)
    for await (const entry of glob(pattern, { cwd: directory, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name).slice(directory.length + 1)
      if (!excluded.some((prefix) => path.startsWith(prefix))) found.add(path)
    }
  return [...found].toSorted()
}

/** SHA-256 over names and contents of `files`, in hex. */
export async function filesSha256(directory: string, files: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const file of files) {
    const content = createHash('sha256').update(await readFile(join(directory, file)))
    hash.update(`${content.digest('hex')}  ${file}\n`)
  }
  return hash.digest('hex')
}
