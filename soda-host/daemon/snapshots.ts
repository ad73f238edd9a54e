/**
 * Copies of one server's writable layer, made while it stands still.
 *
 * Theory of operation. A snapshot is a file and an entry of the server's record; it exists when both do. The guest is
 * frozen for the time of the copy only: its disk is then what a power cut would leave at that instant, and its file
 * system, which has a journal, comes up from that with all that the guest was told is written. The entry is there
 * before the copy, marked as not whole, so that nobody else is promised the room; it is committed as whole when the
 * file is on the disk and has its name. A daemon that dies anywhere in between leaves an entry that is not whole, or a
 * file without an entry: the next one removes both. Removing goes the other way round: first the entry, then the file.
 *
 * What snapshots take is counted as what the host's disk gives them, each by itself even where they share blocks: all
 * of one server together as much as its disk quota again, and all of all servers as part of the owner's slice.
 */
import { open, rm } from 'node:fs/promises'
import { HostError } from '../../src/errors.ts'
import type { Snapshot } from './api.ts'
import { writeDurably } from './durable-file.ts'
import type { Keeper } from './keeper.ts'
import { SNAPSHOTS_MAX } from './limits.ts'
import type { StateDirectory } from './state-directory.ts'

export interface SnapshotsComponents {
  keeper: Keeper
  directory: StateDirectory
  /** @throws ERR_SLICE_FULL when the owner's slice has no room for so many bytes more */
  assertRoom: (bytes: number) => void
}

export class Snapshots {
  readonly #with: SnapshotsComponents
  #turn: Promise<unknown> = Promise.resolve()

  constructor(components: SnapshotsComponents) {
    this.#with = components
  }

  /** Removes what an earlier daemon did not bring to its end. */
  async open(): Promise<void> {
    const { keeper, directory } = this.#with
    const whole = this.#entries.filter(({ isWhole }) => isWhole)
    if (whole.length !== this.#entries.length) keeper.book.set({ snapshots: whole })
    await directory.keepSnapshots(
      keeper.book.id,
      whole.map(({ name }) => name)
    )
  }

  /** Oldest first. */
  list(): Snapshot[] {
    return this.#entries.filter(({ isWhole }) => isWhole).map(({ isWhole: _true, ...snapshot }) => snapshot)
  }

  /** `use` one, which is there meanwhile. @throws ERR_SNAPSHOT_UNKNOWN */
  with<T>(name: string, use: () => T): Promise<T> {
    return this.#inTurn(async () => {
      this.#find(name)
      return use()
    })
  }

  #find(name: string): Snapshot {
    const found = this.list().find((snapshot) => snapshot.name === name)
    if (found !== undefined) return found
    throw new HostError('ERR_SNAPSHOT_UNKNOWN', `server ${this.#id} has no snapshot ${name}`)
  }

  /**
   * On the disk, and on record, when it resolves.
   * @throws ERR_SNAPSHOT_EXISTS, ERR_SNAPSHOT_LIMIT, ERR_SLICE_FULL, ERR_SERVER_STATE unless its program runs
   */
  take(name: string): Promise<Snapshot> {
    return this.#inTurn(() => this.#take(name))
  }

  /** A no-op for one that is not there. @throws ERR_SERVER_STATE while the next guest is to begin with it */
  remove(name: string): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#entries.some((entry) => entry.name === name)) return
      if (this.#with.keeper.book.record.layer === name)
        throw new HostError('ERR_SERVER_STATE', `server ${this.#id} is to start with snapshot ${name}`)
      this.#with.keeper.book.commit({ snapshots: this.#without(name) })
      await rm(this.#path(name), { force: true })
    })
  }

  async #take(name: string): Promise<Snapshot> {
    const { keeper } = this.#with
    this.#assertMayTake(name)
    const path = this.#path(name)
    try {
      await writeDurably({
        path,
        write: async (part) => {
          await this.#copy(name, part)
          await forceToDisk(part)
        }
      })
      keeper.book.commit({
        snapshots: this.#entries.map((entry) => (entry.name === name ? { ...entry, isWhole: true } : entry))
      })
    } catch (error) {
      keeper.book.set({ snapshots: this.#without(name) })
      await rm(path, { force: true })
      throw error
    }
    return this.#find(name)
  }

  async #copy(name: string, path: string): Promise<void> {
    await using standing = await this.#with.keeper.standStill()
    this.#reserve(name, await standing.guest.layerBytes())
    await standing.guest.copyLayer(path, standing.signal)
    standing.signal.throwIfAborted()
  }

  #assertMayTake(name: string): void {
    if (this.#entries.some((entry) => entry.name === name))
      throw new HostError('ERR_SNAPSHOT_EXISTS', `server ${this.#id} has a snapshot ${name}: remove it first`)
    if (this.#entries.length >= SNAPSHOTS_MAX)
      throw new HostError(
        'ERR_SNAPSHOT_LIMIT',
        `server ${this.#id} has ${SNAPSHOTS_MAX} snapshots, as many as it may: remove one first`
      )
  }

  /** In one go with the look at what is free. */
  #reserve(name: string, bytes: number): void {
    const { diskBytes } = this.#with.keeper.book.record.spec.limits
    const free = diskBytes - this.#entries.reduce((sum, entry) => sum + entry.bytes, 0)
    if (bytes > free)
      throw new HostError(
        'ERR_SNAPSHOT_LIMIT',
        `a snapshot of server ${this.#id} takes ${bytes} bytes; of its ${diskBytes} for snapshots ${free} are free`
      )
    this.#with.assertRoom(bytes)
    const entry = { name, bytes, createdAtMs: Date.now(), isWhole: false }
    this.#with.keeper.book.set({ snapshots: [...this.#entries, entry] })
  }

  #without(name: string): Keeper['book']['record']['snapshots'] {
    return this.#entries.filter((entry) => entry.name !== name)
  }

  get #entries(): Keeper['book']['record']['snapshots'] {
    return this.#with.keeper.book.record.snapshots
  }

  get #id(): string {
    return this.#with.keeper.book.id
  }

  #path(name: string): string {
    return this.#with.directory.snapshot(this.#id, name)
  }

  #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(body)
    this.#turn = turn.catch(() => undefined)
    return turn
  }
}

async function forceToDisk(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.sync()
}
