/**
 * Disk and memory of a server at one instant, for its tenant: to look elsewhere at what happened in it.
 *
 * Theory of operation. The server stands still while the dump is read, so that disk and memory fit together. What
 * leaves this file is encrypted to the keys that the tenant named when the server was created, chunk by chunk as it is
 * read: nothing is stored, and neither the owner nor whoever has the file can open it. (An owner who reads the memory
 * of the machine sees what is in it; this file does not make that easier.) A reader that stands still itself does not
 * keep the server from its tenant: it is let go, and the dump is cut off.
 * @see docs/formats/dump.md
 */
import { Encrypter } from 'age-encryption'
import { pipeline } from 'node:stream/promises'
import tar from 'tar-stream'
import { HostError } from '../../src/errors.ts'
import { ageRecipient } from '../../src/identity/index.ts'
import type { GuestImage } from '../virtual-server/types.ts'
import type { Keeper } from './keeper.ts'
import { grantedLimits, type ServerRecord } from './server-record.ts'

interface Entry {
  name: string
  sizeBytes: number
  content: () => AsyncIterable<Uint8Array>
}

export interface DumpInit {
  /** The client. */
  signal: AbortSignal
  /** A client that takes nothing for this long is given up. */
  idleMs: number
}

/**
 * Nothing is frozen before the first chunk is asked for.
 * @throws ERR_DUMP_KEY when its tenant named none; while it is read, ERR_SERVER_STATE unless its program runs all the time
 */
export async function openDump(keeper: Keeper, init: DumpInit): Promise<AsyncGenerator<Uint8Array>> {
  return dump(await encrypterFor(keeper.book.record), keeper, init)
}

async function* dump(
  encrypter: Encrypter,
  keeper: Keeper,
  { signal, idleMs }: DumpInit
): AsyncGenerator<Uint8Array> {
  await using standing = await keeper.standStill()
  await using image = await standing.guest.image()
  const idle = new AbortController()
  const over = AbortSignal.any([signal, standing.signal, idle.signal])
  const entries = entriesOf(keeper.book.record, image)
  const sealed = await encrypter.encrypt(ReadableStream.from<Uint8Array>(tarOf(entries, over)))
  for await (const chunk of sealed) {
    over.throwIfAborted()
    const patience = setTimeout(() => {
      idle.abort(new HostError('ERR_HOST_REQUEST', 'the dump was not read'))
      void standing[Symbol.asyncDispose]()
    }, idleMs)
    try {
      yield chunk
    } finally {
      clearTimeout(patience)
    }
  }
  over.throwIfAborted()
}

async function encrypterFor({ spec }: ServerRecord): Promise<Encrypter> {
  const { id, dumpKeys } = spec
  if (dumpKeys === undefined)
    throw new HostError('ERR_DUMP_KEY', `the tenant of server ${id} named no key that may open a dump`)
  const encrypter = new Encrypter()
  try {
    for (const key of dumpKeys) encrypter.addRecipient(ageRecipient(Buffer.from(key, 'base64url')))
    // A point of small order is refused here.
    await encrypter.encrypt(new Uint8Array())
  } catch (cause) {
    throw new HostError('ERR_DUMP_KEY', `nothing can be encrypted to a key that the tenant of ${id} named`, {
      cause
    })
  }
  return encrypter
}

function entriesOf(record: ServerRecord, { disk, memory }: GuestImage): Entry[] {
  const { spec, imageDigest, createdAtMs, startedAtMs } = record
  const description = Buffer.from(
    `${JSON.stringify(
      {
        format: 'ishare-dump',
        version: 1,
        server: spec.id,
        owner: spec.owner,
        program: spec.program,
        image: imageDigest,
        limits: grantedLimits(record),
        createdAtMs,
        startedAtMs,
        takenAtMs: Date.now(),
        memory: {
          file: MEMORY_FILE,
          bytes: memory.sizeBytes,
          virtualBase: `0x${memory.virtualBase.toString(16)}`
        },
        disk: { file: DISK_FILE, bytes: disk.sizeBytes }
      },
      null,
      2
    )}\n`
  )
  return [
    { name: 'dump.json', sizeBytes: description.length, content: () => once(description) },
    { ...memory, name: MEMORY_FILE },
    { ...disk, name: DISK_FILE }
  ]
}

const MEMORY_FILE = 'memory.raw'
const DISK_FILE = 'disk.ext4'

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}

async function* tarOf(entries: readonly Entry[], signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const pack = tar.pack()
  const filling = fill(pack, entries, signal)
  filling.catch((error: unknown) => pack.destroy(error as Error))
  try {
    for await (const chunk of pack) yield chunk as Uint8Array
    await filling
  } finally {
    pack.destroy()
    await filling.catch(() => undefined)
  }
}

async function fill(pack: tar.Pack, entries: readonly Entry[], signal: AbortSignal): Promise<void> {
  for (const { name, sizeBytes: size, content } of entries)
    await pipeline(content(), pack.entry({ name, size, mode: 0o600, mtime: new Date() }), { signal })
  pack.finalize()
}
