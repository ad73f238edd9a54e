/** A sealed log on disk: one file, or a directory of segments whose names sort in the order of writing. */
import { watch } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LogError } from '../../src/errors.ts'
import { KIB } from '../../src/constants.ts'
import { SEGMENT_NAME } from './segments.ts'

const READ_BYTES = 64 * KIB

export interface ReadLogOptions {
  /** Go on with what is written later, until `signal` is aborted. @default false */
  follow?: boolean
  signal?: AbortSignal
}

/**
 * The bytes of a log, in order.
 *
 * @throws ERR_LOG_ACCESS when it is not there or cannot be read
 */
export async function* readLogFiles(path: string, options: ReadLogOptions = {}): AsyncGenerator<Uint8Array> {
  try {
    yield* options.follow === true ? followFiles(path, options.signal) : wholeFiles(path, options.signal)
  } catch (cause) {
    if (options.signal?.aborted === true) return
    if (cause instanceof LogError) throw cause
    throw new LogError('ERR_LOG_ACCESS', `${path}: the log cannot be read`, { cause })
  }
}

async function* wholeFiles(path: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for (const file of await segments(path)) yield* bytesFrom(file, 0, signal)
}

/** Name of every file of the log, oldest first. */
async function segments(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path]
  const names = (await readdir(path)).filter((name) => SEGMENT_NAME.test(name)).toSorted()
  if (names.length === 0) throw new LogError('ERR_LOG_ACCESS', `${path}: no log lies in this directory`)
  return names.map((name) => join(path, name))
}

async function* bytesFrom(
  file: string,
  start: number,
  signal: AbortSignal | undefined
): AsyncGenerator<Uint8Array> {
  await using handle = await open(file)
  for (let at = start; ;) {
    signal?.throwIfAborted()
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, at)
    if (bytesRead === 0) return
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

/** A file that has a successor will not grow any more. */
async function* followFiles(path: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  await using changes = changesOf(path, signal)
  let file: string | undefined
  for (let at = 0; ;) {
    // Asked before reading: whatever comes later makes another round.
    const all = await segments(path)
    const current = file ?? all[0]
    if (current === undefined) return
    for await (const chunk of bytesFrom(current, at, signal)) {
      at += chunk.length
      yield chunk
    }
    const next = all.find((name) => name > current)
    file = next ?? current
    if (next !== undefined) at = 0
    else await changes.next()
  }
}

/** `next()` resolves when something has changed since it last did; it rejects when the signal is aborted. */
function changesOf(
  path: string,
  signal: AbortSignal | undefined
): AsyncDisposable & { next(): Promise<void> } {
  let hasChanged = false
  let wake = Promise.withResolvers<undefined>()
  // An abort may come while nobody waits.
  wake.promise.catch(() => undefined)
  const watcher = watch(path, () => {
    hasChanged = true
    wake.resolve(undefined)
  })
  const onAbort = () => wake.reject(new DOMException('stopped', 'AbortError'))
  signal?.addEventListener('abort', onAbort)
  if (signal?.aborted === true) onAbort()
  return {
    next: async () => {
      if (!hasChanged) await wake.promise
      signal?.throwIfAborted()
      hasChanged = false
      wake = Promise.withResolvers<undefined>()
      wake.promise.catch(() => undefined)
    },
    [Symbol.asyncDispose]: async () => {
      signal?.removeEventListener('abort', onAbort)
      watcher.close()
    }
  }
}
