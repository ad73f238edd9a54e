/**
 * The border that every image crosses: entries of a tar archive, one by one, in; entries that may become part of
 * an image out.
 *
 * Theory of operation. The attacker wrote the archive. Nothing of it is ever unpacked on the host: it is turned
 * into a squashfs, which only guests mount, so the danger is in names that a later reader could take for others.
 * Invariants of what passes: names are relative, clean and unique; whatever an entry lies in is a directory, never
 * a link; a hard link names a file that came before it; no symbolic link climbs above the image's own root (an
 * absolute one means that root); there are no devices, pipes or sockets; counts and sizes are bounded. Device nodes
 * and pipes below `dev/` are dropped rather than refused, for honest archives have them and guests have a devtmpfs.
 */
import { SECOND_MS } from '../../src/constants.ts'
import { HostError } from '../../src/errors.ts'
import {
  IMAGE_BYTES_MAX,
  IMAGE_ENTRIES_MAX,
  IMAGE_NAME_BYTES_MAX,
  IMAGE_PATH_BYTES_MAX,
  SOURCE_DATE_EPOCH
} from './pins.ts'

/** What a tar header says, before it is believed. */
export interface TarHeader {
  name: string
  type?: string | null | undefined
  linkname?: string | null | undefined
  mode?: number | undefined
  uid?: number | undefined
  gid?: number | undefined
  size?: number | undefined
  mtime?: Date | undefined
}

export interface ImageEntry {
  /** Clean and relative: `usr/bin/env`. */
  name: string
  type: 'file' | 'directory' | 'symlink' | 'link'
  mode: number
  uid: number
  gid: number
  mtime: Date
  size: number
  /** Target of a link: for `link` a clean name, for `symlink` as it was written. */
  linkname?: string
}

/** Directories that every image has, because the guest mounts something on them. */
const MOUNT_POINTS: Record<string, number> = {
  proc: 0o555,
  sys: 0o555,
  dev: 0o755,
  tmp: 0o1777,
  run: 0o755,
  work: 0o755,
  out: 0o755
}

/** Six octal digits, what a plain tar header holds; Debian uses ids up to 65534. */
const ID_MAX = 0o777_777
/** Later times become this one, so that building an image again gives the same bytes. */
const TIME_MAX_MS = SOURCE_DATE_EPOCH * SECOND_MS
/** Bits of a mode that mean permissions. */
const PERMISSIONS = 0o7777

const DROPPED_BELOW_DEV = new Set(['character-device', 'block-device', 'fifo'])

function refuse(what: string, header: TarHeader): never {
  // Cut and quoted: the name is the attacker's.
  throw new HostError('ERR_IMAGE_FORMAT', `image entry ${JSON.stringify(header.name.slice(0, 200))}: ${what}`)
}

/** Parts of a path without `.` and empty ones, or what is wrong with it. */
function cleanParts(path: string): string[] | string {
  if (path.startsWith('/')) return 'the name is absolute'
  if (Buffer.byteLength(path) > IMAGE_PATH_BYTES_MAX) return 'the name is too long'
  if (path.includes('\0') || path.includes('\uFFFD')) return 'the name is not UTF-8 text'
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) return 'the name climbs out with ..'
  if (parts.some((part) => Buffer.byteLength(part) > IMAGE_NAME_BYTES_MAX))
    return 'a part of the name is too long'
  return parts
}

/** True if a relative link in a directory `depth` levels down leads above the root at any step. */
function climbsOut(target: string, depth: number): boolean {
  if (target.startsWith('/')) return false
  let level = depth
  for (const part of target.split('/')) {
    if (part === '..') level--
    else if (part !== '' && part !== '.') level++
    if (level < 0) return true
  }
  return false
}

function boundedId(id: number | undefined, header: TarHeader): number {
  const value = id ?? 0
  if (Number.isInteger(value) && value >= 0 && value <= ID_MAX) return value
  return refuse('owner or group is out of range', header)
}

function boundedTime(time: Date | undefined): Date {
  const milliseconds = time?.getTime() ?? 0
  return new Date(Number.isFinite(milliseconds) ? Math.min(Math.max(milliseconds, 0), TIME_MAX_MS) : 0)
}

/** Judges the entries of one archive, in their order. */
export class ImageEntries {
  readonly #kinds = new Map<string, ImageEntry['type']>()
  readonly #bytesMax: number
  #bytes = 0
  #count = 0
  #dropped = 0

  constructor(bytesMax: number = IMAGE_BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  /** How many entries below `dev/` were left out. */
  get dropped(): number {
    return this.#dropped
  }

  get count(): number {
    return this.#count
  }

  /**
   * What this entry puts into the image: parents that the archive left out, then itself; nothing if it is dropped
   * or a directory that is there already.
   *
   * @throws ERR_IMAGE_FORMAT when the entry breaks a rule
   */
  accept(header: TarHeader): ImageEntry[] {
    if (++this.#count > IMAGE_ENTRIES_MAX) refuse('the image has too many entries', header)
    const parts = cleanParts(header.name)
    if (typeof parts === 'string') return refuse(parts, header)
    const type = this.#typeOf(header, parts)
    if (type === undefined) return []
    if (parts.length === 0)
      return type === 'directory' ? [] : refuse('only a directory can be the root', header)
    const parents = this.#missingParents(parts, header)
    const name = parts.join('/')
    const before = this.#kinds.get(name)
    if (before === 'directory' && type === 'directory') return []
    if (before !== undefined) refuse('the name occurs twice', header)
    const entry = this.#entry(name, type, parts.length, header)
    this.#kinds.set(name, type)
    return [...parents, entry]
  }

  /**
   * The mount points that the archive did not have. Call it once, at the end.
   *
   * @throws ERR_IMAGE_FORMAT when the archive was empty or has something else in their place
   */
  finish(): ImageEntry[] {
    if (this.#kinds.size === 0) throw new HostError('ERR_IMAGE_FORMAT', 'the image archive is empty')
    return Object.entries(MOUNT_POINTS).flatMap(([name, mode]) => {
      const kind = this.#kinds.get(name)
      if (kind === 'directory') return []
      if (kind !== undefined) refuse(`must be a directory, is a ${kind}`, { name })
      return [directory(name, mode)]
    })
  }

  #typeOf(header: TarHeader, parts: readonly string[]): ImageEntry['type'] | undefined {
    const { type } = header
    if (type === 'file' || type === 'directory' || type === 'symlink' || type === 'link') return type
    if (type === 'contiguous-file') return 'file'
    if (parts[0] === 'dev' && DROPPED_BELOW_DEV.has(type ?? '')) {
      this.#dropped++
      return undefined
    }
    return refuse(`${type ?? 'an entry of unknown kind'} is not allowed in an image`, header)
  }

  #missingParents(parts: readonly string[], header: TarHeader): ImageEntry[] {
    const missing: ImageEntry[] = []
    for (let depth = 1; depth < parts.length; depth++) {
      const name = parts.slice(0, depth).join('/')
      const kind = this.#kinds.get(name)
      if (kind === 'directory') continue
      if (kind !== undefined) refuse(`lies in ${JSON.stringify(name)}, which is a ${kind}`, header)
      missing.push(directory(name, MOUNT_POINTS[name] ?? 0o755))
      this.#kinds.set(name, 'directory')
    }
    return missing
  }

  #entry(name: string, type: ImageEntry['type'], depth: number, header: TarHeader): ImageEntry {
    const size = type === 'file' ? (header.size ?? 0) : 0
    if (!Number.isSafeInteger(size) || size < 0) refuse('the size is not a number of bytes', header)
    this.#bytes += size
    if (this.#bytes > this.#bytesMax) refuse(`the image is larger than ${this.#bytesMax} bytes`, header)
    const common = {
      ...{ name, type, size, mode: (header.mode ?? 0) & PERMISSIONS },
      ...{
        uid: boundedId(header.uid, header),
        gid: boundedId(header.gid, header),
        mtime: boundedTime(header.mtime)
      }
    }
    if (type === 'symlink') return { ...common, linkname: this.#symlinkTarget(header, depth - 1) }
    if (type === 'link') return { ...common, linkname: this.#linkTarget(header) }
    return common
  }

  #symlinkTarget(header: TarHeader, depth: number): string {
    const target = header.linkname ?? ''
    const bytes = Buffer.byteLength(target)
    if (bytes === 0 || bytes > IMAGE_PATH_BYTES_MAX || target.includes('\0') || target.includes('\uFFFD'))
      return refuse('the link has no usable target', header)
    return climbsOut(target, depth) ? refuse('the link leads out of the image', header) : target
  }

  #linkTarget(header: TarHeader): string {
    const parts = cleanParts(header.linkname ?? '')
    if (typeof parts === 'string') return refuse(`hard link: ${parts}`, header)
    const target = parts.join('/')
    if (this.#kinds.get(target) !== 'file') refuse('a hard link must name a file that came before it', header)
    return target
  }
}

function directory(name: string, mode: number): ImageEntry {
  return { name, type: 'directory', mode, uid: 0, gid: 0, mtime: new Date(0), size: 0 }
}
