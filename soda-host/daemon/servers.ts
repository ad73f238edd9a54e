/**
 * All servers of this host: on record, in memory, and their parts of the slice. Creates, finds, and destroys them;
 * what happens to each in between is its keeper's.
 */
import { isDeepStrictEqual } from 'node:util'
import { HostError } from '../../src/errors.ts'
import { admit, promised, type Slice } from '../resources/admission.ts'
import { memoryFloorBytes } from '../resources/limits.ts'
import type { WorkClock } from '../resources/host-work.ts'
import { chooseCpu } from '../resources/cpu-balancer.ts'
import { Turns } from '../virtual-server/channel-turns.ts'
import type { ServerLauncher } from '../virtual-server/types.ts'
import type { InboundPort } from '../switch/gateway/index.ts'
import type { LeaseRequest, Limits, LimitsPatch, ReclaimRequest, ServerSpec } from './api.ts'
import { Balancer } from './balancer.ts'
import { installedPath, type InstalledArtifacts } from './artifacts.ts'
import { Bell, clockReaches } from './bell.ts'
import { Keeper, type KeeperComponents } from './keeper.ts'
import type { Links } from './links.ts'
import type { Outside } from './outside.ts'
import { Reclaim } from './reclaim.ts'
import type { RulesetStore } from './ruleset-store.ts'
import { diskShareBytes, SERVERS_KEPT_MAX, type DaemonTiming } from './limits.ts'
import type { DaemonLog } from './log.ts'
import { choosePublished, type PublishConfig } from './published-ports.ts'
import { until } from './server-book.ts'
import {
  grantedLimits,
  isEnded,
  leaseOf,
  newRecord,
  revived,
  rulesetInUse,
  snapshotBytes,
  type ServerRecord
} from './server-record.ts'
import type { StateDirectory } from './state-directory.ts'
import type { StateTable } from './state-table.ts'
import { Snapshots } from './snapshots.ts'
import { StdinFeed } from './stdin-feed.ts'

export interface ServersComponents {
  table: StateTable
  directory: StateDirectory
  launcher: ServerLauncher
  artifacts: InstalledArtifacts
  rulesets: RulesetStore
  links: Links
  /** Undefined where there is no switch. */
  outside: Outside | undefined
  log: DaemonLog
  /** By which the budgets of guests are filled. @default the machine's */
  workClock?: WorkClock
}

export interface ServersInit {
  slice: Slice
  cpus: readonly number[]
  timing: DaemonTiming
  /** Which boot of the machine this is. */
  hostBoot: string
  /** At the disk, of all servers together. @default as fast as it can */
  diskBytesPerSecond?: number
  /** @default inbound ports are not published */
  publish?: PublishConfig
}

export interface Entry {
  keeper: Keeper
  stdin: StdinFeed
  snapshots: Snapshots
  /** Aborts when it is removed from the table. */
  gone: AbortController
  /** Changes of its limits, one after the other: each is made of what the one before has left. */
  resizing: Turns
  destroyed?: Promise<void>
}

export class Servers {
  /** Rings after every event. */
  readonly happened = new Bell()
  readonly #with: ServersComponents
  readonly #init: ServersInit
  readonly #entries = new Map<string, Entry>()
  readonly #closing = new AbortController()
  readonly #reclaim: Reclaim
  #creating: Promise<unknown> = Promise.resolve()

  constructor(init: ServersInit, components: ServersComponents) {
    this.#init = init
    this.#with = components
    this.#reclaim = new Reclaim(components.directory)
  }

  /** Aborts when the host shuts down. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** Take up every server on record where an earlier daemon left it. */
  async open(): Promise<void> {
    const records = this.#with.table.all()
    await this.#removeUnrecorded(new Set(records.map(({ spec }) => spec.id)))
    for (const record of records) {
      await this.#with.directory.makeServer(record.spec.id)
      const entry = this.#enter(record)
      await entry.snapshots.open()
      if (record.isDoomed) void this.#destroySurely(entry)
    }
    await this.#reclaim.open()
    await this.#applyReclaim().catch((error: unknown) => {
      this.#with.log.error({ err: error }, 'the machine could not be given to its owner')
    })
    void this.#balance()
  }

  /** Let go of all servers; their guests run on. */
  async close(): Promise<void> {
    this.#closing.abort(new HostError('ERR_HOST_STATE', 'the host is shutting down'))
    await Promise.all(this.#all.map(({ keeper }) => keeper.release()))
    await Promise.allSettled(this.#all.map(async ({ destroyed }) => destroyed))
  }

  /** What is promised of the slice. */
  get used(): Slice {
    const { outboundBitsPerSecond, ...rest } = promised(this.#living.map(grantedLimits).map(takenOf))
    const used = { ...rest, diskBytes: rest.diskBytes + this.#sharedBytes }
    // Not of a slice that says nothing about it.
    if (this.#init.slice.outboundBitsPerSecond === undefined) return used
    return { ...used, outboundBitsPerSecond }
  }

  /** Those that are not being destroyed, oldest first. */
  get records(): ServerRecord[] {
    return this.#all
      .map(({ keeper }) => keeper.book.record)
      .filter(({ isDoomed }) => !isDoomed)
      .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.spec.id < b.spec.id ? -1 : 1))
  }

  /** @throws ERR_SERVER_UNKNOWN. One that is being destroyed is gone for everybody but itself. */
  entry(id: string): Entry {
    const entry = this.#entries.get(id)
    if (entry === undefined || entry.keeper.book.record.isDoomed)
      throw new HostError('ERR_SERVER_UNKNOWN', `there is no server ${id}`)
    return entry
  }

  /** One at a time, so that undoing one never takes away another's directory. */
  create(spec: ServerSpec): Promise<ServerRecord> {
    const turn = this.#creating.then(() => this.#create(spec))
    this.#creating = turn.catch(() => undefined)
    return turn
  }

  /** What the owner needs of the machine for themselves now. */
  get reclaimed(): ReclaimRequest | undefined {
    return this.#reclaim.now
  }

  /** The owner needs the machine, or returns it. @throws ERR_CGROUP with what could not be done as its cause */
  async setReclaim(request: ReclaimRequest | undefined): Promise<void> {
    await this.#reclaim.set(request)
    await this.#applyReclaim()
  }

  /** Boot and run; a no-op when that has been done. @throws ERR_HOST_RECLAIMED, ERR_SERVER_UNKNOWN */
  start(id: string): ServerRecord {
    const { keeper } = this.entry(id)
    if (keeper.book.record.state === 'created') this.#reclaim.assertGiven()
    keeper.start()
    return keeper.book.record
  }

  /**
   * Change what a living server may use, within what it was created with; what it gives up is free when this resolves.
   * @throws ERR_HOST_REQUEST beyond that, ERR_SLICE_FULL when what it gave up is somebody else's by now,
   * ERR_SERVER_STATE, ERR_SERVER_UNKNOWN
   */
  async setLimits(id: string, patch: LimitsPatch): Promise<ServerRecord> {
    const { cpu, cpuMax, memoryBytes, outboundBitsPerSecond, outboundMaxBitsPerSecond } = patch
    const { keeper, resizing } = this.entry(id)
    using _turn = await resizing.take(this.closing)
    const { record } = keeper.book
    const { cpuMax: cap, ...rest } = grantedLimits(record)
    const newCap = cpuMax === undefined ? cap : (cpuMax ?? undefined)
    const limits = {
      ...rest,
      ...(cpu !== undefined && { cpu }),
      ...(newCap !== undefined && { cpuMax: newCap }),
      ...(memoryBytes !== undefined && { memoryBytes }),
      ...(outboundBitsPerSecond !== undefined && { outboundBitsPerSecond }),
      ...(outboundMaxBitsPerSecond !== undefined && { outboundMaxBitsPerSecond })
    }
    const floorBytes = Math.min(
      record.spec.limits.memoryBytes,
      memoryFloorBytes(record.spec.limits.memoryBytes)
    )
    if (limits.memoryBytes < floorBytes)
      throw new HostError(
        'ERR_HOST_REQUEST',
        `server ${id} needs ${floorBytes} bytes of memory at least; asked ${limits.memoryBytes}`
      )
    for (const name of ['memoryBytes', 'outboundBitsPerSecond', 'outboundMaxBitsPerSecond'] as const)
      if ((limits[name] ?? Infinity) > (record.spec.limits[name] ?? Infinity))
        throw new HostError(
          'ERR_HOST_REQUEST',
          `server ${id} was created with ${name} ${record.spec.limits[name]}: more is for a new lease`
        )
    if (limits.cpu > record.spec.limits.cpu)
      throw new HostError(
        'ERR_HOST_REQUEST',
        `server ${id} was created with cpu ${record.spec.limits.cpu}; asked ${limits.cpu}: more is for a new lease`
      )
    this.#assertRoom(limits, record)
    await keeper.setLimits(limits)
    return keeper.book.record
  }

  /**
   * Its lease goes on for longer, its results are kept for as long as before after that.
   * @throws ERR_HOST_REQUEST when it would be shorter, ERR_SERVER_STATE, ERR_SERVER_UNKNOWN
   */
  extend(id: string, { expiresAtMs, keepUntilMs }: LeaseRequest): ServerRecord {
    const { keeper } = this.entry(id)
    const before = leaseOf(keeper.book.record)
    const kept = keepUntilMs ?? before.keepUntilMs + expiresAtMs - before.expiresAtMs
    if (expiresAtMs < before.expiresAtMs || kept < Math.max(before.keepUntilMs, expiresAtMs))
      throw new HostError('ERR_HOST_REQUEST', `server ${id}: a lease that was given is not made shorter`)
    keeper.extend({ expiresAtMs, keepUntilMs: kept })
    return keeper.book.record
  }

  /** Start its program again in a new guest. @throws ERR_SERVER_STATE, ERR_HOST_RECLAIMED, ERR_SERVER_UNKNOWN */
  restart(id: string, graceMs: number): ServerRecord {
    const { keeper } = this.entry(id)
    this.#reclaim.assertGiven()
    keeper.restart(graceMs)
    return keeper.book.record
  }

  /**
   * Start its program again in a new guest, with the disk that a snapshot holds; what is running is killed at once. One
   * that has ended gets its part of the slice again.
   * @throws ERR_SNAPSHOT_UNKNOWN, ERR_SERVER_STATE, ERR_SLICE_FULL, ERR_HOST_RECLAIMED, ERR_SERVER_UNKNOWN
   */
  async restore(id: string, name: string): Promise<ServerRecord> {
    return this.entry(id).snapshots.with(name, () => {
      this.#reclaim.assertGiven()
      const { keeper } = this.entry(id)
      if (isEnded(keeper.book.record)) return this.#revive(id, name)
      keeper.restart(0, name)
      return keeper.book.record
    })
  }

  /** As a daemon does that finds it on record, about to boot. */
  #revive(id: string, name: string): ServerRecord {
    const before = this.entry(id)
    const { record } = before.keeper.book
    if (leaseOf(record).expiresAtMs <= Date.now())
      throw new HostError('ERR_SERVER_STATE', `the lease of server ${id} has expired`)
    this.#assertRoom(grantedLimits(record))
    const place = { slot: this.#freeSlot(), published: this.#published(record.spec) }
    const next = revived(record, name, place)
    before.keeper.book.replace(next)
    before.gone.abort()
    const { keeper } = this.#enter(next)
    return keeper.book.record
  }

  /** Kill if alive, and remove everything. A no-op for an unknown id. */
  async destroy(id: string): Promise<void> {
    const entry = this.#entries.get(id)
    if (entry !== undefined) await (entry.destroyed ??= this.#destroy(id, entry))
  }

  get #all(): Entry[] {
    return [...this.#entries.values()]
  }

  /** Those that hold a part of the slice: a guest may still be there until an ended state is written. */
  get #living(): ServerRecord[] {
    return this.#all.map(({ keeper }) => keeper.book.record).filter((record) => !isEnded(record))
  }

  async #create(spec: ServerSpec): Promise<ServerRecord> {
    const before = this.#entries.get(spec.id)?.keeper.book.record
    if (before !== undefined) return same(before, spec)
    this.#reclaim.assertGiven()
    const imageDigest = this.#admit(spec)
    try {
      await this.#with.directory.makeServer(spec.id)
      const record = newRecord(spec, imageDigest, {
        slot: this.#freeSlot(),
        published: this.#published(spec),
        ...(spec.ruleset !== undefined && this.#with.rulesets.has(spec.ruleset) && { hasRuleset: true })
      })
      this.#with.table.insert(record)
      this.#enter(record)
      this.happened.ring()
      return record
    } catch (error) {
      await this.#with.directory.removeServer(spec.id)
      throw error
    }
  }

  #published({ inboundPorts = [] }: ServerSpec): InboundPort[] {
    const taken = this.#living.flatMap(({ published }) => published)
    return choosePublished(this.#init.publish, inboundPorts, taken)
  }

  #imageDigest(image: string): string {
    const found = this.#with.artifacts.images.find(({ name, digest }) => name === image || digest === image)
    if (found !== undefined) return found.digest
    const names = this.#with.artifacts.images.map(({ name }) => name).join(', ')
    throw new HostError('ERR_IMAGE_UNKNOWN', `there is no image ${image}; there are: ${names}`)
  }

  /** @returns the digest of its image */
  #admit({ limits, image, ruleset, expiresAtMs }: ServerSpec): string {
    const imageDigest = this.#imageDigest(image)
    if (expiresAtMs <= Date.now()) throw new HostError('ERR_HOST_REQUEST', 'expiresAtMs is in the past')
    if (this.#entries.size >= SERVERS_KEPT_MAX)
      throw new HostError(
        'ERR_SLICE_FULL',
        `${SERVERS_KEPT_MAX} servers are on record; destroy ended ones first`
      )
    this.#assertRoom({ ...limits, diskBytes: limits.diskBytes + this.#newBytes(ruleset) })
    return imageDigest
  }

  /** `except`: whose limits these are to replace. @throws ERR_SLICE_FULL */
  #assertRoom(limits: ServerSpec['limits'], except?: ServerRecord): void {
    const lived = this.#living
      .filter((record) => record !== except)
      .map(grantedLimits)
      .map(takenOf)
    const { slice } = this.#init
    const admission = admit(
      { ...slice, diskBytes: slice.diskBytes - this.#sharedBytes },
      lived,
      takenOf(limits)
    )
    if (admission.isRoom) return
    const short = admission.short.map(({ limit, asked, free }) => `${limit}: asked ${asked}, free ${free}`)
    throw new HostError('ERR_SLICE_FULL', `the slice has no room: ${short.join('; ')}`)
  }

  /** On the disk beside the layers of living servers: snapshots, of ended ones too, and rules, once per digest. */
  get #sharedBytes(): number {
    const snapshots = this.#all.map(({ keeper }) => snapshotBytes(keeper.book.record))
    return [...snapshots, ...this.#rulesets.values()].reduce((sum, bytes) => sum + bytes, 0)
  }

  /** Sizes by digest, of all that some server takes. */
  get #rulesets(): Map<string, number> {
    const named = this.#all.flatMap(({ keeper }) => rulesetInUse(keeper.book.record))
    return new Map(named.map(({ digest, sizeBytes }) => [digest, sizeBytes]))
  }

  #newBytes(ruleset: ServerSpec['ruleset']): number {
    return ruleset === undefined || this.#rulesets.has(ruleset.digest) ? 0 : ruleset.sizeBytes
  }

  #happened(): void {
    this.#with.rulesets.keepOnly(new Set(this.#rulesets.keys()))
    this.happened.ring()
  }

  #assertSnapshotRoom(bytes: number): void {
    const free = this.#init.slice.diskBytes - this.used.diskBytes
    if (bytes > free)
      throw new HostError('ERR_SLICE_FULL', `the slice has no room: diskBytes: asked ${bytes}, free ${free}`)
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
    const snapshots = new Snapshots({
      keeper,
      directory: this.#with.directory,
      assertRoom: (bytes) => this.#assertSnapshotRoom(bytes)
    })
    const entry: Entry = { keeper, stdin, snapshots, gone: new AbortController(), resizing: new Turns() }
    this.#entries.set(record.spec.id, entry)
    if (!record.isDoomed) keeper.open()
    void this.#removeInTime(entry)
    return entry
  }

  get #keeperComponents(): KeeperComponents {
    const { table, launcher, directory, artifacts, rulesets, log, workClock } = this.#with
    const { timing, cpus, hostBoot, slice, diskBytesPerSecond } = this.#init
    return {
      table,
      launcher,
      directory,
      log,
      timing,
      hostBoot,
      rulesets,
      ...(workClock && { workClock }),
      onEvent: () => this.#happened(),
      chooseCpu: () =>
        chooseCpu(
          cpus,
          this.#living.flatMap(({ hostCpu, ...record }) =>
            hostCpu === undefined ? [] : [{ hostCpu, cpu: grantedLimits(record).cpu }]
          )
        ),
      diskRate: (cpu) =>
        diskBytesPerSecond === undefined
          ? {}
          : { diskBytesPerSecond: Math.ceil((diskBytesPerSecond * cpu) / slice.cpu) },
      bootFiles: (digest) => ({
        kernelPath: artifacts.kernelPath,
        initrdPath: artifacts.initrdPath,
        imagePath: installedPath(directory.artifacts, digest)
      })
    }
  }

  async #applyReclaim(): Promise<void> {
    await this.#reclaim.apply(this.#all.map(({ keeper }) => keeper))
  }

  async #balance(): Promise<void> {
    const { cpus, timing } = this.#init
    const balancer = new Balancer(cpus)
    const look = async (): Promise<boolean> => {
      await clockReaches(Date.now() + timing.balanceMs, this.closing)
      await balancer.look(this.#all.map(({ keeper }) => keeper)).catch((error: unknown) => {
        this.#with.log.warn({ err: error }, 'a server could not be moved to another CPU')
      })
      return true
    }
    while (await look().catch(() => false));
  }

  async #destroy(id: string, entry: Entry): Promise<void> {
    try {
      await entry.keeper.doom()
      await this.#with.links.forget(id)
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
    this.#happened()
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
    const signal = AbortSignal.any([this.closing, entry.gone.signal])
    try {
      // It may be extended meanwhile.
      while (Date.now() < leaseOf(book.record).keepUntilMs)
        await clockReaches(leaseOf(book.record).keepUntilMs, signal)
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

/** What it takes of the slice: its sealed log lies beside its disk. */
function takenOf(limits: Limits): Limits {
  return { ...limits, diskBytes: diskShareBytes(limits.diskBytes) }
}

function same(record: ServerRecord, spec: ServerSpec): ServerRecord {
  if (record.isDoomed) throw new HostError('ERR_SERVER_EXISTS', `server ${spec.id} is being destroyed`)
  if (!isDeepStrictEqual(record.spec, spec))
    throw new HostError('ERR_SERVER_EXISTS', `server ${spec.id} exists, and is another one`)
  return record
}
