/**
 * The SODA host without its socket: all servers, and what can be asked of them. The shape is that of `RunHost` in
 * iRun, with schemas of its own.
 */
import { open } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { HostError } from '../../src/errors.ts'
import { admit, promised, type Slice } from '../resources/admission.ts'
import { chooseCpu } from '../resources/cpu-balancer.ts'
import type { ServerLauncher } from '../virtual-server/types.ts'
import type { Capacity, HostEvent, Image, Server, ServerSpec, StdinAnswer } from './api.ts'
import { installedPath, type InstalledArtifacts } from './artifacts.ts'
import { abortable, Bell, clockReaches } from './bell.ts'
import { storeTar } from './files-tar.ts'
import { Keeper, type KeeperComponents } from './keeper.ts'
import { SERVERS_KEPT_MAX, type DaemonTiming } from './limits.ts'
import type { DaemonLog } from './log.ts'
import { readRange } from './output-spool.ts'
import { until } from './server-book.ts'
import { describe, isEnded, type ServerRecord } from './server-record.ts'
import type { StateDirectory } from './state-directory.ts'
import type { StateTable } from './state-table.ts'
import { StdinFeed, type StdinPiece } from './stdin-feed.ts'

export interface HostComponents {
  table: StateTable
  directory: StateDirectory
  launcher: ServerLauncher
  artifacts: InstalledArtifacts
  log: DaemonLog
}

export interface HostInit {
  slice: Slice
  cpus: readonly number[]
  timing: DaemonTiming
}

interface Entry {
  keeper: Keeper
  stdin: StdinFeed
  /** Aborts when it is removed from the table. */
  gone: AbortController
  destroyed?: Promise<void>
}

const EVENTS_AT_A_TIME = 500

export class Host {
  readonly #with: HostComponents
  readonly #init: HostInit
  readonly #entries = new Map<string, Entry>()
  readonly #happened = new Bell()
  readonly #closing = new AbortController()

  constructor(init: HostInit, components: HostComponents) {
    this.#init = init
    this.#with = components
  }

  /** Take up every server on record where an earlier daemon left it. */
  async open(): Promise<void> {
    const records = this.#with.table.all()
    await this.#removeUnrecorded(new Set(records.map(({ spec }) => spec.id)))
    for (const record of records) {
      await this.#with.directory.makeServer(record.spec.id)
      const entry = this.#enter(record)
      if (record.isDoomed) void this.#destroySurely(entry)
    }
  }

  /** Let go of all servers; their guests run on. */
  async close(): Promise<void> {
    this.#closing.abort(new HostError('ERR_HOST_STATE', 'the host is shutting down'))
    await Promise.all(this.#all.map(({ keeper }) => keeper.release()))
    await Promise.allSettled(this.#all.map(async ({ destroyed }) => destroyed))
  }

  capacity(): Capacity {
    const used = promised(this.#living.map(({ spec }) => spec.limits))
    return { architecture: 'x86_64', total: { ...this.#init.slice }, used, images: this.images() }
  }

  images(): Image[] {
    return this.#with.artifacts.images.map(({ name, digest, sizeBytes }) => ({ name, digest, sizeBytes }))
  }

  /** @throws ERR_SLICE_FULL, ERR_IMAGE_UNKNOWN, ERR_SERVER_EXISTS, ERR_HOST_REQUEST */
  async create(spec: ServerSpec): Promise<Server> {
    const same = this.#same(spec)
    if (same !== undefined) return same
    this.#admit(spec)
    await this.#with.directory.makeServer(spec.id)
    const meanwhile = this.#same(spec)
    if (meanwhile !== undefined) return meanwhile
    try {
      return this.#insert(spec)
    } catch (error) {
      await this.#with.directory.removeServer(spec.id)
      throw error
    }
  }

  /** @throws ERR_FILES_FORMAT, ERR_FILES_LIMIT, ERR_SERVER_STATE, ERR_SERVER_UNKNOWN */
  async putFiles(id: string, tar: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const { book } = this.#entry(id).keeper
    const mayTakeName = (): void => {
      const { state, cut } = this.#entry(id).keeper.book.record
      if (state !== 'created' || cut !== undefined)
        throw new HostError(
          'ERR_SERVER_STATE',
          `server ${id} is ${state}: files are taken only before it is started`
        )
    }
    mayTakeName()
    const path = this.#with.directory.server(id).input
    await storeTar(tar, {
      path,
      bytesMax: book.record.spec.limits.diskBytes,
      signal: this.#any(signal),
      mayTakeName
    })
  }

  start(id: string): Server {
    const { keeper } = this.#entry(id)
    keeper.start()
    return describe(keeper.book.record)
  }

  async inspect(id: string): Promise<Server> {
    const { keeper } = this.#entry(id)
    if (keeper.book.record.state === 'running') await keeper.guest.sampleUsage()
    return describe(keeper.book.record)
  }

  list(): Server[] {
    return this.#all
      .filter(({ keeper }) => !keeper.book.record.isDoomed)
      .map(({ keeper }) => describe(keeper.book.record))
      .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1))
  }

  /**
   * The spool from byte `offset` on. With `follow` it ends when the server has.
   * @throws ERR_HOST_REQUEST when there is less than `offset`, ERR_SERVER_UNKNOWN
   */
  async *output(
    id: string,
    offset: number,
    follow: boolean,
    client: AbortSignal
  ): AsyncGenerator<Uint8Array> {
    const { keeper } = this.#entry(id)
    const signal = this.#any(client)
    const { output } = this.#with.directory.server(id)
    await using file = await open(output, 'a+', 0o600)
    const spooled = async (): Promise<number> => keeper.guest.spooledBytes ?? (await file.stat()).size
    if (offset > (await spooled()))
      throw new HostError(
        'ERR_HOST_REQUEST',
        `offset ${offset} is beyond the ${await spooled()} bytes there are`
      )
    for (let at = offset; ;) {
      const changed = keeper.book.changed.next()
      const isLast = isEnded(keeper.book.record) || !follow
      at = yield* readRange(file, at, await spooled())
      if (isLast) return
      await abortable(changed, signal)
      this.#entry(id)
    }
  }

  /** @throws ERR_SERVER_STATE, ERR_SERVER_UNKNOWN */
  async stdin(id: string, piece: StdinPiece, signal: AbortSignal): Promise<StdinAnswer> {
    return this.#entry(id).stdin.take(piece, this.#any(signal))
  }

  /** @throws ERR_SERVER_STATE, ERR_SERVER_UNKNOWN */
  async signal(id: string, signalNumber: number, signal: AbortSignal): Promise<void> {
    const program = await this.#entry(id).keeper.program(this.#any(signal))
    await program.signal(signalNumber)
  }

  /** @throws ERR_SERVER_STATE, ERR_SERVER_UNKNOWN */
  async resize(id: string, size: { columns: number; rows: number }, signal: AbortSignal): Promise<void> {
    const program = await this.#entry(id).keeper.program(this.#any(signal))
    await program.resize(size)
  }

  /** Resolves when the server has ended, or with how it stands after a while. */
  async wait(id: string, signal: AbortSignal): Promise<Server> {
    const { book } = this.#entry(id).keeper
    const patience = AbortSignal.timeout(this.#init.timing.longPollMs)
    try {
      await until(
        book.changed,
        () => isEnded(book.record) || book.record.isDoomed,
        this.#any(signal, patience)
      )
    } catch (error) {
      if (!patience.aborted) throw error
    }
    this.#entry(id)
    return describe(book.record)
  }

  stop(id: string, graceMs: number | undefined): void {
    this.#entry(id).keeper.stop(graceMs ?? this.#init.timing.stopGraceMs)
  }

  /** @throws ERR_SERVER_STATE before `exited`, ERR_SERVER_UNKNOWN */
  async *files(id: string, offset: number): AsyncGenerator<Uint8Array> {
    const { state, filesBytes } = this.#entry(id).keeper.book.record
    if (state !== 'exited' || filesBytes === undefined)
      throw new HostError('ERR_SERVER_STATE', `server ${id} is ${state}: it has no output files`)
    await using file = await open(this.#with.directory.server(id).files)
    yield* readRange(file, offset, filesBytes)
  }

  /** Kill if alive, and remove everything. A no-op for an unknown id. */
  async destroy(id: string): Promise<void> {
    const entry = this.#entries.get(id)
    if (entry !== undefined) await (entry.destroyed ??= this.#destroy(id, entry))
  }

  /** Events after `after`, oldest first; with `follow` without end. */
  async *events(after: number, follow: boolean, client: AbortSignal): AsyncGenerator<HostEvent> {
    const signal = this.#any(client)
    for (let last = after; ;) {
      const happened = this.#happened.next()
      const events = this.#with.table.events(last, EVENTS_AT_A_TIME)
      for (const event of events) {
        yield event
        last = event.sequence
      }
      if (events.length > 0) continue
      if (!follow) return
      await abortable(happened, signal)
    }
  }

  get #all(): Entry[] {
    return [...this.#entries.values()]
  }

  /** Those that hold a part of the slice: a guest may still be there until an ended state is written. */
  get #living(): ServerRecord[] {
    return this.#all.map(({ keeper }) => keeper.book.record).filter((record) => !isEnded(record))
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id)
    // One that is being destroyed is gone for everybody but itself.
    if (entry === undefined || entry.keeper.book.record.isDoomed)
      throw new HostError('ERR_SERVER_UNKNOWN', `there is no server ${id}`)
    return entry
  }

  #any(...signals: AbortSignal[]): AbortSignal {
    return AbortSignal.any([this.#closing.signal, ...signals])
  }

  #insert(spec: ServerSpec): Server {
    const record: ServerRecord = {
      spec,
      imageDigest: this.#admit(spec),
      slot: this.#freeSlot(),
      state: 'created',
      createdAtMs: Date.now(),
      outputSeenBytes: 0,
      outputKeptBytes: 0,
      stdin: { takenBytes: 0, ended: false },
      usage: { cpuSeconds: 0, memoryPeakBytes: 0 },
      isDoomed: false
    }
    this.#with.table.insert(record)
    this.#enter(record)
    this.#happened.ring()
    return describe(record)
  }

  #same(spec: ServerSpec): Server | undefined {
    const record = this.#entries.get(spec.id)?.keeper.book.record
    if (record === undefined) return undefined
    if (record.isDoomed) throw new HostError('ERR_SERVER_EXISTS', `server ${spec.id} is being destroyed`)
    if (!isDeepStrictEqual(record.spec, spec))
      throw new HostError('ERR_SERVER_EXISTS', `server ${spec.id} exists, and is another one`)
    return describe(record)
  }

  #imageDigest(image: string): string {
    const found = this.#with.artifacts.images.find(({ name, digest }) => name === image || digest === image)
    if (found !== undefined) return found.digest
    const names = this.#with.artifacts.images.map(({ name }) => name).join(', ')
    throw new HostError('ERR_IMAGE_UNKNOWN', `there is no image ${image}; there are: ${names}`)
  }

  /** @returns the digest of its image */
  #admit({ limits, image, expiresAtMs }: ServerSpec): string {
    const imageDigest = this.#imageDigest(image)
    if (expiresAtMs <= Date.now()) throw new HostError('ERR_HOST_REQUEST', 'expiresAtMs is in the past')
    if (this.#entries.size >= SERVERS_KEPT_MAX)
      throw new HostError(
        'ERR_SLICE_FULL',
        `${SERVERS_KEPT_MAX} servers are on record; destroy ended ones first`
      )
    const lived = this.#living.map((record) => record.spec.limits)
    const admission = admit(this.#init.slice, lived, limits)
    if (admission.isRoom) return imageDigest
    const short = admission.short.map(({ limit, asked, free }) => `${limit}: asked ${asked}, free ${free}`)
    throw new HostError('ERR_SLICE_FULL', `the slice has no room: ${short.join('; ')}`)
  }

  #freeSlot(): number {
    const taken = new Set(this.#living.map(({ slot }) => slot))
    let slot = 0
    while (taken.has(slot)) slot++
    return slot
  }

  #enter(record: ServerRecord): Entry {
    const keeper = new Keeper(record, this.#keeperComponents)
    const stdin = new StdinFeed(keeper, this.#init.timing.longPollMs)
    const entry: Entry = { keeper, stdin, gone: new AbortController() }
    this.#entries.set(record.spec.id, entry)
    if (!record.isDoomed) keeper.open()
    void this.#removeInTime(entry)
    return entry
  }

  get #keeperComponents(): KeeperComponents {
    const { table, launcher, directory, artifacts, log } = this.#with
    const { timing, cpus } = this.#init
    return {
      table,
      launcher,
      directory,
      log,
      timing,
      onEvent: () => this.#happened.ring(),
      chooseCpu: () =>
        chooseCpu(
          cpus,
          this.#living.flatMap(({ hostCpu, spec }) =>
            hostCpu === undefined ? [] : [{ hostCpu, cpu: spec.limits.cpu }]
          )
        ),
      bootFiles: (digest) => ({
        kernelPath: artifacts.kernelPath,
        initrdPath: artifacts.initrdPath,
        imagePath: installedPath(directory.artifacts, digest)
      })
    }
  }

  async #destroy(id: string, entry: Entry): Promise<void> {
    try {
      await entry.keeper.doom()
      await this.#with.directory.removeServer(id)
      this.#with.table.remove(id)
    } catch (error) {
      // The next attempt, or the next daemon, goes on.
      delete entry.destroyed
      throw error
    }
    this.#entries.delete(id)
    entry.gone.abort()
    entry.keeper.book.changed.ring()
    this.#happened.ring()
  }

  /** Nobody waits for it, and nobody else would try again. */
  async #destroySurely({ keeper }: Entry): Promise<void> {
    const { id } = keeper.book
    while (!this.#closing.signal.aborted) {
      try {
        await this.destroy(id)
        return
      } catch (error) {
        this.#with.log.error({ id, err: error }, 'could not destroy a server; trying again')
      }
      const againAtMs = Date.now() + this.#init.timing.retryMs
      await clockReaches(againAtMs, this.#closing.signal).catch(() => undefined)
    }
  }

  /** Results are kept until their time is over; a server that still runs then is left to its lease. */
  async #removeInTime(entry: Entry): Promise<void> {
    const { book } = entry.keeper
    const signal = this.#any(entry.gone.signal)
    try {
      await clockReaches(book.record.spec.keepUntilMs, signal)
      await until(book.changed, () => isEnded(book.record), signal)
    } catch {
      return
    }
    await this.#destroySurely(entry)
  }

  async #removeUnrecorded(recorded: ReadonlySet<string>): Promise<void> {
    for (const id of await this.#with.directory.serverIds()) {
      if (recorded.has(id)) continue
      this.#with.log.warn({ id }, 'removing what is left of a server that is not on record')
      await this.#with.launcher.sweep({ id, directory: this.#with.directory.server(id).guest, slot: 0 })
      await this.#with.directory.removeServer(id)
    }
  }
}
