/**
 * "I need my machine now": the owner takes the machine back from those whose rules allow it, for a time.
 *
 * Theory of operation. What the owner said is a file, written before anything is done and removed before anything is
 * undone; every server follows it, at once and at the start of every daemon. So a daemon that is killed in the middle
 * leaves it to the next one to bring all servers to where the owner wants them. Meanwhile no new server is taken and
 * none starts.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { MIB } from '../../src/constants.ts'
import { hasCode, HostError } from '../../src/errors.ts'
import { promised } from '../resources/admission.ts'
import { memoryFloorBytes } from '../resources/limits.ts'
import { reclaimRequest, type ReclaimRequest } from './api.ts'
import { syncDirectory, writeDurably } from './durable-file.ts'
import type { Keeper, ReclaimedCaps } from './keeper.ts'
import { grantedLimits, isEnded } from './server-record.ts'
import type { StateDirectory } from './state-directory.ts'

export class Reclaim {
  readonly #directory: StateDirectory
  #now: ReclaimRequest | undefined

  constructor(directory: StateDirectory) {
    this.#directory = directory
  }

  /** What the owner wants; undefined when the machine is given. */
  get now(): ReclaimRequest | undefined {
    return this.#now
  }

  /** What an earlier daemon was told. */
  async open(): Promise<void> {
    const text = await readFile(this.#directory.reclaim, 'utf8').catch(() => undefined)
    this.#now = text === undefined ? undefined : reclaimRequest.parse(JSON.parse(text))
  }

  /** On the disk when this resolves. */
  async set(request: ReclaimRequest | undefined): Promise<void> {
    const { reclaim: path, path: top } = this.#directory
    if (request === undefined) {
      await rm(path, { force: true })
      await syncDirectory(top)
    } else
      await writeDurably({
        path,
        write: (part) => writeFile(part, JSON.stringify(request), { mode: 0o600, flush: true })
      })
    this.#now = request
  }

  /** @throws ERR_HOST_RECLAIMED */
  assertGiven(): void {
    if (this.#now === undefined) return
    throw new HostError(
      'ERR_HOST_RECLAIMED',
      'the owner needs this machine now: nothing new is taken until `ishare host return`'
    )
  }

  /**
   * Every server as it should be now.
   * @throws ERR_CGROUP with what could not be done as its cause; the rest has been done
   */
  async apply(keepers: readonly Keeper[]): Promise<void> {
    const living = keepers.filter(({ book: { record } }) => !isEnded(record) && !record.isDoomed)
    const shares = sharesOf(this.#now, living)
    const results = await Promise.allSettled(
      living.map(async (keeper) => keeper.reclaim(shares.get(keeper) ?? {}))
    )
    const errors = results.flatMap((result) =>
      // A guest that has just gone uses nothing.
      result.status === 'rejected' && !hasCode(result.reason, 'ERR_CHANNEL_CLOSED')
        ? [result.reason as unknown]
        : []
    )
    if (errors.length === 0) return
    const cause = new AggregateError(errors)
    throw new HostError('ERR_CGROUP', 'not every server could be frozen, shrunk or returned', { cause })
  }
}

/** Of those that may be taken from: frozen, or at most so much, by their guarantees. */
function sharesOf(
  request: ReclaimRequest | undefined,
  living: readonly Keeper[]
): Map<Keeper, 'frozen' | ReclaimedCaps> {
  if (request === undefined) return new Map()
  const yielding = living.filter(({ book }) => book.record.spec.mayFreeze === true)
  const { cpu, memoryBytes } = request
  if (cpu === undefined && memoryBytes === undefined)
    return new Map(yielding.map((keeper) => [keeper, 'frozen']))
  const limits = yielding.map(({ book }) => grantedLimits(book.record))
  const total = promised(limits)
  return new Map(
    yielding.map((keeper, index) => {
      const own = limits[index] ?? total
      const memory = ((memoryBytes ?? 0) * own.memoryBytes) / total.memoryBytes
      return [
        keeper,
        {
          ...(cpu !== undefined && { reclaimCpuMax: (cpu * own.cpu) / total.cpu }),
          ...(memoryBytes !== undefined && { reclaimMemoryMaxBytes: noLessThanFloor(memory, keeper) })
        }
      ]
    })
  )
}

/** A guest must be able to do with it. */
function noLessThanFloor(bytes: number, { book }: Keeper): number {
  return Math.max(Math.floor(bytes / MIB) * MIB, memoryFloorBytes(book.record.spec.limits.memoryBytes))
}
