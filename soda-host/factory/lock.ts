/**
 * One at a time, across processes.
 *
 * Theory of operation: `flock` (util-linux) takes the kernel's lock on a file and then becomes a `cat` that
 * waits for the end of its standard input, which we hold. Leaving the body ends it; so does our death, however
 * violent: the kernel drops the lock with the last descriptor. There is nothing that could go stale.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { FactoryError } from '../../src/errors.ts'

/** flock's own status for "somebody else has it"; any number that cat does not use will do. */
const CONFLICT_STATUS = 75

export interface LockOptions {
  signal?: AbortSignal | undefined
  /** Called once if somebody else holds the lock and we start to wait. */
  onWait?: () => void
}

/**
 * Run `body` while nobody else holds the lock on `path`, a file which is created and stays.
 *
 * @throws ERR_CACHE_LOCKED when the lock cannot be had; the signal's reason on abort
 */
export async function withLock<T>(path: string, options: LockOptions, body: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true })
  let holder = await acquire(path, ['--nonblock'], options.signal)
  if (holder === undefined) {
    options.onWait?.()
    holder = await acquire(path, [], options.signal)
  }
  if (holder === undefined) throw new FactoryError('ERR_CACHE_LOCKED', `${path}: the lock could not be taken`)
  await using _held = holder
  return await body()
}

async function acquire(
  path: string,
  how: string[],
  signal: AbortSignal | undefined
): Promise<AsyncDisposable | undefined> {
  signal?.throwIfAborted()
  const args = ['--exclusive', '--conflict-exit-code', String(CONFLICT_STATUS), '--no-fork', ...how, path]
  // In a session of its own, so that Ctrl+C reaches us and not the lock.
  const child = spawn('flock', [...args, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true
  })
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? -1))
  })
  const stop = (): void => void child.kill('SIGKILL')
  signal?.addEventListener('abort', stop, { once: true })
  try {
    const isHeld = await Promise.race([once(child.stdout, 'data').then(() => true), ended.then(() => false)])
    if (isHeld)
      return {
        async [Symbol.asyncDispose]() {
          child.stdin.end()
          child.kill('SIGKILL')
          await ended
        }
      }
  } catch (error) {
    throw new FactoryError('ERR_CACHE_LOCKED', `${path}: cannot run flock`, { cause: error })
  } finally {
    signal?.removeEventListener('abort', stop)
  }
  signal?.throwIfAborted()
  const status = await ended
  if (status === CONFLICT_STATUS) return undefined
  throw new FactoryError('ERR_CACHE_LOCKED', `${path}: flock ended with status ${status}`)
}
