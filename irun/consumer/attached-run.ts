/**
 * What the consumer's process holds of one run while it is attached: the record on disk, the copy of the output,
 * standard input not yet confirmed, and the events. It outlives connections; sessions come and go over it.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SECOND_MS } from '../../src/constants.ts'
import {
  checkLease,
  checkManifest,
  checkReceipt,
  verifyDocument,
  verifyKeptDocument,
  type Lease,
  type Receipt,
  type Verified
} from '../../src/documents/index.ts'
import { DocumentError, FactoryError, RunError } from '../../src/errors.ts'
import type { RunNotice, RunStatus } from '../messages.ts'
import type { RunStore } from '../run-store.ts'
import { statesBetween, transition, type RunState, type RunStep } from '../state-machine.ts'
import type { RunEvent, RunResult } from '../types.ts'
import { EventQueue } from './event-queue.ts'
import { OutputCopy } from './output-copy.ts'
import type { ConsumerRun } from './record.ts'
import { StdinSource } from './stdin-source.ts'

export interface AttachedRunInit {
  store: RunStore<ConsumerRun>
  run: ConsumerRun
  /** The folder of this run. */
  directory: string
  /** Deliver the output from its start. */
  fromStart: boolean
}

export class AttachedRun implements AsyncDisposable {
  readonly stdin = new StdinSource()
  readonly copy: OutputCopy
  readonly events: EventQueue
  readonly directory: string
  readonly #store: RunStore<ConsumerRun>
  #run: ConsumerRun
  #lease: Verified<Lease> | undefined

  static async open(init: AttachedRunInit): Promise<AttachedRun> {
    await mkdir(init.directory, { recursive: true, mode: 0o700 })
    const acceptance = await verifyKeptDocument('acceptance', init.run.acceptance)
    const { outputBytesMax } = acceptance.payload.request.limits
    const copy = await OutputCopy.open(join(init.directory, 'output.spool'), outputBytesMax)
    const run = new AttachedRun(init, copy)
    const { lease } = init.run
    if (lease !== undefined) run.#lease = await verifyKeptDocument('lease', lease)
    return run
  }

  private constructor(init: AttachedRunInit, copy: OutputCopy) {
    this.#store = init.store
    this.#run = init.run
    this.directory = init.directory
    this.copy = copy
    this.events = init.fromStart
      ? new EventQueue(copy, 0, copy.parserAtStart())
      : new EventQueue(copy, copy.byteLength, copy.parserAtEnd())
  }

  get record(): Readonly<ConsumerRun> {
    return this.#run
  }

  get lease(): Verified<Lease> | undefined {
    return this.#lease
  }

  /** Where the output files go. */
  get outDir(): string {
    return this.#run.outDir ?? join(this.directory, 'out')
  }

  emit(event: RunEvent): void {
    this.events.push(event)
  }

  /** Commit a change that is no step. */
  patch(patch: Partial<ConsumerRun>): void {
    this.#run = this.#store.update(this.#run.peer, this.#run.runId, (run) => ({
      ...run,
      ...patch,
      updatedAtMs: Date.now()
    }))
  }

  /** Take a step, commit it and tell. @throws ERR_RUN_STATE */
  advance(step: RunStep, patch: Partial<ConsumerRun> = {}): void {
    this.#commit((run) => ({ ...run, ...patch, state: transition(run.state, step) }))
  }

  /** What the provider says of the run. @throws ERR_PROVIDER_DISHONEST when that cannot be */
  learn(status: RunStatus, state: RunState): void {
    this.#commit((run) => ({
      ...run,
      ...(state === 'exited' && status.outcome !== undefined ? { outcome: status.outcome } : {}),
      ...(state === 'exited' && status.filesBytes !== undefined ? { filesBytes: status.filesBytes } : {}),
      state: statesBetween(run.state, state).at(-1) ?? run.state
    }))
  }

  /** Each notice is told once, whoever is attached. */
  hear(notices: readonly RunNotice[]): void {
    const heard = this.#run.notice?.sequence ?? 0
    const news = notices.filter(({ sequence }) => sequence > heard).sort((a, b) => a.sequence - b.sequence)
    const last = news.at(-1)
    if (last === undefined) return
    const isExtended = news.some(({ code }) => code === 'lease-extended')
    this.patch({ notice: last, ...(isExtended && { isExtended }) })
    for (const { sequence: _number, ...notice } of news) this.emit({ type: 'notice', ...notice })
  }

  /** The provider has answered the acceptance. @throws ERR_PROVIDER_DISHONEST, ERR_LEASE_MISMATCH */
  async takeLease(token: string): Promise<void> {
    const { peer, acceptance: accepted, offer } = this.#run
    const lease = await believing(async () => {
      const lease = await verifyDocument('lease', token, { issuer: peer })
      checkLease(
        lease,
        await verifyKeptDocument('acceptance', accepted),
        await verifyKeptDocument('offer', offer)
      )
      return lease
    })
    this.#lease = lease
    this.advance('lease', { lease: token, expiresAtMs: lease.payload.exp * SECOND_MS })
  }

  /**
   * The provider has the kernel, and waits for our word. Compared before anything boots.
   * @throws ERR_PROVIDER_DISHONEST when it is not the one that was agreed on
   */
  async takeManifest(token: string): Promise<void> {
    const { offer, acceptance } = this.#run
    const lease = this.#lease
    if (lease === undefined) throw new RunError('ERR_RUN_STATE', 'a kernel manifest without a lease')
    await believing(async () => {
      const manifest = await verifyDocument('kernel-manifest', token)
      const agreement = {
        offer: await verifyKeptDocument('offer', offer),
        acceptance: await verifyKeptDocument('acceptance', acceptance),
        lease
      }
      checkManifest(manifest, agreement, Date.now())
    })
    this.patch({ manifest: token })
  }

  /** @throws ERR_PROVIDER_DISHONEST when the receipt is not what was seen of the run */
  async takeReceipt(token: string): Promise<void> {
    await this.checkReceipt(token)
    this.patch({ receipt: token })
  }

  async checkReceipt(token: string): Promise<Verified<Receipt>> {
    const { peer, outcome, filesBytes } = this.#run
    const lease = this.#lease
    if (lease === undefined) throw new RunError('ERR_RUN_STATE', 'a receipt without a lease')
    return believing(async () => {
      const receipt = await verifyKeptDocument('receipt', token, { issuer: peer })
      checkReceipt(receipt, lease)
      same('outcome', receipt.payload.outcome, outcome)
      same('filesBytes', receipt.payload.used.filesBytes, filesBytes ?? 0)
      return receipt
    })
  }

  /** @throws ERR_RUN_STATE before `receipt` */
  async result(): Promise<RunResult> {
    const { runId, receipt: token, files } = this.#run
    if (token === undefined) throw new RunError('ERR_RUN_STATE', `run ${runId} has no receipt`)
    const receipt = await this.checkReceipt(token)
    const { outcome, cut } = receipt.payload
    return {
      runId,
      outcome,
      ...(cut === undefined ? {} : { cut }),
      outDir: this.outDir,
      files: files ?? [],
      receipt
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.events.end()
    this.stdin.close()
    await this.copy[Symbol.asyncDispose]()
  }

  #commit(change: (run: ConsumerRun) => ConsumerRun): void {
    const before = this.#run.state
    this.#run = this.#store.update(this.#run.peer, this.#run.runId, (run) => ({
      ...change(run),
      updatedAtMs: Date.now()
    }))
    const passed = before === this.#run.state ? [] : pathBetween(before, this.#run.state)
    for (const state of passed) this.emit({ type: 'state', state })
  }
}

/** States that were skipped are told too, so that a reader sees each once. */
function pathBetween(from: RunState, to: RunState): RunState[] {
  try {
    const path = statesBetween(from, to)
    return path.at(-1) === to ? path : [to]
  } catch {
    return [to]
  }
}

function same(field: string, said: unknown, seen: unknown): void {
  if (JSON.stringify(sorted(said)) === JSON.stringify(sorted(seen))) return
  throw new DocumentError(
    'ERR_DOCUMENT_MISMATCH',
    `receipt: ${field} differs from what the provider had said`
  )
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
}

/** A document of the provider that does not hold is the provider's fault. */
async function believing<T>(check: () => Promise<T>): Promise<T> {
  try {
    return await check()
  } catch (error) {
    if (!(error instanceof DocumentError || error instanceof FactoryError)) throw error
    throw new RunError(
      'ERR_PROVIDER_DISHONEST',
      `the provider sent a document that does not hold: ${error.message}`,
      [],
      {
        cause: error
      }
    )
  }
}
