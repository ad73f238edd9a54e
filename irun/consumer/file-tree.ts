/**
 * What a tar of a stranger would make, before anything is made.
 *
 * The attacker is the provider, who sends any tar. A name is refused, not repaired: absolute, empty, `.` or `..`
 * anywhere, NUL or control characters, too long, twice, or below something that is a file. Anything but regular
 * files and directories is refused. Sizes and numbers are counted before the content is read.
 */
import { RunError } from '../../src/errors.ts'
import { FILE_NAME_BYTES_MAX, FILE_PATH_BYTES_MAX, FILES_ENTRIES_MAX } from '../../src/constants.ts'

export interface TreeEntry {
  /** Relative, with slashes. */
  path: string
  kind: 'file' | 'directory'
  sizeBytes: number
  isExecutable: boolean
}

/** What a tar header says. */
interface TarHeader {
  name: string
  type?: string | null | undefined
  size?: number | undefined
  mode?: number | undefined
}

export class FileTree {
  readonly #bytesMax: number
  readonly #reserved: string
  readonly #kinds = new Map<string, TreeEntry['kind']>()
  #bytes = 0
  #count = 0

  /** `reserved`: a name at the top that nobody else may use. */
  constructor(bytesMax: number, reserved: string) {
    this.#bytesMax = bytesMax
    this.#reserved = reserved
  }

  /** The entry, or undefined for the top directory itself. @throws ERR_RUN_FILES */
  admit({ name, type, size = 0, mode = 0 }: TarHeader): TreeEntry | undefined {
    if (type !== 'file' && type !== 'directory') throw refused(name, 'is neither a file nor a directory')
    if (!Number.isSafeInteger(size) || size < 0) throw refused(name, 'has no size')
    this.#bytes += type === 'file' ? size : 0
    this.#count += 1
    if (this.#bytes > this.#bytesMax || this.#count > FILES_ENTRIES_MAX)
      throw new RunError('ERR_RUN_FILES', 'the output files are more than the lease allows')
    const path = checkedPath(name)
    if (path === '') {
      if (type === 'file') throw refused(name, 'is not a name')
      return undefined
    }
    this.#place(path, type)
    return { path, kind: type, sizeBytes: type === 'file' ? size : 0, isExecutable: (mode & 0o111) !== 0 }
  }

  #place(path: string, kind: TreeEntry['kind']): void {
    const parts = path.split('/')
    if (parts[0] === this.#reserved) throw refused(path, 'is reserved')
    for (let depth = 1; depth < parts.length; depth++) {
      const parent = parts.slice(0, depth).join('/')
      if (this.#kinds.get(parent) === 'file') throw refused(path, 'is below a file')
      this.#kinds.set(parent, 'directory')
    }
    const before = this.#kinds.get(path)
    if (before !== undefined && (before === 'file' || kind === 'file')) throw refused(path, 'comes twice')
    this.#kinds.set(path, kind)
  }
}

/** The path without a leading `./` and a trailing slash; empty for the top directory. @throws ERR_RUN_FILES */
function checkedPath(name: string): string {
  if (Buffer.byteLength(name) > FILE_PATH_BYTES_MAX) throw refused(name, 'is too long')
  // Control characters could speak to the terminal that lists the files; C1 codes too.
  if (/\p{Cc}/u.test(name)) throw refused(name, 'has control characters')
  const path = name.replace(/^\.\//, '').replace(/\/$/, '')
  if (path === '' || path === '.') return ''
  for (const part of path.split('/')) {
    if (part === '' || part === '.' || part === '..') throw refused(name, 'is not a plain relative path')
    if (Buffer.byteLength(part) > FILE_NAME_BYTES_MAX) throw refused(name, 'is too long')
  }
  return path
}

function refused(name: string, why: string): RunError {
  return new RunError('ERR_RUN_FILES', `output file ${JSON.stringify(name.slice(0, 100))} ${why}`)
}
