import { CLOCK_SKEW_SECONDS, SECOND_MS } from '../../src/constants.ts'
import { BackOff, pause } from '../waiting.ts'
import { isFinal } from '../state-machine.ts'
import { HostedRunTask, type HostedRunContext } from './hosted-run.ts'
import { serverIdPrefix } from './record.ts'

const HOST_RETRY_MS_MIN = 100
const HOST_RETRY_MS_MAX = 10_000

/** All runs of this provider, and the tasks that drive them. */
export class HostedRuns {
  readonly #context: HostedRunContext
  readonly #runs = new Map<string, HostedRunTask>()
  readonly #tasks = new Set<Promise<void>>()

  constructor(context: HostedRunContext) {
    this.#context = context
  }

  all(): Iterable<HostedRunTask> {
    return this.#runs.values()
  }

  find(peer: string, runId: string): HostedRunTask | undefined {
    return this.#runs.get(`${peer}/${runId}`)
  }

  add(run: HostedRunTask): void {
    this.#runs.set(`${run.record.peer}/${run.record.runId}`, run)
    this.#track(run.supervise())
  }

  /**
   * Take up what the store holds. A run that had no lease yet was never promised: the consumer asks again with
   * the same acceptance. Servers that no living run owns are swept from the host, as soon as it answers.
   */
  async resume(): Promise<void> {
    const { store } = this.#context
    this.prune(Date.now())
    for (const record of store.all()) {
      if (record.lease === undefined) store.remove(record.peer, record.runId)
      else this.add(new HostedRunTask(this.#context, record))
    }
    this.#track(this.#sweep())
  }

  /** Forget runs that are over, kept long enough, and whose acceptance cannot be replayed any more. */
  prune(nowMs: number): void {
    const { store } = this.#context
    for (const { peer, runId, state, keepUntilMs, acceptanceExpiresAtMs } of store.all()) {
      const replayableUntilMs = acceptanceExpiresAtMs + CLOCK_SKEW_SECONDS * SECOND_MS
      if (!isFinal(state) || nowMs <= Math.max(keepUntilMs, replayableUntilMs)) continue
      store.remove(peer, runId)
      this.#runs.delete(`${peer}/${runId}`)
    }
  }

  /** Resolves when every task has ended after the context's signal. */
  async stopped(): Promise<void> {
    await Promise.allSettled(this.#tasks)
  }

  #track(task: Promise<void>): void {
    this.#tasks.add(task)
    void task.finally(() => this.#tasks.delete(task))
  }

  async #sweep(): Promise<void> {
    const { host, identity, signal, onError } = this.#context
    const prefix = serverIdPrefix(identity.id)
    const backOff = new BackOff(HOST_RETRY_MS_MIN, HOST_RETRY_MS_MAX)
    while (true) {
      try {
        for (const { id } of await host.list(signal))
          if (id.startsWith(prefix) && !this.#isOwned(id)) await host.destroy(id, signal)
        return
      } catch (error) {
        if (signal.aborted) return
        onError(error)
        await pause(backOff.next(), signal).catch(() => undefined)
      }
    }
  }

  #isOwned(serverId: string): boolean {
    // One that is being granted right now has a row, but no task yet.
    return this.#context.store.all().some((run) => run.serverId === serverId && !isFinal(run.state))
  }
}
