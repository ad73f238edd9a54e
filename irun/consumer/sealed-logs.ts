/** The sealed logs of a consumer's runs: brought home during the run and after it, read from the copy. */
import { PROTOCOL_LOG } from '../../src/constants.ts'
import {
  digestOf,
  logServerId,
  verifyKeptDocument,
  type LogAnchor,
  type Verified
} from '../../src/documents/index.ts'
import { hasCode, RunError } from '../../src/errors.ts'
import type { ConsumerLimits } from '../limits.ts'
import { isFinal } from '../state-machine.ts'
import type { RunClientComponents } from '../types.ts'
import { BackOff, pause } from '../waiting.ts'
import { LogCopy } from './log-copy.ts'
import { downloadLog } from './log-download.ts'
import type { ConsumerRun } from './record.ts'
import { ProviderError, verdictOn } from './session-errors.ts'

/** A provider that has the run, but not its log, is not asked for ever. */
const TRIES = 3

export interface SealedLogsInit {
  components: RunClientComponents
  limits: ConsumerLimits
  directoryOf: (run: ConsumerRun) => string
}

export class SealedLogs {
  readonly #with: SealedLogsInit

  constructor(init: SealedLogsInit) {
    this.#with = init
  }

  /** The copy, then what the provider has beyond it. @throws as `sealedLog` of the run client */
  async *read(
    run: ConsumerRun,
    { follow, signal }: { follow: boolean; signal: AbortSignal }
  ): AsyncGenerator<Uint8Array, void, undefined> {
    await using copy = await this.#copy(run)
    let at = 0
    const news = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const chunk of copy.read(at)) {
        at += chunk.byteLength
        yield chunk
      }
    }
    yield* news()
    // The provider has forgotten it; it was brought home before.
    if (isFinal(run.state)) return
    const backOff = new BackOff(this.#with.limits.reconnectMsMin, this.#with.limits.reconnectMsMax)
    for (;;) {
      try {
        for await (const _more of this.#download(run, copy, { follow, signal })) {
          yield* news()
          backOff.reset()
        }
        return
      } catch (error) {
        signal.throwIfAborted()
        if (isGone(error)) return
        const verdict = verdictOn(error)
        if (verdict !== undefined) throw verdict
        if (!follow)
          throw new RunError('ERR_PROVIDER_UNREACHABLE', `${run.peer} does not answer`, [], { cause: error })
        await pause(backOff.next(), signal)
      }
    }
  }

  /** All there is, before the provider is told that it may forget the run. @throws what breaks the stream */
  async bringHome(run: ConsumerRun, signal: AbortSignal): Promise<void> {
    const { reconnectMsMin, reconnectMsMax } = this.#with.limits
    const backOff = new BackOff(reconnectMsMin, reconnectMsMax)
    await using copy = await this.#copy(run)
    for (let tries = 1; ; tries++) {
      try {
        for await (const _more of this.#download(run, copy, { follow: false, signal }));
        return
      } catch (error) {
        signal.throwIfAborted()
        if (isGone(error) || hasCode(error, 'ERR_LOG_LIMIT') || tries >= TRIES) return
        if (hasCode(error, 'ERR_PROVIDER_DISHONEST')) throw error
        await pause(backOff.next(), signal)
      }
    }
  }

  async facts(run: ConsumerRun): Promise<{ serverId: string; anchors: Verified<LogAnchor>[] }> {
    await using copy = await this.#copy(run)
    const lease = await verifyKeptDocument('lease', run.lease ?? '')
    return { serverId: logServerId(lease.payload), anchors: await copy.anchors() }
  }

  async *#download(
    { peer, addresses, runId }: ConsumerRun,
    copy: LogCopy,
    { follow, signal }: { follow: boolean; signal: AbortSignal }
  ): AsyncGenerator<void, void, undefined> {
    const { components, limits } = this.#with
    const patience = AbortSignal.any([signal, AbortSignal.timeout(limits.answerMs)])
    const stream = await components.openStream(peer, addresses, PROTOCOL_LOG, patience)
    yield* downloadLog(stream, { runId, copy, follow, signal })
  }

  async #copy(run: ConsumerRun): Promise<LogCopy> {
    const { peer, runId, lease: token } = run
    const lease = token === undefined ? undefined : await verifyKeptDocument('lease', token)
    if (token === undefined || lease?.payload.factory === undefined)
      throw new RunError(
        'ERR_RUN_STATE',
        `run ${runId} has no sealed log: it runs under a base kernel, or not yet`
      )
    return LogCopy.open({
      directory: this.#with.directoryOf(run),
      bytesMax: this.#with.limits.logBytesMax,
      provider: peer,
      consumer: this.#with.components.identity.id,
      runId,
      leaseDigest: digestOf(token)
    })
  }
}

/** The provider says that it has nothing more: the copy is what there is. */
function isGone(error: unknown): boolean {
  return (
    error instanceof ProviderError &&
    (error.providerCode === 'ERR_RUN_UNKNOWN' || error.providerCode === 'ERR_RUN_STATE')
  )
}
