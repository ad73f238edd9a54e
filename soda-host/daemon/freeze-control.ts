import type { DaemonLog } from './log.ts'
import type { Guest } from './guest.ts'
import type { ServerBook } from './server-book.ts'
import { isToBeFrozen } from './server-record.ts'

/**
 * Keeps one guest frozen, or running, as its record wants it.
 *
 * The record is written first and the guest follows, one step at a time; an adopted guest may be in either state,
 * so the first step is taken whatever we believe.
 */
export class FreezeControl {
  readonly #book: ServerBook
  readonly #guest: Guest
  readonly #log: DaemonLog
  /** As we left it; undefined when we do not know. */
  #isFrozen: boolean | undefined
  #turn: Promise<void> = Promise.resolve()
  /** What needs the guest to stand still now, whatever its record wants. Not written down: a daemon's death ends it. */
  readonly #holds = new Set<Promise<unknown>>()

  constructor(book: ServerBook, guest: Guest, log: DaemonLog) {
    this.#book = book
    this.#guest = guest
    this.#log = log
  }

  /** The guest is as the record wants it when this resolves. @throws ERR_CGROUP, ERR_CHANNEL_CLOSED when it is gone */
  settle(): Promise<void> {
    const turn = this.#turn.then(() => this.#settle())
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  /** Where nobody waits for it. */
  async settleSoon(): Promise<void> {
    await this.settle().catch((error: unknown) => {
      this.#log.warn({ id: this.#book.id, err: error }, 'could not freeze or thaw the guest')
    })
  }

  /** The guest stands still until what this resolves with is disposed of. @throws ERR_CGROUP, ERR_CHANNEL_CLOSED as `settle` */
  async hold(): Promise<AsyncDisposable> {
    const { promise: over, resolve } = Promise.withResolvers<undefined>()
    this.#holds.add(over)
    const release = async (): Promise<void> => {
      this.#holds.delete(over)
      await this.settleSoon()
      resolve(undefined)
    }
    try {
      await this.settle()
    } catch (error) {
      await release()
      throw error
    }
    return { [Symbol.asyncDispose]: release }
  }

  /** `act` while the guest runs, and is not frozen meanwhile; undefined where its record wants it frozen. */
  async awake<T>(act: () => Promise<T>): Promise<T | undefined> {
    const attempt = async (): Promise<{ result?: T } | undefined> => {
      if (this.#holds.size > 0) return undefined
      if (isToBeFrozen(this.#book.record)) return {}
      await this.#settle()
      return { result: await act() }
    }
    for (;;) {
      await this.held()
      const turn = this.#turn.then(attempt)
      this.#turn = turn.then(
        () => undefined,
        () => undefined
      )
      const done = await turn
      if (done !== undefined) return done.result
    }
  }

  /** Nothing holds the guest any more. */
  async held(): Promise<void> {
    await Promise.all(this.#holds)
  }

  /** Another guest is there, or none. */
  forget(): void {
    this.#isFrozen = undefined
  }

  async #settle(): Promise<void> {
    const { running } = this.#guest
    const isWanted = this.#holds.size > 0 || isToBeFrozen(this.#book.record)
    if (running === undefined || this.#isFrozen === isWanted) return
    this.#isFrozen = undefined
    await (isWanted ? running.freeze() : running.thaw())
    this.#isFrozen = isWanted
  }
}
