/**
 * What can be asked of this host, without its socket. The shape is that of `RunHost` in iRun, with schemas of its own.
 */
import { open } from 'node:fs/promises'
import { HostError } from '../../src/errors.ts'
import type {
  Capacity,
  HostEvent,
  Image,
  LeaseRequest,
  LimitsPatch,
  Link,
  Program,
  OutsideState,
  ReclaimRequest,
  Server,
  ServerSpec,
  Snapshot,
  StdinAnswer
} from './api.ts'
import { abortable } from './bell.ts'
import { openDump } from './dump.ts'
import { ExecSessions } from './exec-sessions.ts'
import { storeTar } from './files-tar.ts'
import type { Links } from './links.ts'
import { readRange } from './output-spool.ts'
import { storeKernel } from './own-kernel.ts'
import { until } from './server-book.ts'
import { describe, isEnded, isRestartable, isToBeFrozen, type ServerRecord } from './server-record.ts'
import { Servers, type ServersComponents, type ServersInit } from './servers.ts'
import type { StdinPiece } from './stdin-feed.ts'

const EVENTS_AT_A_TIME = 500

export class Host {
  readonly #with: ServersComponents
  readonly #init: ServersInit
  readonly #servers: Servers
  readonly #sessions = new ExecSessions()

  constructor(init: ServersInit, components: ServersComponents) {
    this.#init = init
    this.#with = components
    this.#servers = new Servers(init, components)
  }

  /** Take up what an earlier daemon left. */
  async open(): Promise<void> {
    await this.#servers.open()
  }

  /** Let go of all servers; their guests run on. */
  async close(): Promise<void> {
    await this.#servers.close()
  }

  get links(): Links {
    return this.#with.links
  }

  /** What servers have outside. */
  async outside(): Promise<OutsideState> {
    return (await this.#with.outside?.state()) ?? { uplink: 'none', servers: [], denials: [] }
  }

  /** @throws ERR_SERVER_UNKNOWN, ERR_SWITCH, ERR_SLICE_FULL */
  async putLink(link: Link): Promise<Link> {
    for (const id of [link.from, link.to]) this.#servers.entry(id)
    if (link.untilMs !== undefined && link.untilMs <= Date.now())
      throw new HostError('ERR_HOST_REQUEST', 'untilMs is in the past')
    await this.links.put(link)
    return link
  }

  capacity(): Capacity {
    const { slice: total } = this.#init
    const { used, reclaimed } = this.#servers
    const images = this.images()
    return {
      architecture: 'x86_64',
      total: { ...total },
      used,
      images,
      ...(reclaimed !== undefined && { reclaim: reclaimed })
    }
  }

  images(): Image[] {
    return this.#with.artifacts.images.map(({ name, digest, sizeBytes }) => ({ name, digest, sizeBytes }))
  }

  /** @throws ERR_SLICE_FULL, ERR_IMAGE_UNKNOWN, ERR_SERVER_EXISTS, ERR_HOST_REQUEST */
  async create(spec: ServerSpec): Promise<Server> {
    return describe(await this.#servers.create(spec))
  }

  /** @throws ERR_FILES_FORMAT, ERR_FILES_LIMIT, ERR_SERVER_STATE, ERR_SERVER_UNKNOWN */
  async putFiles(id: string, tar: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const { book } = this.#servers.entry(id).keeper
    const mayTakeName = (): void => {
      const { state, cut } = this.#servers.entry(id).keeper.book.record
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

  /**
   * The kernel of a server that boots its own.
   * @throws ERR_KERNEL_DIGEST when it is another one than `digest` says, ERR_SERVER_STATE when the server was started,
   * or boots that of the host; ERR_SERVER_UNKNOWN
   */
  async putKernel(
    id: string,
    { digest, bytes }: { digest: string; bytes: AsyncIterable<Uint8Array> },
    signal: AbortSignal
  ): Promise<Server> {
    const { book } = this.#servers.entry(id).keeper
    const mayTakeName = (): void => {
      const { state, cut, spec } = this.#servers.entry(id).keeper.book.record
      if (state !== 'created' || cut !== undefined || spec.hasOwnKernel !== true)
        throw new HostError('ERR_SERVER_STATE', `server ${id} is ${state}, or boots the kernel of its host`)
    }
    mayTakeName()
    const path = this.#with.directory.server(id).kernel
    await storeKernel(bytes, { path, digest, signal: this.#any(signal), mayTakeName })
    book.commit({ kernelDigest: digest })
    return describe(book.record)
  }

  /**
   * The rules that its own kernel takes; what others have put already need not be put again.
   * @throws ERR_RULESET_DIGEST when they are others than those it was created with, ERR_SERVER_STATE when it was started
   * or takes none, ERR_SERVER_UNKNOWN
   */
  async putRuleset(id: string, bytes: AsyncIterable<Uint8Array>, client: AbortSignal): Promise<Server> {
    const { book } = this.#servers.entry(id).keeper
    const { ruleset } = book.record.spec
    const mayTakeName = (): void => {
      const { state, cut } = this.#servers.entry(id).keeper.book.record
      if (state !== 'created' || cut !== undefined)
        throw new HostError(
          'ERR_SERVER_STATE',
          `server ${id} is ${state}: rules are taken before it is started`
        )
    }
    mayTakeName()
    if (ruleset === undefined) throw new HostError('ERR_SERVER_STATE', `server ${id} takes no rules`)
    await this.#with.rulesets.put(ruleset, bytes, { signal: this.#any(client), mayTakeName })
    book.commit({ hasRuleset: true })
    return describe(book.record)
  }

  start(id: string): Server {
    return describe(this.#servers.start(id))
  }

  /** @throws ERR_SERVER_STATE, ERR_SERVER_UNKNOWN, ERR_CGROUP */
  async freeze(id: string): Promise<Server> {
    const { keeper } = this.#servers.entry(id)
    await keeper.freeze()
    return describe(keeper.book.record)
  }

  /** @throws ERR_SERVER_UNKNOWN, ERR_CGROUP */
  async thaw(id: string): Promise<Server> {
    const { keeper } = this.#servers.entry(id)
    await keeper.thaw()
    return describe(keeper.book.record)
  }

  /** The owner needs the machine, or (undefined) returns it. */
  async setReclaim(request: ReclaimRequest | undefined): Promise<Capacity> {
    await this.#servers.setReclaim(request)
    return this.capacity()
  }

  /** @throws ERR_HOST_REQUEST, ERR_SLICE_FULL, ERR_SERVER_STATE, ERR_SERVER_UNKNOWN */
  async setLimits(id: string, patch: LimitsPatch): Promise<Server> {
    return describe(await this.#servers.setLimits(id, patch))
  }

  /** @throws ERR_SERVER_UNKNOWN */
  snapshots(id: string): Snapshot[] {
    return this.#servers.entry(id).snapshots.list()
  }

  /** @throws ERR_SNAPSHOT_EXISTS, ERR_SNAPSHOT_LIMIT, ERR_SLICE_FULL, ERR_SERVER_STATE, ERR_SERVER_UNKNOWN */
  async takeSnapshot(id: string, name: string): Promise<Snapshot> {
    return this.#servers.entry(id).snapshots.take(name)
  }

  /** @throws ERR_SERVER_UNKNOWN */
  async removeSnapshot(id: string, name: string): Promise<void> {
    await this.#servers.entry(id).snapshots.remove(name)
  }

  /** @throws ERR_SNAPSHOT_UNKNOWN, ERR_SERVER_STATE, ERR_SLICE_FULL, ERR_HOST_RECLAIMED, ERR_SERVER_UNKNOWN */
  async restore(id: string, name: string): Promise<Server> {
    return describe(await this.#servers.restore(id, name))
  }

  /** @throws ERR_DUMP_KEY, ERR_SERVER_STATE, ERR_SERVER_UNKNOWN */
  async dump(id: string, client: AbortSignal): Promise<AsyncGenerator<Uint8Array>> {
    const idleMs = this.#init.timing.bodyIdleMs
    return openDump(this.#servers.entry(id).keeper, { signal: this.#any(client), idleMs })
  }

  async inspect(id: string): Promise<Server> {
    const { keeper } = this.#servers.entry(id)
    if (keeper.book.record.state === 'running') await keeper.guest.sampleUsage()
    return describe(keeper.book.record)
  }

  list(): Server[] {
    return this.#servers.records.map(describe)
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
    const { keeper } = this.#servers.entry(id)
    const signal = this.#any(client)
    await using file = await open(this.#with.directory.server(id).output)
    const spooled = async (): Promise<number> => keeper.guest.spooledBytes ?? (await file.stat()).size
    if (offset > (await spooled()))
      throw new HostError(
        'ERR_HOST_REQUEST',
        `offset ${offset} is beyond the ${await spooled()} bytes there are`
      )
    for (let at = offset; ;) {
      const changed = keeper.book.changed.next()
      const isLast = isEnded(keeper.book.record) || !follow
      const end = await spooled()
      // Its server may go on after the machine has died: what was sent must be there then.
      if (end > at && isRestartable(keeper.book.record)) await file.datasync()
      at = yield* readRange(file, at, end)
      if (isLast) return
      await abortable(changed, signal)
      this.#servers.entry(id)
    }
  }

  /**
   * Bytes of the sealed log. With `follow` it ends when the server has.
   * @throws ERR_HOST_REQUEST when the bytes at `offset` are not kept any more, or not there yet; ERR_SERVER_UNKNOWN
   */
  async *log(
    id: string,
    { offset, length = Infinity, follow }: { offset: number; length?: number; follow: boolean },
    client: AbortSignal
  ): AsyncGenerator<Uint8Array> {
    const { keeper } = this.#servers.entry(id)
    const signal = this.#any(client)
    const log = await keeper.guest.sealedLog()
    for (let at = offset; at < offset + length;) {
      const changed = keeper.book.changed.next()
      const isLast = isEnded(keeper.book.record) || !follow
      const { start, end } = log.range
      if (at < start || at > end)
        throw new HostError(
          'ERR_HOST_REQUEST',
          `byte ${at} is not among the bytes ${start} to ${end} that are kept`
        )
      for await (const bytes of log.read(at, Math.min(end, offset + length))) {
        at += bytes.length
        yield bytes
      }
      if (isLast) return
      await abortable(changed, signal)
      this.#servers.entry(id)
    }
  }

  /** @throws ERR_SERVER_STATE, ERR_SERVER_UNKNOWN */
  async stdin(id: string, piece: StdinPiece, signal: AbortSignal): Promise<StdinAnswer> {
    return this.#servers.entry(id).stdin.take(piece, this.#any(signal))
  }

  /** @throws ERR_SERVER_STATE, ERR_SERVER_UNKNOWN */
  async signal(id: string, signalNumber: number, signal: AbortSignal): Promise<void> {
    const program = await this.#servers.entry(id).keeper.program(this.#any(signal))
    await this.#answered(id, program.signal(signalNumber))
  }

  /** @throws ERR_SERVER_STATE, ERR_SERVER_UNKNOWN */
  async resize(id: string, size: { columns: number; rows: number }, signal: AbortSignal): Promise<void> {
    const program = await this.#servers.entry(id).keeper.program(this.#any(signal))
    await this.#answered(id, program.resize(size))
  }

  /**
   * Another program beside the main one, as the frames of its session.
   * @throws ERR_SERVER_STATE, ERR_SERVER_UNKNOWN, ERR_SESSION_LIMIT, ERR_SESSION_LOST
   */
  async *exec(id: string, program: Program, client: AbortSignal): AsyncGenerator<Uint8Array> {
    const signal = this.#any(client)
    const guest = await this.#servers.entry(id).keeper.program(signal)
    yield* this.#sessions.run(id, guest, program, signal)
  }

  /** Resolves when its guest has room for it. @throws ERR_SESSION_UNKNOWN, ERR_SESSION_LOST */
  async execStdin(
    id: string,
    session: string,
    { data, isLast }: Omit<StdinPiece, 'offset'>,
    signal: AbortSignal
  ): Promise<void> {
    const found = this.#sessions.find(id, session)
    await found.stdin(data, this.#any(signal))
    if (isLast) await found.stdinEnd()
  }

  /** @throws ERR_SESSION_UNKNOWN, ERR_SESSION_LOST */
  async execSignal(id: string, session: string, signalNumber: number): Promise<void> {
    await this.#sessions.find(id, session).signal(signalNumber)
  }

  /** @throws ERR_SESSION_UNKNOWN, ERR_SESSION_LOST */
  async execResize(id: string, session: string, size: { columns: number; rows: number }): Promise<void> {
    await this.#sessions.find(id, session).resize(size)
  }

  /**
   * Resolves when the server has ended or has a notice of a higher number than `notice`, or with how it stands after a
   * while.
   */
  async wait(id: string, notice: number | undefined, signal: AbortSignal): Promise<Server> {
    const { book } = this.#servers.entry(id).keeper
    const patience = AbortSignal.timeout(this.#init.timing.longPollMs)
    try {
      await until(
        book.changed,
        () => isEnded(book.record) || book.record.isDoomed || hasNews(book.record, notice),
        this.#any(signal, patience)
      )
    } catch (error) {
      if (!patience.aborted) throw error
    }
    this.#servers.entry(id)
    return describe(book.record)
  }

  stop(id: string, graceMs: number | undefined): void {
    this.#servers.entry(id).keeper.stop(graceMs ?? this.#init.timing.stopGraceMs)
  }

  /** @throws ERR_HOST_REQUEST, ERR_SERVER_STATE, ERR_SERVER_UNKNOWN */
  extend(id: string, lease: LeaseRequest): Server {
    return describe(this.#servers.extend(id, lease))
  }

  /** @throws ERR_SERVER_STATE, ERR_HOST_RECLAIMED, ERR_SERVER_UNKNOWN */
  restart(id: string, graceMs: number | undefined): Server {
    return describe(this.#servers.restart(id, graceMs ?? this.#init.timing.stopGraceMs))
  }

  /** @throws ERR_SERVER_STATE before `exited`, ERR_SERVER_UNKNOWN */
  async *files(id: string, offset: number): AsyncGenerator<Uint8Array> {
    const { state, filesBytes } = this.#servers.entry(id).keeper.book.record
    if (state !== 'exited' || filesBytes === undefined)
      throw new HostError('ERR_SERVER_STATE', `server ${id} is ${state}: it has no output files`)
    await using file = await open(this.#with.directory.server(id).files)
    yield* readRange(file, offset, filesBytes)
  }

  async destroy(id: string): Promise<void> {
    await this.#servers.destroy(id)
  }

  /** Events after `after`, oldest first; with `follow` without end. */
  async *events(after: number, follow: boolean, client: AbortSignal): AsyncGenerator<HostEvent> {
    const signal = this.#any(client)
    for (let last = after; ;) {
      const happened = this.#servers.happened.next()
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

  /** What is said to a frozen guest is done when it is thawed: as with a stopped process, nobody waits for that. */
  async #answered(id: string, done: Promise<void>): Promise<void> {
    done.catch(() => undefined)
    if (!isToBeFrozen(this.#servers.entry(id).keeper.book.record)) await done
  }

  #any(...signals: AbortSignal[]): AbortSignal {
    return AbortSignal.any([this.#servers.closing, ...signals])
  }
}

function hasNews({ notices }: ServerRecord, notice: number | undefined): boolean {
  return notice !== undefined && (notices.at(-1)?.sequence ?? 0) > notice
}
