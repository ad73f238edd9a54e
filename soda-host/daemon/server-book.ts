import { HostError } from '../../src/errors.ts'
import type { EventKind } from './api.ts'
import { abortable, Bell, clockReaches } from './bell.ts'
import type { DaemonLog } from './log.ts'
import type { ServerRecord } from './server-record.ts'
import type { StateTable } from './state-table.ts'

export interface BookComponents {
  table: StateTable
  log: DaemonLog
  /** Called after an event was written. */
  onEvent: () => void
}

/**
 * One server's record, in memory and in the table, and the bell that rings when it changes. A record is never
 * changed in place: who holds one holds a snapshot.
 */
export class ServerBook {
  readonly #with: BookComponents
  readonly #changed = new Bell()
  #record: ServerRecord

  constructor(record: ServerRecord, components: BookComponents) {
    this.#record = record
    this.#with = components
  }

  get record(): ServerRecord {
    return this.#record
  }

  get id(): string {
    return this.#record.spec.id
  }

  get changed(): Bell {
    return this.#changed
  }

  /** In memory only: what a later commit takes along, or what can be had again. */
  set(patch: Partial<ServerRecord>): void {
    this.#record = { ...this.#record, ...patch }
    this.#changed.ring()
  }

  /** On the disk when this returns. @throws ERR_HOST_STATE when it could not be written; nothing has changed then */
  commit(patch: Partial<ServerRecord>, kind?: EventKind): void {
    this.#replace({ ...this.#record, ...patch }, kind)
  }

  /** A whole record in place of the one there is; on the disk when this returns. @throws ERR_HOST_STATE */
  replace(next: ServerRecord): void {
    this.#replace(next, undefined)
  }

  /** Survives the daemon's death but not the machine's; a disk that is full is no reason to stop. */
  note(patch: Partial<ServerRecord>): void {
    this.set(patch)
    try {
      this.#with.table.note(this.#record)
    } catch (error) {
      this.#with.log.warn({ id: this.id, err: error }, 'could not note a change')
    }
  }

  /**
   * For what cannot be undone, or told to anybody: a full disk delays it, only `signal` prevents it.
   * @throws the signal's reason
   */
  async commitSurely(
    next: (record: ServerRecord) => ServerRecord,
    kind: EventKind | undefined,
    { retryMs, signal }: { retryMs: number; signal: AbortSignal }
  ): Promise<void> {
    for (;;) {
      try {
        this.#replace(next(this.#record), kind)
        return
      } catch (error) {
        this.#with.log.error({ id: this.id, err: error }, 'could not write the state; trying again')
      }
      await clockReaches(Date.now() + retryMs, signal)
    }
  }

  #replace(next: ServerRecord, kind: EventKind | undefined): void {
    try {
      this.#with.table.commit(next, kind)
    } catch (error) {
      throw new HostError('ERR_HOST_STATE', `the state of server ${this.id} could not be written`, {
        cause: error
      })
    }
    this.#record = next
    this.#changed.ring()
    if (kind !== undefined) this.#with.onEvent()
  }
}

/** Wait until `isSo`, looking again after every ring. @throws the signal's reason */
export async function until(bell: Bell, isSo: () => boolean, signal: AbortSignal): Promise<void> {
  for (let ring = bell.next(); !isSo(); ring = bell.next()) await abortable(ring, signal)
}
