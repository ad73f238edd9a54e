/** `ishare` as users start it: a process, with files, pipes or a terminal around it. */
import { execa } from 'execa'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { hostClient } from '../../soda-host/client/index.ts'
import { temporaryDirectory } from './temporary.ts'

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts')
const NODE = ['--disable-warning=ExperimentalWarning', MAIN]
type Service = ReturnType<typeof started>
const started = (args: readonly string[]) =>
  execa('node', [...NODE, ...args], { reject: false, stdin: 'ignore' })

/** A command that says nothing of what is waited for, and does not end either. */
const PATIENCE_MS = 20_000

/** A command under way: what it has said so far can be waited for. */
export class Talk implements AsyncDisposable {
  readonly child: ChildProcess
  readonly ended: Promise<number | null>
  said = ''

  constructor(child: ChildProcess) {
    this.child = child
    child.stdin?.on('error', () => undefined)
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (data: Buffer) => {
        this.said += data.toString()
        child.emit('said')
      })
    this.ended = once(child, 'close').then(([status]) => {
      child.emit('said')
      return status as number | null
    })
  }

  type(text: string): void {
    this.child.stdin?.write(text)
  }

  /** Resolves when it has said it. @throws when it ends before */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    const patience = AbortSignal.timeout(PATIENCE_MS)
    for (;;) {
      const found = pattern.exec(this.said)
      if (found !== null) return found
      const isOver = this.child.exitCode !== null || this.child.signalCode !== null
      if (isOver || patience.aborted) throw new Error(`no ${String(pattern)}; it said:\n${this.said}`)
      await once(this.child, 'said', { signal: patience }).catch(() => undefined)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL')
    await this.ended
  }
}

/** A host, a provider with a factory of its own, and a consumer's command line. */
export class CommandLine implements AsyncDisposable {
  readonly #directory: Awaited<ReturnType<typeof temporaryDirectory>>
  readonly #services: Service[] = []
  readonly #artifacts = process.env['ISHARE_ARTIFACTS'] ?? ''
  #provider: Service | undefined
  /** Where the provider is found. */
  offer = ''

  static async open(slice: string): Promise<CommandLine> {
    const world = new CommandLine(await temporaryDirectory())
    const owner = ['--state-dir', world.at('owner'), '--artifacts', world.#artifacts]
    await world.service('host', 'start', '--slice', slice, ...world.socket, ...owner)
    await world.provide('0')
    return world
  }

  private constructor(directory: Awaited<ReturnType<typeof temporaryDirectory>>) {
    this.#directory = directory
  }

  at(name: string): string {
    return join(this.#directory.path, name)
  }

  get socket(): string[] {
    return ['--socket-path', this.at('host.sock')]
  }

  /** Starts one that stays. @returns the first line that it prints */
  async service(...args: string[]): Promise<Record<string, unknown>> {
    const running = started([...args, '--json'])
    this.#services.push(running)
    const { value } = await createInterface({ input: running.stdout })[Symbol.asyncIterator]().next()
    return JSON.parse(String(value)) as Record<string, unknown>
  }

  /** The provider dies, and comes back where it was. */
  async restartProvider(): Promise<void> {
    this.#provider?.kill('SIGKILL')
    await this.#provider
    await this.provide(/\/tcp\/(\d+)/.exec(this.offer)?.[1] ?? '0')
  }

  async provide(port: string): Promise<void> {
    const listen = ['--listen', `/ip4/127.0.0.1/tcp/${port}`]
    const own = ['--factories', 'own', '--artifacts', this.#artifacts, '--state-dir', this.at('provider')]
    const { listening } = await this.service('provide', ...this.socket, ...listen, ...own)
    this.#provider = this.#services.at(-1)
    this.offer = (listening as string[])[0] ?? ''
  }

  /** A consumer's command, to its end. The state directory comes first: what follows `--` is the program's. */
  ishare([command = '', ...args]: readonly string[]) {
    return started([command, '--state-dir', this.at('consumer'), ...args])
  }

  /** A small run, as arguments. */
  run(options: readonly string[], ...program: string[]): string[] {
    const limits = ['--memory', '64M', '--disk', '64M', '--image', 'tiny']
    return ['run', '--accept', '--offer', this.offer, ...limits, ...options, '--', ...program]
  }

  /** A consumer's command with pipes around it. */
  talk([command = '', ...args]: readonly string[]): Talk {
    return new Talk(spawn('node', [...NODE, command, '--state-dir', this.at('consumer'), ...args]))
  }

  /** ... with a terminal of that size around it. */
  async terminal(size: string, [command = '', ...args]: readonly string[]): Promise<Terminal> {
    const words = ['node', ...NODE, command, '--state-dir', this.at('consumer'), ...args]
    const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
    const script = `${resize(size)}; tty; exec ${quoted}`
    const talk = new Talk(
      spawn('script', ['-qfec', script, '/dev/null'], { env: { ...process.env, SHELL: '/bin/sh' } })
    )
    const [, tty = ''] = await talk.until(/(\/dev\/\S+)/)
    return Object.assign(talk, {
      resize: async (other: string) => {
        await execa('sh', ['-c', `${resize(other)} < ${tty}`])
      }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // They would outlive the host.
    await using host = hostClient({ socketPath: this.at('host.sock') })
    for (const { id } of await host.list()) await host.destroy(id)
    for (const running of this.#services.reverse()) {
      running.kill('SIGTERM')
      await running
    }
    await this.#directory[Symbol.asyncDispose]()
  }
}

export type Terminal = Talk & { resize(size: string): Promise<void> }

/** `size`: rows and columns, as stty prints them. */
function resize(size: string): string {
  const [rows = '', columns = ''] = size.split(' ')
  return `stty rows ${rows} cols ${columns}`
}
