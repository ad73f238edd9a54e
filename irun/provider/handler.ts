/** The provider's side of PROTOCOL_RUN, PROTOCOL_EXEC and PROTOCOL_LOG: what each stream is for, and who may. */
import { join } from 'node:path'
import type { Connection, Stream } from '@libp2p/interface'
import { HOUR_MS, PROTOCOL_EXEC, PROTOCOL_LOG, PROTOCOL_RUN } from '../../src/constants.ts'
import { RunError, WireError } from '../../src/errors.ts'
import { framedStream } from '../../src/wire/index.ts'
import { LISTED_RUNS_MAX, PROVIDER_LIMITS, type ProviderLimits } from '../limits.ts'
import { consumerMessage, type ConsumerMessage, type MessageOf, type ProviderMessage } from '../messages.ts'
import { RunStore } from '../run-store.ts'
import type { HostedRun, RunHandler, RunHandlerComponents, RunHandlerInit } from '../types.ts'
import { Acceptor } from './acceptor.ts'
import { SessionAdmission } from './admission.ts'
import type { ProviderStream } from './channels.ts'
import { serveExec } from './exec.ts'
import type { HostedRunContext, HostedRunTask } from './hosted-run.ts'
import { HostedRuns } from './hosted-runs.ts'
import type { ProviderRun } from './record.ts'
import { serveLog } from './log.ts'
import { publicCode, publicReasons } from './refusal.ts'
import { ProviderSession } from './session.ts'

/** The provider's side of iRun; `start` resumes what an earlier process has left. */
export function runHandler(components: RunHandlerComponents, init: RunHandlerInit): RunHandler {
  return new LibP2PRunHandler(components, init)
}

/** Streams at a time that are told ERR_RUN_BUSY; libp2p resets those beyond. */
const SESSIONS_TURNED_AWAY = 8

type Message<T extends ConsumerMessage['type']> = MessageOf<ConsumerMessage, T>

/** What exists between `start` and `stop`. */
interface Running {
  controller: AbortController
  store: RunStore<ProviderRun>
  runs: HostedRuns
  acceptor: Acceptor
  sessions: Set<Promise<void>>
  pruneTimer: NodeJS.Timeout
}

class LibP2PRunHandler implements RunHandler {
  readonly #components: RunHandlerComponents
  readonly #init: RunHandlerInit
  readonly #limits: ProviderLimits
  readonly #admission: SessionAdmission
  /** The session that feeds and collects a run; there is one. */
  readonly #holders = new Map<HostedRunTask, AbortController>()
  #running: Running | undefined

  constructor(components: RunHandlerComponents, init: RunHandlerInit) {
    this.#components = components
    this.#init = init
    this.#limits = { ...PROVIDER_LIMITS, ...init.limits }
    this.#admission = new SessionAdmission(this.#limits)
  }

  async start(): Promise<void> {
    if (this.#running !== undefined) return
    const { host, identity, offers, registrar, factories = [] } = this.#components
    const controller = new AbortController()
    const store = new RunStore<ProviderRun>(join(this.#init.stateDir, 'provider.sqlite'))
    const onError = this.#init.onError ?? (() => undefined)
    const context: HostedRunContext = {
      host,
      identity,
      factories,
      store,
      limits: this.#limits,
      onError,
      signal: controller.signal
    }
    const runs = new HostedRuns(context)
    const acceptor = new Acceptor({ ...context, offers, runs })
    const pruneTimer = setInterval(() => runs.prune(Date.now()), HOUR_MS)
    pruneTimer.unref()
    this.#running = { controller, store, runs, acceptor, sessions: new Set(), pruneTimer }
    await runs.resume()
    const options = {
      // Per connection; a few more than allowed, so that who is over the limit is told so.
      maxInboundStreams: this.#limits.sessionsPerPeer + SESSIONS_TURNED_AWAY,
      runOnLimitedConnection: false
    }
    const run = this.#onStream((...of) => this.#serve(...of))
    await registrar.handle(PROTOCOL_RUN, run, options)
    const exec = this.#onStream((...of) => this.#exec(...of))
    await registrar.handle(PROTOCOL_EXEC, exec, options)
    const log = this.#onStream((...of) => this.#log(...of))
    await registrar.handle(PROTOCOL_LOG, log, options)
  }

  async stop(): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    this.#running = undefined
    await this.#components.registrar.unhandle(PROTOCOL_RUN)
    await this.#components.registrar.unhandle(PROTOCOL_EXEC)
    await this.#components.registrar.unhandle(PROTOCOL_LOG)
    clearInterval(running.pruneTimer)
    running.controller.abort(new RunError('ERR_RUN_BUSY', 'the provider stops'))
    await Promise.allSettled(running.sessions)
    await running.runs.stopped()
    running.store[Symbol.dispose]()
  }

  list(): HostedRun[] {
    return [...(this.#running?.runs.all() ?? [])].map(({ record }) => ({
      runId: record.runId,
      consumer: record.peer,
      state: record.state,
      serverId: record.serverId,
      createdAtMs: record.createdAtMs,
      expiresAtMs: record.expiresAtMs,
      keepUntilMs: record.keepUntilMs
    }))
  }

  #onStream(
    serve: (running: Running, stream: Stream, peer: string) => Promise<void>
  ): (stream: Stream, connection: Connection) => void {
    return (stream, connection) => {
      const running = this.#running
      if (running === undefined) {
        stream.abort(new RunError('ERR_RUN_BUSY', 'the provider stops'))
        return
      }
      const session = serve(running, stream, connection.remotePeer.toString())
      running.sessions.add(session)
      void session.finally(() => running.sessions.delete(session))
    }
  }

  async #exec(running: Running, stream: Stream, peer: string): Promise<void> {
    using resources = new DisposableStack()
    const serverOf = (runId: string): string => {
      resources.use(this.#admission.enter(peer))
      const { state, serverId } = this.#find(running, peer, runId).record
      if (state !== 'running' && state !== 'booting')
        throw new RunError('ERR_RUN_STATE', `run ${runId} is ${state}: no program is running`)
      return serverId
    }
    const { firstMessageMs } = this.#limits
    const onError = this.#init.onError ?? (() => undefined)
    const init = { host: this.#components.host, firstMessageMs, serverOf, onError }
    await serveExec(stream, init, running.controller.signal)
  }

  async #log(running: Running, stream: Stream, peer: string): Promise<void> {
    using resources = new DisposableStack()
    const recordOf = (runId: string): Readonly<ProviderRun> => {
      resources.use(this.#admission.enter(peer))
      return this.#find(running, peer, runId).record
    }
    const { host, identity } = this.#components
    const { firstMessageMs } = this.#limits
    const onError = this.#init.onError ?? (() => undefined)
    await serveLog(stream, { host, identity, firstMessageMs, recordOf, onError }, running.controller.signal)
  }

  /** Never rejects: what goes wrong is told to the consumer as a code. */
  async #serve(running: Running, raw: Stream, peer: string): Promise<void> {
    const stream: ProviderStream = framedStream<ConsumerMessage, ProviderMessage>(raw, {
      messages: consumerMessage
    })
    try {
      using _entered = this.#admission.enter(peer)
      const patience = AbortSignal.any([
        running.controller.signal,
        AbortSignal.timeout(this.#limits.firstMessageMs)
      ])
      const frame = await stream.read(patience)
      if (frame === undefined) return
      if (frame.kind !== 'message') throw new WireError('ERR_WIRE_FORMAT', 'data before the first message')
      await this.#open(running, stream, peer, frame.message)
    } catch (error) {
      await this.#end(stream, error)
    } finally {
      await stream.close()
    }
  }

  async #end(stream: ProviderStream, error: unknown): Promise<void> {
    const code = publicCode(error)
    if (code === 'ERR_RUN_FAILED') this.#init.onError?.(error)
    try {
      await send(stream, { type: 'error', code })
    } catch {
      // It is gone already.
    }
  }

  async #open(
    running: Running,
    stream: ProviderStream,
    peer: string,
    message: ConsumerMessage
  ): Promise<void> {
    if (message.type === 'submit') await this.#submit(running, stream, peer, message)
    else if (message.type === 'attach') await this.#attach(running, stream, peer, message)
    else await send(stream, this.#answer(running, peer, message))
  }

  /** What needs one answer and no session. */
  #answer(running: Running, peer: string, message: ConsumerMessage): ProviderMessage {
    if (message.type === 'stop') {
      this.#find(running, peer, message.runId).cancel()
      return { type: 'stopped', requestId: message.requestId }
    }
    if (message.type === 'status') {
      const status = this.#find(running, peer, message.runId).status()
      return { type: 'status', requestId: message.requestId, status }
    }
    if (message.type === 'list') {
      const mine = [...running.runs.all()]
        .filter(({ record }) => record.peer === peer)
        .slice(-LISTED_RUNS_MAX)
      return { type: 'listed', requestId: message.requestId, runs: mine.map((run) => run.status()) }
    }
    throw new WireError('ERR_WIRE_FORMAT', `a stream does not begin with ${message.type}`)
  }

  async #submit(
    running: Running,
    stream: ProviderStream,
    peer: string,
    message: Message<'submit'>
  ): Promise<void> {
    const { requestId, acceptance, program } = message
    let run: HostedRunTask
    try {
      this.#admission.countSubmission(peer, Date.now())
      const { terminal, ...rest } = program
      const submitted = terminal === undefined ? rest : { ...rest, terminal }
      run = await running.acceptor.submit({ acceptance, program: submitted, peer })
    } catch (error) {
      const code = publicCode(error)
      if (code === 'ERR_RUN_FAILED') this.#init.onError?.(error)
      await send(stream, { type: 'refused', requestId, code, reasons: publicReasons(error) })
      return
    }
    await this.#session(running, stream, run, { requestId, outputOffset: 0, view: false, isNew: true })
  }

  async #attach(
    running: Running,
    stream: ProviderStream,
    peer: string,
    message: Message<'attach'>
  ): Promise<void> {
    const run = this.#find(running, peer, message.runId)
    await this.#session(running, stream, run, { ...message, isNew: false })
  }

  async #session(
    running: Running,
    stream: ProviderStream,
    run: HostedRunTask,
    asked: { requestId: string; outputOffset: number; view: boolean; isNew: boolean }
  ): Promise<void> {
    using holder = asked.view ? undefined : this.#hold(run)
    const signal =
      holder === undefined
        ? running.controller.signal
        : AbortSignal.any([running.controller.signal, holder.signal])
    const stdin = await run.stdinStatus(signal)
    const ruleset = await run.rulesetStatus(signal)
    const status = { ...run.status(), stdin, ...(ruleset !== undefined && { ruleset }) }
    const { lease } = run.record
    const { requestId } = asked
    await send(
      stream,
      asked.isNew && lease !== undefined
        ? { type: 'leased', requestId, lease, status }
        : { type: 'attached', requestId, status }
    )
    await new ProviderSession({
      stream,
      run,
      host: this.#components.host,
      outputOffset: asked.outputOffset,
      stdinOffset: stdin.takenBytes,
      hasRuleset: ruleset === 'there',
      toldState: status.state,
      toldNotice: status.notices?.at(-1)?.sequence ?? 0,
      isView: asked.view
    }).serve(signal)
  }

  /** A consumer whose old connection is half dead must not wait for it: the newest session holds the run. */
  #hold(run: HostedRunTask): { signal: AbortSignal } & Disposable {
    this.#holders.get(run)?.abort(new RunError('ERR_RUN_DETACHED', 'another session has taken over'))
    const controller = new AbortController()
    this.#holders.set(run, controller)
    return {
      signal: controller.signal,
      [Symbol.dispose]: () => {
        if (this.#holders.get(run) === controller) this.#holders.delete(run)
      }
    }
  }

  /** Only the consumer that the lease names finds its run; to others it does not exist. */
  #find(running: Running, peer: string, runId: string): HostedRunTask {
    const run = running.runs.find(peer, runId)
    if (run === undefined) throw new RunError('ERR_RUN_UNKNOWN', `${peer} has no run ${runId}`)
    return run
  }
}

async function send(stream: ProviderStream, message: ProviderMessage): Promise<void> {
  await stream.send({ kind: 'message', message })
}
