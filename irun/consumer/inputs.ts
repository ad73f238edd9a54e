/** Input files as a tar stream: regular files and directories, under the names that they have here. */
import type { Dirent, Stats } from 'node:fs'
import { lstat, open, readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { pack, type Header, type Pack } from 'tar-stream'
import { FILES_ENTRIES_MAX, KIB } from '../../src/constants.ts'
import { RunError } from '../../src/errors.ts'
import { unlessAborted } from '../waiting.ts'

const READ_BYTES = 256 * KIB

interface InputEntry {
  /** On this machine. */
  path: string
  /** In the tar. */
  name: string
  status: Stats
}

/**
 * Absolute paths of `inputs`, looked at before anything is asked of a provider.
 *
 * @throws ERR_RUN_FILES when one does not exist, is neither file nor directory, or two have the same name
 */
export async function checkInputs(inputs: readonly string[]): Promise<string[]> {
  const paths = inputs.map((input) => resolve(input))
  const names = paths.map((path) => basename(path))
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new RunError('ERR_RUN_FILES', `two inputs are named ${twice}`)
  for (const path of paths) {
    // A link that is named as an input is meant; one within a directory may lead anywhere.
    const status = await stat(path).catch(refuse(path))
    if (!status.isFile() && !status.isDirectory())
      throw new RunError('ERR_RUN_FILES', `${path} is neither a file nor a directory`)
  }
  return paths
}

/**
 * @throws ERR_RUN_FILES when a file vanishes or changes its size meanwhile, or is a link, device or the like
 */
export async function* packInputs(paths: readonly string[], signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const tar = pack()
  tar.on('error', () => undefined)
  const controller = new AbortController()
  const filled = fill(tar, paths, AbortSignal.any([signal, controller.signal]))
  filled.catch((error: unknown) => {
    tar.destroy(error as Error)
  })
  try {
    for await (const chunk of tar) yield chunk as Uint8Array
    await filled
  } finally {
    controller.abort()
    tar.destroy()
    await filled.catch(() => undefined)
  }
}

async function fill(tar: Pack, paths: readonly string[], signal: AbortSignal): Promise<void> {
  let count = 0
  for (const path of paths)
    for await (const entry of walk(path, basename(path), await stat(path).catch(refuse(path)))) {
      signal.throwIfAborted()
      count += 1
      if (count > FILES_ENTRIES_MAX)
        throw new RunError('ERR_RUN_FILES', `more than ${FILES_ENTRIES_MAX} input files`)
      await add(tar, entry, signal)
    }
  tar.finalize()
}

async function* walk(path: string, name: string, status: Stats): AsyncGenerator<InputEntry> {
  yield { path, name, status }
  if (!status.isDirectory()) return
  const entries: Dirent[] = await readdir(path, { withFileTypes: true })
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const inner = join(path, entry.name)
    if (!entry.isFile() && !entry.isDirectory())
      throw new RunError('ERR_RUN_FILES', `${inner} is neither a file nor a directory`)
    yield* walk(inner, `${name}/${entry.name}`, await lstat(inner).catch(refuse(inner)))
  }
}

async function add(tar: Pack, { path, name, status }: InputEntry, signal: AbortSignal): Promise<void> {
  const mode = (status.mode & 0o111) === 0 ? 0o644 : 0o755
  const header: Pick<Header, 'name' | 'mode' | 'mtime'> = {
    name,
    mode: status.isDirectory() ? 0o755 : mode,
    mtime: status.mtime
  }
  if (status.isDirectory()) {
    tar.entry({ ...header, type: 'directory' })
    return
  }
  const done = Promise.withResolvers<undefined>()
  const entry = tar.entry({ ...header, size: status.size }, (error) => {
    if (error == null) done.resolve(undefined)
    else done.reject(new RunError('ERR_RUN_FILES', `${path} changed while it was read`, [], { cause: error }))
  })
  // The callback tells; without a listener the error would end the process.
  entry.on('error', () => undefined)
  // Nobody waits for it when reading fails first.
  done.promise.catch(() => undefined)
  for await (const chunk of contentOf(path, status.size)) {
    signal.throwIfAborted()
    if (!entry.write(chunk)) await drained(entry, signal)
  }
  entry.end(null)
  await unlessAborted(done.promise, signal)
}

async function* contentOf(path: string, size: number): AsyncGenerator<Buffer> {
  await using file = await open(path, 'r').catch(refuse(path))
  for (let at = 0; at < size;) {
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size - at))
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, at)
    if (bytesRead === 0) throw new RunError('ERR_RUN_FILES', `${path} became shorter while it was read`)
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

async function drained(entry: ReturnType<Pack['entry']>, signal: AbortSignal): Promise<void> {
  const drain = Promise.withResolvers<undefined>()
  entry.once('drain', () => {
    drain.resolve(undefined)
  })
  await unlessAborted(drain.promise, signal)
}

function refuse(path: string): (cause: unknown) => never {
  return (cause) => {
    throw new RunError('ERR_RUN_FILES', `${path} cannot be read`, [], { cause })
  }
}
