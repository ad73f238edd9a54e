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
import type { ResolverState } from './resolver.ts'

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
  #state: ResolverState = { upstreams: [], forbidden: [], clients: {} }
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
  async configure(state: ResolverState): Promise<void> {
    this.#state = state
    if (this.#isClosed || Object.keys(state.clients).length === 0) return
    this.#listening ??= this.#start()
    this.#tell({ kind: 'configure', ...this.#copyOfState() })
    const waited = new AbortController()
    const patience = delay(LISTEN_PATIENCE_MS, undefined, { signal: waited.signal }).catch(() => undefined)
    await Promise.race([this.#listening, patience])
    waited.abort()
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
    if (data.kind === 'admit')
      void this.#init
        .admit(data)
        .catch((): readonly string[] => [])
        .then((addresses) => this.#tell({ kind: 'admitted', number: data.number, addresses: [...addresses] }))
    return data
  }

  #copyOfState(): Omit<Order & { kind: 'configure' }, 'kind'> {
    const { upstreams, forbidden, clients } = this.#state
    return { upstreams: [...upstreams], forbidden: [...forbidden], clients: { ...clients } }
  }

  /** One that is gone by now hears it when it is back. */
  #tell(message: Order): void {
    if (this.#child?.connected === true) this.#child.send(message, () => undefined)
  }
}
