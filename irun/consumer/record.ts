import type { Receipt } from '../../src/documents/index.ts'
import type { HostProgram } from '../host.ts'
import type { RunNotice } from '../messages.ts'
import type { StoredRun } from '../run-store.ts'
import type { RunSummary } from '../types.ts'

/** A run as the consumer keeps it. `peer` is the provider. */
export interface ConsumerRun extends StoredRun {
  addresses: string[]
  /** Compact JWS of what was accepted, and of the acceptance. */
  offer: string
  acceptance: string
  image: string
  program: HostProgram
  /** Absolute paths, so that staging can begin anew from another directory. */
  inputs: string[]
  /** Absolute. */
  outDir?: string
  createdAtMs: number
  updatedAtMs: number
  /** Compact JWS; set from `leased` on. */
  lease?: string
  expiresAtMs?: number
  /** Compact JWS, of the kernel that was agreed on. */
  manifest?: string
  /** What the provider says; the receipt must say the same. */
  outcome?: Receipt['outcome']
  filesBytes?: number
  /** The last thing that was heard of its machine. */
  notice?: RunNotice
  /** The provider has said that the run may go on beyond its lease. */
  isExtended?: boolean
  /** Set from `collected` on. */
  files?: { path: string; sizeBytes: number }[]
  receipt?: string
  failure?: { code: string; reasons: string[] }
  /** The user wants it stopped; said to the provider again after each reconnect. */
  isCancelled?: boolean
}

export function summaryOf(run: ConsumerRun): RunSummary {
  const { runId, peer, state, image, createdAtMs, updatedAtMs, expiresAtMs, outcome, failure, outDir } = run
  const { notice } = run
  return {
    runId,
    provider: peer,
    state,
    image,
    argv: run.program.argv,
    hasTerminal: run.program.terminal !== undefined,
    createdAtMs,
    updatedAtMs,
    ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(failure === undefined ? {} : { failure }),
    ...(notice === undefined ? {} : { notice }),
    ...(outDir === undefined ? {} : { outDir })
  }
}
