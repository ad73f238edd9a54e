import { watch } from 'node:fs'
import { LogStore, SpoolCollector, type CollectorState, type LogAttachment } from '../logs/index.ts'
import type { WorkTerms } from '../resources/host-work.ts'
import { abortable, Bell, clockReaches } from './bell.ts'
import type { DaemonLog } from './log.ts'

export interface SealedLogInit {
  id: string
  /** Where the log is kept, and where the spool lies. */
  directories: { log: string; spool: string }
  bytesMax: number
  state: CollectorState
  /** On the disk when it returns. */
  save: (state: CollectorState) => void
  /** Something was taken into the log. */
  onGrown: (log: SealedLog) => void
  retryMs: number
  /** Of what the guest may make us do. */
  work: WorkTerms
  log: DaemonLog
}

/**
 * The sealed log of one server, as long as the daemon lives: what its guest pushes down is taken as it comes.
 *
 * The guest's writes ring a bell (inotify); where the machine has no watch left, the spool is looked at every
 * `retryMs`. What cannot be kept (a full disk) stays in the spool, and is tried again.
 */
export class SealedLog {
  readonly #with: SealedLogInit
  readonly #store: LogStore
  readonly #collector: SpoolCollector
  #stopping: AbortController | undefined
  #taking: Promise<void> = Promise.resolve()

  private constructor(init: SealedLogInit, store: LogStore) {
    this.#with = init
    this.#store = store
    const { state, save, work } = init
    this.#collector = new SpoolCollector({ store, directory: init.directories.spool, state, save, work })
  }

  /** @throws ERR_LOG_ACCESS when no log can be kept there */
  static async open(init: SealedLogInit): Promise<SealedLog> {
    const store = await LogStore.open({ directory: init.directories.log, bytesMax: init.bytesMax })
    return new SealedLog(init, store)
  }

  get state(): CollectorState {
    return this.#collector.state
  }

  /** Offsets of the oldest byte that is kept, and behind the newest. */
  get range(): { start: number; end: number } {
    return { start: this.#store.start, end: this.#store.end }
  }

  /** Bytes of the log; what came meanwhile is for the next call. @throws ERR_LOG_ACCESS */
  read(from: number, to: number): AsyncGenerator<Uint8Array> {
    return this.#store.read(from, to)
  }

  /** For a guest that is about to boot. @throws ERR_LOG_ACCESS, ERR_HOST_STATE */
  async begin(): Promise<LogAttachment> {
    return this.#collector.begin()
  }

  /** Take what the guest pushes down, until this is released or finished. */
  follow(): void {
    this.#stopping = new AbortController()
    this.#taking = this.#take(this.#stopping.signal)
  }

  /** Another daemon goes on. */
  async release(): Promise<void> {
    this.#stopping?.abort()
    await this.#taking
    await this.#store[Symbol.asyncDispose]()
  }

  /** The guest is gone: what it has pushed down is kept when this resolves. @throws ERR_LOG_ACCESS, ERR_HOST_STATE */
  async finish(): Promise<void> {
    await this.release()
    await this.#collector.finish()
    await this.#store[Symbol.asyncDispose]()
    this.#with.onGrown(this)
  }

  async #take(signal: AbortSignal): Promise<void> {
    const grown = new Bell()
    using _watching = watchSpool(this.#with.directories.spool, grown)
    // What an earlier daemon took and did not write down.
    if (this.#store.end > 0) this.#with.onGrown(this)
    while (!signal.aborted) {
      const next = grown.next()
      await this.#takeOnce(signal)
      const round = new AbortController()
      const later = clockReaches(Date.now() + this.#with.retryMs, AbortSignal.any([signal, round.signal]))
      await abortable(Promise.race([next, later]), signal).catch(() => undefined)
      round.abort()
    }
  }

  async #takeOnce(signal: AbortSignal): Promise<void> {
    const before = this.#store.end
    try {
      await this.#collector.take(signal)
    } catch (error) {
      if (!signal.aborted)
        this.#with.log.warn(
          { id: this.#with.id, err: error },
          'the sealed log could not be taken; trying again'
        )
    }
    if (this.#store.end > before) this.#with.onGrown(this)
  }
}

function watchSpool(directory: string, bell: Bell): Disposable {
  try {
    const watcher = watch(directory, () => bell.ring())
    watcher.on('error', () => watcher.close())
    return { [Symbol.dispose]: () => watcher.close() }
  } catch {
    // No watch left, or no spool: it is looked at in intervals.
    return { [Symbol.dispose]: () => undefined }
  }
}
