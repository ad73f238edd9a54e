/** Programs that take over our terminal: mocha, tsc and the like. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { join } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')

/** How long a program may clean up after SIGTERM before it is killed. */
const STOP_GRACE_MS = 20_000

/**
 * Run a program in the repository's root and return its exit status, 128 + the signal's number if one ended it.
 * When `signal` aborts, the program is told to stop, and is waited for.
 */
export async function runProgram(
  file: string,
  args: readonly string[],
  options: { signal: AbortSignal; env?: Record<string, string> }
): Promise<number> {
  options.signal.throwIfAborted()
  const child = spawn(file, args, { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...options.env } })
  let killer: NodeJS.Timeout | undefined
  const stop = (): void => {
    // On a terminal it got Ctrl+C itself.
    if (!process.stdin.isTTY) child.kill('SIGTERM')
    killer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS)
  }
  options.signal.addEventListener('abort', stop, { once: true })
  try {
    const [status, ended] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    return status ?? 128 + (ended === null ? 0 : constants.signals[ended])
  } finally {
    clearTimeout(killer)
    options.signal.removeEventListener('abort', stop)
  }
}
