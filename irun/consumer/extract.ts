/**
 * Output files from a tar on disk into the user's directory.
 *
 * First the whole tar is read and judged (see FileTree); then it is unpacked into a directory of its own within
 * the target, which only this run uses; then each file is moved to its place by rename. A kill leaves no half
 * file under a real name, and beginning again begins anew. Directories that are there already must be
 * directories: through a link nothing is written.
 */
import { createReadStream } from 'node:fs'
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { extract } from 'tar-stream'
import { RunError } from '../../src/errors.ts'
import { FileTree, type TreeEntry } from './file-tree.ts'

type Entry = ReturnType<typeof extract> extends AsyncIterable<infer E> ? E : never

export interface ExtractInit {
  tarPath: string
  /** Made if absent. */
  outDir: string
  runId: string
  /** For the contents of all files together. */
  bytesMax: number
}

/** @returns the regular files. @throws ERR_RUN_FILES; then nothing in `outDir` has changed but its directories */
export async function extractFiles(init: ExtractInit): Promise<{ path: string; sizeBytes: number }[]> {
  const partial = `.ishare-partial-${init.runId}`
  const tree = new FileTree(init.bytesMax, partial)
  const entries: TreeEntry[] = []
  await eachEntry(init.tarPath, async (entry) => {
    const admitted = tree.admit(entry.header)
    if (admitted !== undefined) entries.push(admitted)
  })
  await mkdir(init.outDir, { recursive: true })
  const staging = join(init.outDir, partial)
  await rm(staging, { recursive: true, force: true })
  await mkdir(staging, { mode: 0o700 })
  try {
    await unpack(init, staging)
    await moveIntoPlace(entries, staging, init.outDir)
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
  return entries.filter(({ kind }) => kind === 'file').map(({ path, sizeBytes }) => ({ path, sizeBytes }))
}

async function eachEntry(tarPath: string, visit: (entry: Entry) => Promise<void>): Promise<void> {
  const file = createReadStream(tarPath)
  const tar = extract()
  file.on('error', (error) => {
    tar.destroy(error)
  })
  file.pipe(tar)
  try {
    for await (const entry of tar) {
      await visit(entry)
      entry.resume()
    }
  } catch (error) {
    if (error instanceof RunError) throw error
    throw new RunError('ERR_RUN_FILES', 'the output files are not a tar', [], { cause: error })
  } finally {
    file.destroy()
    tar.destroy()
  }
}

async function unpack({ tarPath, runId, bytesMax }: ExtractInit, staging: string): Promise<void> {
  // Judged again: the name that is used is the name that was checked.
  const tree = new FileTree(bytesMax, `.ishare-partial-${runId}`)
  await eachEntry(tarPath, async (entry) => {
    const admitted = tree.admit(entry.header)
    if (admitted === undefined) return
    const target = join(staging, admitted.path)
    if (admitted.kind === 'directory') await mkdir(target, { recursive: true })
    else {
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, entry, admitted)
    }
  })
}

async function writeFile(
  target: string,
  entry: Entry,
  { isExecutable, sizeBytes }: TreeEntry
): Promise<void> {
  await using file = await open(target, 'wx', isExecutable ? 0o755 : 0o644)
  let written = 0
  for await (const chunk of entry as AsyncIterable<Uint8Array>) {
    await file.writeFile(chunk)
    written += chunk.byteLength
  }
  if (written !== sizeBytes) throw new RunError('ERR_RUN_FILES', 'the output files are cut short')
}

async function moveIntoPlace(entries: readonly TreeEntry[], staging: string, outDir: string): Promise<void> {
  const directories = new Set<string>()
  for (const { path, kind } of entries) {
    const parts = path.split('/')
    const depthMax = kind === 'directory' ? parts.length : parts.length - 1
    for (let depth = 1; depth <= depthMax; depth++) directories.add(parts.slice(0, depth).join('/'))
  }
  for (const directory of [...directories].sort()) await makeDirectory(join(outDir, directory))
  const files = entries.filter(({ kind }) => kind === 'file')
  for (const { path } of files) await checkReplaceable(join(outDir, path))
  for (const { path } of files) await rename(join(staging, path), join(outDir, path))
}

async function makeDirectory(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined)
  if (status === undefined) await mkdir(path)
  else if (!status.isDirectory())
    throw new RunError('ERR_RUN_FILES', `${path} is in the way: not a directory`)
}

/** A rename replaces a link by the file, it does not follow it; only a directory is in the way. */
async function checkReplaceable(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined)
  if (status?.isDirectory() === true)
    throw new RunError('ERR_RUN_FILES', `${path} is in the way: a directory`)
}
