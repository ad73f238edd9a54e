import { createHash } from 'node:crypto'
import type { Limits, Restart, Warning } from '../../src/documents/index.ts'
import type { Receipt } from '../../src/documents/index.ts'
import type { HostEgress, HostProgram, HostRuleset, HostServerSpec } from '../host.ts'
import type { RunNotice } from '../messages.ts'
import type { StoredRun } from '../run-store.ts'

/** A run as the provider keeps it. `peer` is the consumer. */
export interface ProviderRun extends StoredRun {
  serverId: string
  acceptanceDigest: string
  /** Until then the acceptance could be replayed, so the row stays. */
  acceptanceExpiresAtMs: number
  program: HostProgram
  restart?: Restart
  warning?: Warning
  limits: Limits
  /** What the rules of the offer that was accepted grant outside, as the lease says. */
  egress: HostEgress
  inboundPorts: number[]
  image: { name: string; digest: string }
  /** The factory whose kernel boots, and what it needs to make it (compact JWS). */
  kernel?: { factory: string; offer: string; acceptance: string }
  /** Of the kernel that the host has; compact JWS. */
  manifest?: string
  /** The rules that it takes. */
  ruleset?: HostRuleset
  createdAtMs: number
  /** When the lease ends. */
  expiresAtMs: number
  keepUntilMs: number
  /** The rules that were accepted let the owner freeze runs. */
  mayFreeze?: boolean
  /** The keys that the consumer named to read what its server's kernel seals open a dump of it too. */
  dumpKeys?: string[]
  /** Compact JWS; set from `leased` on. */
  lease?: string
  /** Set from `exited` on, with the receipt that says the same. */
  outcome?: Receipt['outcome']
  filesBytes?: number
  notices?: RunNotice[]
  receipt?: string
}

/** Servers of this provider's peer carry this prefix at the host, so that it never sweeps those of others. */
export function serverIdPrefix(provider: string): string {
  return `run-${hash(provider).slice(0, 8)}-`
}

/** A run id is the consumer's choice: two of them may choose the same. */
export function serverIdOf(provider: string, consumer: string, runId: string): string {
  return `${serverIdPrefix(provider)}${hash(`${consumer}/${runId}`).slice(0, 32)}`
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** The same spec for the same run, however often it is asked for. */
export function serverSpecOf(run: ProviderRun): HostServerSpec {
  const { cpu, memoryBytes, diskBytes, processesMax, outputBytesMax, outboundBitsPerSecond } = run.limits
  return {
    id: run.serverId,
    owner: run.peer,
    limits: { cpu, memoryBytes, diskBytes, processesMax, outputBytesMax, outboundBitsPerSecond },
    image: run.image.digest,
    ...(run.kernel !== undefined && { hasOwnKernel: true }),
    ...(run.ruleset !== undefined && { ruleset: run.ruleset }),
    program: run.program,
    ...(run.restart !== undefined && { restart: run.restart }),
    ...(run.warning !== undefined && { warning: run.warning }),
    egress: run.egress,
    inboundPorts: run.inboundPorts,
    expiresAtMs: run.expiresAtMs,
    keepUntilMs: run.keepUntilMs,
    ...(run.mayFreeze === true && { mayFreeze: true }),
    ...(run.dumpKeys !== undefined && { dumpKeys: run.dumpKeys })
  }
}
