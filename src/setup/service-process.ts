/** A long-running `ishare` command, started for the main job and stopped with it. */
import { EventEmitter, once } from 'node:events'
import { join } from 'node:path'
import { execa } from 'execa'
import { SetupError } from '../errors.ts'

const ISHARE = join(import.meta.dirname, '../cli/ishare')
/** From SIGTERM to SIGKILL. */
const STOP_GRACE_MS = 10_000
/** How long a service may take until it says `ready`. */
const READY_TIMEOUT_MS = 60_000

/** Run one `ishare` command to its end; what it prints goes to `onLine`. */
export async function ishare(
  args: readonly string[],
  onLine: (line: string) => void,
  signal?: AbortSignal
): Promise<string> {
  const child = execa(ISHARE, args, {
    stdin: 'ignore',
    all: true,
    reject: false,
    forceKillAfterDelay: STOP_GRACE_MS,
    ...(signal === undefined ? {} : { cancelSignal: signal })
  })
  for await (const line of child.iterable({ from: 'all' })) onLine(line)
  const result = await child
  if (result.isCanceled) signal?.throwIfAborted()
  if (result.failed)
    throw new SetupError('ERR_MACHINE', `ishare ${args.join(' ')}: exit status ${result.exitCode ?? 'none'}`)
  return result.stdout
}

/** An `ishare` command that goes on beside others, until it is disposed of. */
export interface Followed extends AsyncDisposable {
  /** Resolves when a line has been printed that matches. @throws ERR_MACHINE when it ends before, or takes too long */
  said(pattern: RegExp): Promise<void>
}

/** Start one; each line that it prints goes to `onLine` at once. */
export function follow(args: readonly string[], onLine: (line: string) => void): Followed {
  const child = execa(ISHARE, args, {
    stdin: 'ignore',
    all: true,
    reject: false,
    buffer: false,
    forceKillAfterDelay: STOP_GRACE_MS
  })
  const lines: string[] = []
  const events = new EventEmitter()
  const read = async (): Promise<void> => {
    for await (const line of child.iterable({ from: 'all' })) {
      lines.push(line)
      onLine(line)
      events.emit('change')
    }
  }
  let isOver = false
  const over = read().finally(() => {
    isOver = true
    events.emit('change')
  })
  over.catch(() => undefined)
  return {
    async said(pattern) {
      const signal = AbortSignal.timeout(READY_TIMEOUT_MS)
      while (!lines.some((line) => pattern.test(line))) {
        if (isOver) throw new SetupError('ERR_MACHINE', `ishare ${args.join(' ')}: ended`)
        await once(events, 'change', { signal })
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGINT')
      await child
      await over
    }
  }
}

/** A service is ready when it has printed a line that begins with `ready`; its other lines are `facts`. */
export class ServiceProcess implements AsyncDisposable {
  readonly #child
  readonly facts = new Map<string, string>()

  private constructor(args: readonly string[]) {
    this.#child = execa(ISHARE, args, {
      stdin: 'ignore',
      reject: false,
      buffer: false,
      forceKillAfterDelay: STOP_GRACE_MS,
      stderr: 'inherit'
    })
  }

  static async start(
    args: readonly string[],
    onLine: (line: string) => void,
    signal?: AbortSignal
  ): Promise<ServiceProcess> {
    const service = new ServiceProcess(args)
    const timeout = AbortSignal.timeout(READY_TIMEOUT_MS)
    try {
      await service.#untilReady(onLine, signal === undefined ? timeout : AbortSignal.any([signal, timeout]))
      return service
    } catch (error) {
      await service[Symbol.asyncDispose]()
      throw error
    }
  }

  /** The value that the service printed behind `name`. */
  fact(name: string): string {
    const value = this.facts.get(name)
    if (value === undefined) throw new TypeError(`the service did not print ${name}`)
    return value
  }

  async #untilReady(onLine: (line: string) => void, signal: AbortSignal): Promise<void> {
    const { promise: ready, resolve, reject } = Promise.withResolvers<undefined>()
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    void this.#child.then((result) =>
      reject(
        new SetupError(
          'ERR_MACHINE',
          `a service ended before it was ready, exit status ${result.exitCode ?? 'none'}`
        )
      )
    )
    const read = async (): Promise<void> => {
      for await (const line of this.#child.iterable()) {
        const [, name = '', value = ''] = /^(\S+)\s*(.*)$/.exec(line) ?? []
        if (name === 'ready') resolve(undefined)
        else {
          this.facts.set(name, value)
          onLine(line)
        }
      }
    }
    read().catch(reject)
    await ready
  }

  /** SIGTERM, later SIGKILL; resolves when the process is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.#child
  }
}
