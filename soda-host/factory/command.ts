/**
 * How the factory runs other programs.
 *
 * Each has a timeout and a process group of its own, which is stopped as a whole: `make` alone would leave behind
 * what its shells have started. Each dies with us, even if we are killed with SIGKILL (`setpriv --pdeathsig`), so
 * that no compiler goes on in a directory that nobody owns.
 */
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { execa, ExecaError } from 'execa'
import type { FactoryErrorCode } from '../../src/errors.ts'
import { FactoryError } from '../../src/errors.ts'
import { COMMAND_TIMEOUT_MS } from './pins.ts'

/** How much of a failed program's last words goes into the error. */
const TAIL_LINES = 20
/** From SIGTERM to SIGKILL. */
const STOP_GRACE_MS = 10_000

export interface CommandOptions {
  /** Code of the error when the program cannot be started, fails or takes too long. */
  code: FactoryErrorCode
  signal?: AbortSignal | undefined
  cwd?: string
  /** Added to the few variables that programs get of ours. */
  env?: Record<string, string>
  /** @default COMMAND_TIMEOUT_MS */
  timeoutMs?: number
  /** Sees each line of standard error; of standard output too if nobody else reads that. */
  onLine?: (line: string) => void
  /** Sees each line that the program writes to its file descriptor 3. */
  onStatusLine?: (line: string) => void
}

/** A running program. Whoever starts it reads `stdout` and ends `stdin`; `done` rejects when it fails. */
export interface Command {
  stdin: Writable
  stdout: Readable
  done: Promise<void>
}

/** Nothing that could change what a compiler makes; what is needed to reach the network and to find programs. */
function baseEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) =>
    /^(HOME|TMPDIR|\w+_proxy|\w+_PROXY)$/.test(name)
  )
  const path = `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`
  return { ...(Object.fromEntries(kept) as Record<string, string>), PATH: path, LC_ALL: 'C.UTF-8', TZ: 'UTC' }
}

/** Start a program whose standard input and output the caller handles. */
export function start(file: string, args: readonly string[], options: CommandOptions): Command {
  const subprocess = execa('setpriv', ['--pdeathsig', 'TERM', '--', file, ...args], {
    stdio: ['pipe', 'pipe', 'pipe', options.onStatusLine === undefined ? 'ignore' : 'pipe'],
    buffer: false,
    detached: true,
    env: { ...baseEnvironment(), ...options.env },
    extendEnv: false,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd })
  })
  const stopper = stopGroup(subprocess.pid, options)
  // Connected at once: execa throws away what nobody reads, and the caller may need a moment.
  const stdout = new PassThrough()
  pipeline(subprocess.stdout, stdout).catch(() => undefined)
  // A program that ends before it has read its input is judged by its exit status.
  subprocess.stdin.on('error', () => undefined)
  const tail: string[] = []
  const remember = (line: string): void => {
    tail.push(line)
    if (tail.length > TAIL_LINES) tail.shift()
    options.onLine?.(line)
  }
  const lines = [
    eachLine(subprocess.stderr, remember),
    options.onStatusLine && eachLine(subprocess.stdio[3], options.onStatusLine)
  ]
  const finish = async (): Promise<void> => {
    const [ended] = await Promise.allSettled([subprocess, ...lines])
    stopper.end()
    options.signal?.throwIfAborted()
    if (ended.status === 'fulfilled') return
    const how = stopper.isTooLate() ? 'took too long' : howItEnded(ended.reason)
    throw new FactoryError(options.code, [`${file} ${how}`, ...tail].join('\n'), { cause: ended.reason })
  }
  const done = finish()
  // It is awaited later: until then a failure is not an unhandled one.
  done.catch(() => undefined)
  return { stdin: subprocess.stdin, stdout, done }
}

/** Stops a program's group on abort or when its time is over: SIGTERM, and after a grace SIGKILL. */
function stopGroup(pid: number | undefined, { signal, timeoutMs }: CommandOptions) {
  let isTooLate = false
  let killer: NodeJS.Timeout | undefined
  const stop = (): void => {
    killGroup(pid, 'SIGTERM')
    killer ??= setTimeout(() => killGroup(pid, 'SIGKILL'), STOP_GRACE_MS)
  }
  const limit = setTimeout(() => {
    isTooLate = true
    stop()
  }, timeoutMs ?? COMMAND_TIMEOUT_MS)
  signal?.addEventListener('abort', stop, { once: true })
  if (signal?.aborted === true) stop()
  return {
    isTooLate: () => isTooLate,
    end() {
      clearTimeout(limit)
      clearTimeout(killer)
      signal?.removeEventListener('abort', stop)
    }
  }
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // The group has ended already.
  }
}

/** The command line itself stays in the cause: it is long and seldom what is wrong. */
function howItEnded(error: unknown): string {
  if (!(error instanceof ExecaError)) return `failed: ${String(error)}`
  if (error.signal !== undefined) return `was ended by ${error.signal}`
  return error.exitCode === undefined
    ? `could not be run: ${error.shortMessage}`
    : `ended with status ${error.exitCode}`
}

async function eachLine(stream: Readable | null, see: (line: string) => void): Promise<void> {
  if (stream === null) return
  for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) see(line)
}

/**
 * Run a program to its end; returns its standard output, or nothing if `onLine` saw it.
 *
 * @throws `options.code` when it cannot be started, fails or takes too long; the signal's reason on abort
 */
export async function run(file: string, args: readonly string[], options: CommandOptions): Promise<string> {
  options.signal?.throwIfAborted()
  const command = start(file, args, options)
  command.stdin.end()
  const [output] = await Promise.all([
    options.onLine === undefined
      ? text(command.stdout)
      : eachLine(command.stdout, options.onLine).then(() => ''),
    command.done
  ])
  return output
}
