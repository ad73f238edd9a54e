/**
 * What may be in a tree of files, whoever sends it: the consumer (input) or the guest (output).
 *
 * Theory of operation: names are checked as the raw text that they came as, never normalised first, and one at a
 * time: relative, no `..`, no NUL, bounded. A name may not be used twice, nor a file as a directory, so that
 * whoever unpacks the tree in order never writes through something that came earlier.
 */
import { HostError } from '../../src/errors.ts'
import { FILE_NAME_BYTES_MAX, FILE_PATH_BYTES_MAX, FILES_ENTRIES_MAX } from '../../src/constants.ts'

export interface FileEntry {
  path: string
  kind: 'file' | 'directory'
  sizeBytes: number
}

export class FileRules {
  readonly #bytesMax: number
  readonly #kinds = new Map<string, FileEntry['kind']>()
  #bytes = 0

  /** `bytesMax`: for the contents of all files together. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /**
   * Count one more entry.
   *
   * @returns its path without `./` and trailing slash; undefined for the top directory itself
   * @throws ERR_FILES_FORMAT when the name must not be, ERR_FILES_LIMIT when it is too much
   */
  admit({ path: raw, kind, sizeBytes }: FileEntry): string | undefined {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw refuse(raw, 'has no size')
    const path = checkedPath(raw)
    this.#count(sizeBytes)
    if (path === '') {
      if (kind === 'file') throw refuse(raw, 'is the top directory')
      return undefined
    }
    this.#place(path, raw, kind)
    return path
  }

  #count(sizeBytes: number): void {
    this.#bytes += sizeBytes
    if (this.#bytes > this.#bytesMax)
      throw new HostError('ERR_FILES_LIMIT', `the files are larger than ${this.#bytesMax} bytes together`)
    if (this.#kinds.size >= FILES_ENTRIES_MAX)
      throw new HostError('ERR_FILES_LIMIT', `more than ${FILES_ENTRIES_MAX} files and directories`)
  }

  #place(path: string, raw: string, kind: FileEntry['kind']): void {
    const before = this.#kinds.get(path)
    if (before !== undefined && (before === 'file' || kind === 'file')) throw refuse(raw, 'comes twice')
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const parent = path.slice(0, slash)
      const known = this.#kinds.get(parent)
      if (known === 'file') throw refuse(raw, 'lies below a file')
      if (known === 'directory') break
    }
    this.#kinds.set(path, kind)
    // A directory that was only implied cannot become a file later.
    const slash = path.lastIndexOf('/')
    if (slash > 0) this.#imply(path.slice(0, slash))
  }

  #imply(directory: string): void {
    for (let path = directory; !this.#kinds.has(path); path = path.slice(0, path.lastIndexOf('/'))) {
      this.#kinds.set(path, 'directory')
      if (!path.includes('/')) return
    }
  }
}

function checkedPath(raw: string): string {
  if (Buffer.byteLength(raw) > FILE_PATH_BYTES_MAX)
    throw refuse(raw, `is longer than ${FILE_PATH_BYTES_MAX} bytes`)
  if (raw.includes('\0')) throw refuse(raw, 'holds a NUL')
  // What is not UTF-8 came out as U+FFFD: two names could then be one.
  if (raw.includes('\uFFFD') || !raw.isWellFormed()) throw refuse(raw, 'is not UTF-8')
  if (raw.startsWith('/')) throw refuse(raw, 'is absolute')
  const names = raw.replace(/\/$/, '').split('/')
  if (names[0] === '.') names.shift()
  for (const name of names) {
    if (name === '..') throw refuse(raw, 'leads upwards')
    if (name === '' || name === '.') throw refuse(raw, 'has an empty part')
    if (Buffer.byteLength(name) > FILE_NAME_BYTES_MAX)
      throw refuse(raw, `has a name longer than ${FILE_NAME_BYTES_MAX} bytes`)
  }
  return names.join('/')
}

function refuse(path: string, why: string): HostError {
  return new HostError('ERR_FILES_FORMAT', `the path ${JSON.stringify(path.slice(0, 200))} ${why}`)
}
