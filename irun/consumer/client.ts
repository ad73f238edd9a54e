/** The consumer's side of PROTOCOL_RUN. */
import { randomBytes } from 'node:crypto'
import { join, resolve } from 'node:path'
import { MINUTE_MS, PROTOCOL_EXEC, PROTOCOL_RUN, SECOND_MS } from '../../src/constants.ts'
import {
  agreedFactory,
  digestOf,
  signDocument,
  verifyKeptDocument,
  type Acceptance,
  type KernelManifest,
  type LogAnchor,
  type Receipt,
  type Verified
} from '../../src/documents/index.ts'
import { RunError, WireError } from '../../src/errors.ts'
import { framedStream } from '../../src/wire/index.ts'
import { execProviderMessage, type ExecConsumerMessage, type ExecProviderMessage } from '../exec-messages.ts'
import { CONSUMER_LIMITS, type ConsumerLimits } from '../limits.ts'
import {
  program as programSchema,
  providerMessage,
  type ConsumerMessage,
  type ProviderMessage
} from '../messages.ts'
import { RunStore } from '../run-store.ts'
import { hasReached, isFinal, statesBetween } from '../state-machine.ts'
import type {
  AttachOptions,
  RunClient,
  RunClientComponents,
  RunClientInit,
  RunExec,
  RunHandle,
  RunOutput,
  RunSummary,
  SubmitRequest
} from '../types.ts'
import { AttachedRun } from './attached-run.ts'
import { type ConsumerExecStream, execRefusal, ExecSession } from './exec.ts'
import { RunDriver } from './driver.ts'
import { checkInputs } from './inputs.ts'
import { summaryOf, type ConsumerRun } from './record.ts'
import { keepRuleset } from './ruleset-file.ts'
import { newRunId } from './run-id.ts'
import { SealedLogs } from './sealed-logs.ts'
import { ProviderError } from './session-errors.ts'

/** An acceptance that was not answered within this time cannot be used by anybody later. */
const ACCEPTANCE_LIFETIME_SECONDS = (10 * MINUTE_MS) / SECOND_MS

/** The consumer's side of iRun. */
export function runClient(components: RunClientComponents, init: RunClientInit): RunClient {
  return new LibP2PRunClient(components, init)
}

class LibP2PRunClient implements RunClient {
  readonly #components: RunClientComponents
  readonly #stateDir: string
  readonly #limits: ConsumerLimits
  readonly #store: RunStore<ConsumerRun>
  readonly #drivers = new Set<RunDriver>()
  readonly #sealedLogs: SealedLogs

  constructor(components: RunClientComponents, init: RunClientInit) {
    this.#components = components
    this.#stateDir = init.stateDir
    this.#limits = { ...CONSUMER_LIMITS, ...init.limits }
    this.#store = new RunStore(join(init.stateDir, 'consumer.sqlite'))
    this.#sealedLogs = new SealedLogs({
      components,
      limits: this.#limits,
      directoryOf: (run) => this.#directoryOf(run)
    })
  }

  async submit(request: SubmitRequest): Promise<RunHandle> {
    const run = await this.#accept(request)
    const { ruleset } = request.kernel ?? {}
    if (ruleset !== undefined) await keepRuleset(this.#directoryOf(run), ruleset.bytes)
    this.#store.insert(run)
    const driver = await this.#drive(run, { fromStart: true }, false)
    await driver.leased(request.signal)
    return driver
  }

  async attach(runId: string, options: AttachOptions = {}): Promise<RunHandle> {
    let run = this.#find(runId)
    if (options.outDir !== undefined) {
      const outDir = resolve(options.outDir)
      run = this.#store.update(run.peer, runId, (stored) => ({ ...stored, outDir }))
    }
    if (isFinal(run.state) && run.state !== 'receipt')
      throw new RunError('ERR_RUN_STATE', `run ${runId} is ${run.state}: there is nothing to attach to`)
    const driver = await this.#drive(run, options, false)
    await driver.leased()
    return driver
  }

  list(): RunSummary[] {
    return this.#store
      .all()
      .sort((a, b) => b.createdAtMs - a.createdAtMs)
      .map(summaryOf)
  }

  inspect(runId: string): RunSummary {
    return summaryOf(this.#find(runId))
  }

  async refresh(runId: string, options: { signal?: AbortSignal } = {}): Promise<RunSummary> {
    const run = this.#find(runId)
    if (isFinal(run.state) || hasReached(run.state, 'exited')) return summaryOf(run)
    const requestId = newRequestId()
    const answer = await this.#ask(run, { type: 'status', requestId, runId }, options.signal)
    if (answer.type !== 'status' || answer.status.runId !== runId)
      throw new RunError('ERR_PROVIDER_DISHONEST', 'the provider answers something else')
    const { state } = answer.status
    // The end is only believed with its output: whoever attaches brings it home. Here it is only shown.
    const notice = answer.status.notices?.at(-1)
    return {
      ...summaryOf(run),
      ...(notice === undefined ? {} : { notice }),
      state: statesBetween(run.state, state).at(-1) ?? run.state
    }
  }

  async *logs(
    runId: string,
    options: { follow?: boolean; signal?: AbortSignal } = {}
  ): AsyncGenerator<RunOutput, void, undefined> {
    const run = this.#find(runId)
    const isOver = isFinal(run.state) || hasReached(run.state, 'exited')
    if (options.follow === true && !isOver) yield* this.#follow(run, options.signal)
    else yield* this.#kept(run)
  }

  async exec(
    runId: string,
    program: SubmitRequest['program'],
    { signal }: { signal?: AbortSignal } = {}
  ): Promise<RunExec> {
    const run = this.#find(runId)
    const asked = programSchema.parse({ env: {}, ...program })
    const timeout = AbortSignal.timeout(this.#limits.answerMs)
    const patience = signal === undefined ? timeout : AbortSignal.any([signal, timeout])
    let stream: ConsumerExecStream | undefined
    try {
      const raw = await this.#components.openStream(run.peer, run.addresses, PROTOCOL_EXEC, patience)
      stream = framedStream<ExecProviderMessage, ExecConsumerMessage>(raw, { messages: execProviderMessage })
      await stream.send({ kind: 'message', message: { type: 'exec', runId, program: asked } }, patience)
      const frame = await stream.read(patience)
      if (frame?.kind === 'message' && frame.message.type === 'started') return new ExecSession(runId, stream)
      if (frame?.kind === 'message' && frame.message.type === 'error')
        throw execRefusal(runId, frame.message.code)
      throw new WireError('ERR_WIRE_FORMAT', 'the provider answers something else')
    } catch (cause) {
      stream?.abort(new WireError('ERR_WIRE_CLOSED', 'given up'))
      signal?.throwIfAborted()
      if (cause instanceof RunError) throw cause
      throw new RunError('ERR_PROVIDER_UNREACHABLE', `${run.peer} does not answer`, [], { cause })
    }
  }

  async stop(runId: string, options: { signal?: AbortSignal } = {}): Promise<void> {
    const run = this.#find(runId)
    if (isFinal(run.state) || hasReached(run.state, 'exited')) return
    this.#store.update(run.peer, runId, (stored) => ({ ...stored, isCancelled: true }))
    const answer = await this.#ask(run, { type: 'stop', requestId: newRequestId(), runId }, options.signal)
    if (answer.type !== 'stopped')
      throw new RunError('ERR_PROVIDER_DISHONEST', 'the provider answers something else')
  }

  async receipt(runId: string): Promise<Verified<Receipt> | undefined> {
    const { receipt, peer } = this.#find(runId)
    return receipt === undefined ? undefined : verifyKeptDocument('receipt', receipt, { issuer: peer })
  }

  async manifest(runId: string): Promise<Verified<KernelManifest> | undefined> {
    const { manifest } = this.#find(runId)
    return manifest === undefined ? undefined : verifyKeptDocument('kernel-manifest', manifest)
  }

  async *sealedLog(
    runId: string,
    { follow = false, signal }: { follow?: boolean; signal?: AbortSignal } = {}
  ): AsyncGenerator<Uint8Array, void, undefined> {
    yield* this.#sealedLogs.read(this.#find(runId), {
      follow,
      signal: signal ?? new AbortController().signal
    })
  }

  async logFacts(runId: string): Promise<{ serverId: string; anchors: Verified<LogAnchor>[] }> {
    return this.#sealedLogs.facts(this.#find(runId))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#drivers].map((driver) => driver.detach()))
    this.#store[Symbol.dispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #find(runId: string): ConsumerRun {
    const run = this.#store.find(runId)
    if (run === undefined) throw new RunError('ERR_RUN_UNKNOWN', `there is no run ${runId}`)
    return run
  }

  /** Everything that can be wrong here is found before anything is signed. */
  async #accept(request: SubmitRequest): Promise<ConsumerRun> {
    const { offer, limits, image, token, restart, warning } = request
    const { terminal, argv, env = {} } = request.program
    const program = terminal === undefined ? { argv, env } : { argv, env, terminal }
    const checked = programSchema.safeParse(program)
    if (!checked.success)
      throw new RunError(
        'ERR_RUN_FAILED',
        `the program cannot be sent: ${checked.error.issues[0]?.message ?? ''}`
      )
    const kernel = wishOf(request)
    const { ruleset } = request.kernel ?? {}
    agreedFactory(offer.payload, { kernel })
    const inputs = await checkInputs(request.inputs ?? [])
    const [now, runId, nonce] = [Math.floor(Date.now() / SECOND_MS), newRunId(), newNonce()]
    const acceptance = await signDocument(
      'acceptance',
      {
        v: 1,
        iss: this.#components.identity.id,
        aud: offer.payload.iss,
        iat: now,
        exp: now + ACCEPTANCE_LIFETIME_SECONDS,
        nonce,
        runId,
        offerDigest: digestOf(offer.token),
        termsDigest: offer.payload.terms.digest,
        request: {
          limits,
          image,
          ...(token === undefined ? {} : { token }),
          ...(restart === undefined ? {} : { restart }),
          ...(warning === undefined ? {} : { warning }),
          ...(ruleset === undefined ? {} : { rulesetBytes: ruleset.bytes.byteLength })
        },
        ...(kernel === undefined ? {} : { kernel })
      },
      this.#components.identity
    )
    return {
      peer: offer.payload.iss,
      runId,
      nonce,
      state: 'accepted',
      addresses: [...(request.addresses ?? offer.payload.addresses)],
      offer: offer.token,
      acceptance,
      image,
      program,
      inputs,
      ...(request.outDir === undefined ? {} : { outDir: resolve(request.outDir) }),
      createdAtMs: Date.now(),
      updatedAtMs: Date.now()
    }
  }

  async #drive(run: ConsumerRun, { fromStart = false }: AttachOptions, isView: boolean): Promise<RunDriver> {
    const attached = await AttachedRun.open({
      store: this.#store,
      run,
      directory: this.#directoryOf(run),
      fromStart
    })
    const driver = new RunDriver({
      run: attached,
      components: this.#components,
      limits: this.#limits,
      isView,
      bringLog: (signal) => this.#sealedLogs.bringHome(this.#find(run.runId), signal)
    })
    this.#drivers.add(driver)
    const forget = () => {
      this.#drivers.delete(driver)
    }
    driver.ended().then(forget, forget)
    return driver
  }

  #directoryOf({ runId }: ConsumerRun): string {
    return join(this.#stateDir, 'runs', runId)
  }

  async *#follow(
    run: ConsumerRun,
    signal: AbortSignal | undefined
  ): AsyncGenerator<RunOutput, void, undefined> {
    const driver = await this.#drive(run, { fromStart: true }, true)
    const onAbort = () => void driver.detach()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      for await (const event of driver.events)
        if (event.type === 'stdout' || event.type === 'stderr') yield { stream: event.type, data: event.data }
      signal?.throwIfAborted()
      await driver.ended()
    } finally {
      signal?.removeEventListener('abort', onAbort)
      await driver.detach()
    }
  }

  async *#kept(run: ConsumerRun): AsyncGenerator<RunOutput, void, undefined> {
    const attached = await AttachedRun.open({
      store: this.#store,
      run,
      directory: this.#directoryOf(run),
      fromStart: true
    })
    try {
      attached.events.end()
      for await (const event of attached.events)
        if (event.type === 'stdout' || event.type === 'stderr') yield { stream: event.type, data: event.data }
    } finally {
      await attached[Symbol.asyncDispose]()
    }
  }

  /** One question, one answer. @throws ERR_PROVIDER_UNREACHABLE, ERR_RUN_UNKNOWN */
  async #ask(run: ConsumerRun, message: ConsumerMessage, signal?: AbortSignal): Promise<ProviderMessage> {
    const timeout = AbortSignal.timeout(this.#limits.answerMs)
    const patience = signal === undefined ? timeout : AbortSignal.any([signal, timeout])
    try {
      const raw = await this.#components.openStream(run.peer, run.addresses, PROTOCOL_RUN, patience)
      const stream = framedStream<ProviderMessage, ConsumerMessage>(raw, { messages: providerMessage })
      try {
        await stream.send({ kind: 'message', message }, patience)
        const frame = await stream.read(patience)
        if (frame?.kind !== 'message') throw new WireError('ERR_WIRE_CLOSED', 'the provider does not answer')
        if (frame.message.type === 'error') throw new ProviderError(frame.message.code)
        return frame.message
      } finally {
        await stream.close()
      }
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof ProviderError && error.providerCode === 'ERR_RUN_UNKNOWN')
        throw new RunError('ERR_RUN_UNKNOWN', `the provider does not know run ${run.runId}`, [], {
          cause: error
        })
      throw new RunError('ERR_PROVIDER_UNREACHABLE', `${run.peer} does not answer`, [], { cause: error })
    }
  }
}

function newRequestId(): string {
  return randomBytes(12).toString('base64url')
}

/** @see the nonce of src/documents/fields.ts */
function newNonce(): string {
  return randomBytes(16).toString('base64url')
}

/** As the acceptance says it. */
function wishOf({ kernel }: SubmitRequest): Acceptance['kernel'] {
  if (kernel === undefined) return undefined
  const { factories, logKeys, showsSeverity = true, ruleset, policy = new Uint8Array() } = kernel
  return {
    factories: [...factories],
    logKeys: logKeys.map((key) => Buffer.from(key).toString('base64url')),
    showsSeverity,
    ...(ruleset === undefined ? {} : { ruleset: ruleset.digest }),
    ...(policy.length === 0 ? {} : { policy: Buffer.from(policy).toString('base64url') })
  }
}
