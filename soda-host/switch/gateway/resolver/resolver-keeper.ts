/**
 * Keeps a resolver process while some server may ask it, and does for it what needs privileges. What it says is
 * believed no further than the grants go: a name must be granted to the server, and addresses are judged again.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'
import { GATEWAY_ADDRESS } from '../../addresses.ts'
import { namespacePath } from '../../commands.ts'
import { hostPath } from '../../../resources/host-programs.ts'
import { report, type Order, type Report } from './messages.ts'
import type { LinkedNames, ResolverState } from './resolver.ts'

const PROGRAM = fileURLToPath(new URL('resolver-process.ts', import.meta.url))
const AGAIN_MS = 500
const LISTEN_PATIENCE_MS = 5000
const MEMORY_MIB = 64
/** Until it is nobody: to read its own program wherever that is, to open port 53, and to become nobody. */
const CAPABILITIES = ['dac_read_search', 'net_bind_service', 'setuid', 'setgid']

export interface ResolverKeeperInit {
  /** Namespace of the gateway. */
  namespace: string
  admit(admission: Report & { kind: 'admit' }): Promise<readonly string[]>
  denied(denial: Report & { kind: 'denied' }): void
}

export class ResolverKeeper {
  readonly #init: ResolverKeeperInit
  #state: Omit<ResolverState, 'names'> = { upstreams: [], forbidden: [], clients: {} }
  readonly #names = new Map<string, LinkedNames>()
  readonly #unanswered = new Map<number, () => void>()
  #number = 0
  #child: ChildProcess | undefined
  #listening: Promise<void> | undefined
  #isClosed = false

  constructor(init: ResolverKeeperInit) {
    this.#init = init
  }

  /**
   * Resolves when the resolver answers by it, if anybody may ask; at the latest after a while: grants must not wait for
   * a resolver that cannot be started. It hears the state as soon as it listens.
   */
  async configure(state: Omit<ResolverState, 'names'>): Promise<void> {
    this.#state = state
    if (!this.#isNeeded()) return
    this.#listening ??= this.#start()
    this.#tell({ kind: 'configure', ...this.#copyOfState() })
    await patiently(this.#listening)
  }

  /**
   * Resolves when the client is answered by these names and no others; at the latest after a while, since links must
   * not wait for a resolver either.
   */
  async setNames(client: string, names: LinkedNames): Promise<void> {
    if (Object.keys(names).length > 0) this.#names.set(client, names)
    else this.#names.delete(client)
    if (this.#isNeeded()) await patiently((this.#listening ??= this.#start()))
    // One that is not there, or starts again, knows no other state than ours.
    if (this.#child?.connected !== true) return
    const number = ++this.#number
    const { promise: done, resolve } = Promise.withResolvers<undefined>()
    this.#unanswered.set(number, () => resolve(undefined))
    this.#child.once('exit', () => resolve(undefined))
    this.#tell({ kind: 'names', number, client, names: { ...names } })
    await patiently(done)
    this.#unanswered.delete(number)
  }

  /** Resolves when no process is left. */
  async close(): Promise<void> {
    this.#isClosed = true
    const child = this.#child
    if (child === undefined) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  /** Resolves when it listens; it is started again and again until it does, or we are closed. */
  async #start(): Promise<void> {
    while (!this.#isClosed) {
      const child = this.#spawn()
      this.#child = child
      const isUp = await new Promise<boolean>((resolve) => {
        child.on('message', (message) => {
          if (this.#take(child, message).kind === 'listening') resolve(true)
        })
        child.once('exit', () => resolve(false))
        child.once('error', () => resolve(false))
      })
      if (isUp) {
        this.#tell({ kind: 'configure', ...this.#copyOfState() })
        void once(child, 'exit').then(() => this.#startAgain())
        return
      }
      this.#child = undefined
      await delay(AGAIN_MS)
    }
  }

  #startAgain(): void {
    this.#child = undefined
    this.#listening = undefined
    if (this.#isClosed) return
    void delay(AGAIN_MS).then(() => this.configure(this.#state))
  }

  #isNeeded(): boolean {
    return !this.#isClosed && (Object.keys(this.#state.clients).length > 0 || this.#names.size > 0)
  }

  #spawn(): ChildProcess {
    const bounding = ['-all', ...CAPABILITIES.map((name) => `+${name}`)].join(',')
    const node = [
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      `--max-old-space-size=${MEMORY_MIB}`
    ]
    const privileges = ['--no-new-privs', `--bounding-set=${bounding}`, '--inh-caps=-all']
    const command = ['setpriv', ...privileges, ...node, PROGRAM, GATEWAY_ADDRESS, '53']
    return spawn('nsenter', [`--net=${namespacePath(this.#init.namespace)}`, '--', ...command], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      env: { PATH: hostPath() },
      cwd: '/'
    })
  }

  #take(child: ChildProcess, message: unknown): Report | { kind: 'nonsense' } {
    const { data } = report.safeParse(message)
    if (data === undefined) {
      child.kill('SIGKILL')
      return { kind: 'nonsense' }
    }
    if (data.kind === 'denied') this.#init.denied(data)
    if (data.kind === 'named') this.#unanswered.get(data.number)?.()
    if (data.kind === 'admit')
      void this.#init
        .admit(data)
        .catch((): readonly string[] => [])
        .then((addresses) => this.#tell({ kind: 'admitted', number: data.number, addresses: [...addresses] }))
    return data
  }

  #copyOfState(): Omit<Order & { kind: 'configure' }, 'kind'> {
    const { upstreams, forbidden, clients } = this.#state
    const names = Object.fromEntries(this.#names) as Record<string, Record<string, string>>
    return { upstreams: [...upstreams], forbidden: [...forbidden], clients: { ...clients }, names }
  }

  /** One that is gone by now hears it when it is back. */
  #tell(message: Order): void {
    if (this.#child?.connected === true) this.#child.send(message, () => undefined)
  }
}

/** Until it is done, or for as long as a grant may have to wait. */
async function patiently(done: Promise<void>): Promise<void> {
  const waited = new AbortController()
  const patience = delay(LISTEN_PATIENCE_MS, undefined, { signal: waited.signal }).catch(() => undefined)
  await Promise.race([done, patience])
  waited.abort()
}
