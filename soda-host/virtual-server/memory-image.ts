/**
 * The memory of a guest that stands still, as its kernel numbers it: byte n of the image is guest physical address n.
 *
 * Theory of operation. A User-Mode Linux kernel keeps guest memory in one file, and maps what lies above its own image
 * from there, so that guest virtual addresses of the kernel are a constant above physical ones. What lies below, its
 * own code and data, is private memory of its process. The largest shared mapping of that process tells where the one
 * ends and the other begins. Both are opened by way of /proc while the guest is frozen.
 * Attacker: a guest kernel that was taken over. It may map what it likes, and so choose what is taken for its memory;
 * it has no other files than its own to choose from, and what is read of its process is its own.
 */
import { constants } from 'node:fs'
import { open, readFile, readdir, statfs, type FileHandle } from 'node:fs/promises'
import { HostError } from '../../src/errors.ts'
import { fileContent, type ImagePart } from './guest-image.ts'
import { namespaceProcesses } from './process-usage.ts'
import { JAIL_PATHS } from './uml-arguments.ts'

const PAGE_BYTES = 4096

export interface MemoryImage extends ImagePart, AsyncDisposable {
  /** Guest kernel virtual address of byte 0. */
  virtualBase: number
}

interface Mapping {
  start: number
  end: number
  offset: number
  inode: number
}

/** What the file of a guest's memory takes of the host's; `first`: the first process of the jail. */
export async function heldMemoryBytes(first: number): Promise<number> {
  const { blocks, bfree, bsize } = await statfs(`/proc/${first}/root${JAIL_PATHS.memory}`)
  return (blocks - bfree) * bsize
}

/** `first`: the first process of the jail. @throws ERR_SERVER_STATE when no guest kernel is found in it */
export async function openMemoryImage(first: number): Promise<MemoryImage> {
  for (const pid of namespaceProcesses(first)) {
    const mapping = await guestMemory(pid)
    if (mapping === undefined) continue
    await using undo = new AsyncDisposableStack()
    const file = await openMapped(pid, mapping.inode)
    if (file === undefined) continue
    undo.use(file)
    const own = undo.use(await open(`/proc/${pid}/mem`))
    const { size: sizeBytes } = await file.stat()
    const imageBytes = Math.min(mapping.offset, sizeBytes)
    const virtualBase = mapping.start - mapping.offset
    const resources = undo.move()
    return {
      sizeBytes,
      virtualBase,
      async *content() {
        yield* processMemory(own, virtualBase, imageBytes)
        yield* fileContent(file, imageBytes, sizeBytes)
      },
      [Symbol.asyncDispose]: () => resources.disposeAsync()
    }
  }
  throw new HostError('ERR_SERVER_STATE', 'no guest kernel runs in this jail')
}

/** Where the memory file begins to be mapped one to one; undefined for a process that is no guest kernel. */
async function guestMemory(pid: number): Promise<Mapping | undefined> {
  const text = await readFile(`/proc/${pid}/maps`, 'latin1').catch(() => '')
  const shared = [
    ...text.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw.s ([0-9a-f]+) \S+ (\d+)\s+\/dev\/shm\//gm)
  ].map(([, start = '', end = '', offset = '', inode = '']): Mapping => ({
    start: parseInt(start, 16),
    end: parseInt(end, 16),
    offset: parseInt(offset, 16),
    inode: Number(inode)
  }))
  const [largest] = shared.toSorted((a, b) => b.end - b.start - (a.end - a.start))
  // A process of the guest maps pages of it here and there; its kernel, all of it.
  if (largest === undefined || !text.includes(' /linux\n')) return undefined
  const base = largest.start - largest.offset
  return shared
    .filter(({ start, offset, inode }) => start - offset === base && inode === largest.inode)
    .toSorted((a, b) => a.start - b.start)[0]
}

/** A regular file that the process has open. */
async function openMapped(pid: number, inode: number): Promise<FileHandle | undefined> {
  for (const name of await readdir(`/proc/${pid}/fd`)) {
    // Never waiting on a pipe.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK
    const file = await open(`/proc/${pid}/fd/${name}`, flags).catch(() => undefined)
    if (file === undefined) continue
    const status = await file.stat()
    if (status.isFile() && status.ino === inode) return file
    await file.close()
  }
  return undefined
}

/** Pages that are not there are zeros. */
async function* processMemory(memory: FileHandle, start: number, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes;) {
    const buffer = Buffer.alloc(Math.min(PAGE_BYTES, bytes - at))
    await memory.read(buffer, 0, buffer.length, start + at).catch(() => undefined)
    yield buffer
    at += buffer.length
  }
}
