import type { Startable, Stream, StreamHandler, StreamHandlerOptions } from '@libp2p/interface'
import type { Limits, Restart, Warning } from '../src/documents/fields.ts'
import type { KernelManifest } from '../src/documents/kernel-manifest.ts'
import type { Lease } from '../src/documents/lease.ts'
import type { LogAnchor } from '../src/documents/log-anchor.ts'
import type { Offer } from '../src/documents/offer.ts'
import type { Receipt } from '../src/documents/receipt.ts'
import type { Verified } from '../src/documents/jws.ts'
import type { Identity } from '../src/identity/index.ts'
import type { HostProgram, RunHost } from './host.ts'
import type { RunNotice } from './messages.ts'
import type { ConsumerLimits, ProviderLimits } from './limits.ts'
import type { RunState } from './state-machine.ts'

/** The part of libp2p's registrar (or of a libp2p node) that is needed. */
export interface StreamRegistrar {
  handle(protocol: string, handler: StreamHandler, options?: StreamHandlerOptions): Promise<void>
  unhandle(protocol: string): Promise<void>
}

/** What makes the kernels of leases: iFactory's shape, in this process or at the other end of a stream. */
export interface KernelFactory {
  /** Its peer id. */
  readonly id: string
  /** @throws ERR_FACTORY_REFUSED, ERR_FACTORY_BUSY, ERR_FACTORY_UNREACHABLE */
  issue(
    agreed: { offer: string; acceptance: string; lease: string },
    signal: AbortSignal
  ): Promise<{ manifest: string; chunks: AsyncIterable<Uint8Array> } & AsyncDisposable>
}

/** What the provider's side of iRun works with. */
export interface RunHandlerComponents {
  registrar: StreamRegistrar
  host: RunHost
  identity: Identity
  /** The offers of this provider that may be accepted now, as it signed them. */
  offers: { current(): readonly string[] }
  /** Those that the offers name. @default none: base kernels boot, which seal nothing */
  factories?: readonly KernelFactory[]
}

export interface RunHandlerInit {
  /** Holds `provider.sqlite`; made if absent. */
  stateDir: string
  limits?: Partial<ProviderLimits>
  /** Told what goes wrong behind the scenes: a code, and words for the provider's own log. */
  onError?: (error: unknown, runId?: string) => void
}

/** A run as the provider sees it. */
export interface HostedRun {
  runId: string
  consumer: string
  state: RunState
  serverId: string
  createdAtMs: number
  expiresAtMs: number
  keepUntilMs: number
}

/** The provider's side: takes runs from consumers and keeps them going whoever is connected. */
export interface RunHandler extends Startable {
  list(): HostedRun[]
}

/** What the consumer's side of iRun works with. */
export interface RunClientComponents {
  identity: Identity
  /**
   * Open a stream over a connection that is authenticated as `peer`.
   *
   * @param peer - peer id in base58
   * @param addresses - multiaddrs to try; where it is connected already they are not needed
   */
  openStream(
    peer: string,
    addresses: readonly string[],
    protocol: string,
    signal: AbortSignal
  ): Promise<Stream>
}

export interface RunClientInit {
  /** Holds `consumer.sqlite` and a folder per run with its output; made if absent. */
  stateDir: string
  limits?: Partial<ConsumerLimits>
}

/** Whose kernel shall boot, and to whom it seals. */
export interface KernelWish {
  /** Peer ids of factories that are believed. */
  factories: readonly string[]
  /** X25519 public keys (32 bytes each): who may read the sealed log. */
  logKeys: readonly Uint8Array[]
  /** The provider sees how grave alerts are, not what they say. @default true */
  showsSeverity?: boolean
  /** The compiled rules that the kernel takes, and their digest as docs/formats/ruleset.md has it. @default none */
  ruleset?: { digest: string; bytes: Uint8Array }
  /** At most 16176 bytes. */
  policy?: Uint8Array
}

export interface SubmitRequest {
  offer: Verified<Offer>
  /** Multiaddrs of the provider. @default those of the offer */
  addresses?: readonly string[]
  limits: Limits
  /** Name or digest of an image of the offer. */
  image: string
  /** JWT of an issuer that the rules name, if they ask for one. */
  token?: string
  /** Absent: a base kernel, which seals nothing; only offers that name no factory are taken then. */
  kernel?: KernelWish
  program: { argv: string[]; env?: Record<string, string>; terminal?: HostProgram['terminal'] }
  /** When it is started again after an end. @default never */
  restart?: Restart
  /** Before the lease ends. @default a notice, when the provider's machine thinks it right */
  warning?: Warning
  /** Files and directories to copy into the program's working directory, under their own names. */
  inputs?: readonly string[]
  /** Where the output files go; kept in the state directory if absent. */
  outDir?: string
  /** Gives up waiting for the lease. The run stays known and can be attached to. */
  signal?: AbortSignal
}

export interface AttachOptions {
  /** Deliver the output from its start. @default false: only what has not been received yet */
  fromStart?: boolean
  /** Where the output files go, in place of what was said before. */
  outDir?: string
}

export type RunEvent =
  | { type: 'state'; state: RunState }
  | { type: 'stdout' | 'stderr'; data: Uint8Array }
  /** `totalBytes` is absent where it is not known yet. */
  | { type: 'progress'; phase: 'staging' | 'collecting'; bytes: number; totalBytes?: number }
  /** `lost` is followed by another `connected` as long as the handle is attached. */
  /** Something happened to it on its machine: `code` and `cause` as HostNotice has them. */
  | ({ type: 'notice' } & Omit<RunNotice, 'sequence'>)
  | { type: 'connection'; status: 'connected' }
  | { type: 'connection'; status: 'lost'; retryMs: number; error: unknown }

export interface RunResult {
  runId: string
  outcome: Receipt['outcome']
  /** Why the program was ended before its time, if it was. */
  cut?: Receipt['cut']
  /** Where `files` are. */
  outDir: string
  /** Regular files, relative to `outDir`. */
  files: { path: string; sizeBytes: number }[]
  receipt: Verified<Receipt>
}

/** An attached run. The run itself goes on without it. */
export interface RunHandle extends AsyncDisposable {
  readonly runId: string
  readonly lease: Verified<Lease>
  /**
   * What happens, in order; can be iterated once. Output is read no faster than it is taken, down to the
   * provider's disk. Ends when the run is settled or the handle detached.
   */
  readonly events: AsyncIterable<RunEvent>
  /** Settles when everything has been brought home. Rejects with ERR_RUN_DETACHED after `detach()`. */
  readonly done: Promise<RunResult>
  /** Resolves when the bytes fit into the window of what the provider has not confirmed yet. */
  writeStdin(data: Uint8Array): Promise<void>
  /** Resolves when the provider has all that was written: who lets go before that takes the rest along. */
  stdinTaken(signal: AbortSignal): Promise<void>
  endStdin(): Promise<void>
  /** A signal by number, 1..64. */
  signal(signalNumber: number): Promise<void>
  resize(size: { columns: number; rows: number }): Promise<void>
  /** Let go of the run; it continues. */
  detach(): Promise<void>
  /** Stop the program (TERM, then KILL); its files and receipt still come, see `done`. */
  cancel(): Promise<void>
}

/** A run as the consumer's store knows it. */
export interface RunSummary {
  runId: string
  provider: string
  state: RunState
  image: string
  argv: string[]
  /** The program was given a terminal. */
  hasTerminal: boolean
  createdAtMs: number
  updatedAtMs: number
  /** When the lease ends, once there is one. */
  expiresAtMs?: number
  outcome?: Receipt['outcome']
  /** The last thing that was heard of its machine. */
  notice?: Omit<RunNotice, 'sequence'>
  /** Why it ended without a result. */
  failure?: { code: string; reasons: string[] }
  outDir?: string
}

export interface RunOutput {
  stream: 'stdout' | 'stderr'
  data: Uint8Array
}

/** A program beside a run's main one, as a session of ssh: it ends with its connection. */
export interface RunExec extends AsyncDisposable {
  /** To be iterated once, and to its end; what is not taken holds the program back. @throws ERR_RUN_DETACHED */
  readonly output: AsyncIterable<RunOutput>
  /** Resolves after the output has been taken. @throws ERR_RUN_DETACHED when it was cut off */
  readonly exited: Promise<Exclude<Receipt['outcome'], { kind: 'failed' }>>
  /** Resolves when the bytes fit into the window of what the provider has not taken yet. */
  writeStdin(data: Uint8Array): Promise<void>
  endStdin(): Promise<void>
  /** A signal by number, 1..64. */
  signal(signalNumber: number): Promise<void>
  resize(size: { columns: number; rows: number }): Promise<void>
  /** Kill what still runs of it. */
  close(): Promise<void>
}

/** The consumer's side: submits runs, finds them again, and brings home what they made. */
export interface RunClient extends AsyncDisposable {
  /**
   * Accept an offer and obtain a lease on it.
   *
   * @throws ERR_RUN_REFUSED with the provider's reasons, ERR_PROVIDER_UNREACHABLE, ERR_PROVIDER_DISHONEST,
   * ERR_LEASE_MISMATCH, ERR_RUN_FILES when an input cannot be read, ERR_MANIFEST_UNTRUSTED when no factory is believed
   * by both
   */
  submit(request: SubmitRequest): Promise<RunHandle>
  /** @throws ERR_RUN_UNKNOWN, ERR_RUN_STATE when there is nothing left to attach to */
  attach(runId: string, options?: AttachOptions): Promise<RunHandle>
  /** Every run of this consumer, newest first. */
  list(): RunSummary[]
  /** @throws ERR_RUN_UNKNOWN */
  inspect(runId: string): RunSummary
  /** Ask the provider how the run stands. @throws ERR_RUN_UNKNOWN, ERR_PROVIDER_UNREACHABLE */
  refresh(runId: string, options?: { signal?: AbortSignal }): Promise<RunSummary>
  /** The output: from the consumer's own copy, and with `follow` from the provider until the program ends. */
  logs(runId: string, options?: { follow?: boolean; signal?: AbortSignal }): AsyncIterable<RunOutput>
  /**
   * Run another program in the virtual server of a run whose main program is running.
   *
   * @throws ERR_RUN_UNKNOWN, ERR_RUN_STATE, ERR_RUN_BUSY when as many run as may, ERR_PROVIDER_UNREACHABLE
   */
  exec(runId: string, program: SubmitRequest['program'], options?: { signal?: AbortSignal }): Promise<RunExec>
  /** Stop the program without attaching. @throws ERR_RUN_UNKNOWN, ERR_PROVIDER_UNREACHABLE */
  stop(runId: string, options?: { signal?: AbortSignal }): Promise<void>
  /** The receipt, once there is one. @throws ERR_RUN_UNKNOWN */
  receipt(runId: string): Promise<Verified<Receipt> | undefined>
  /** Of the kernel that booted; undefined before it has been seen, and where a base kernel boots. @throws ERR_RUN_UNKNOWN */
  manifest(runId: string): Promise<Verified<KernelManifest> | undefined>
  /**
   * The sealed log, as its kernel wrote it: what is here already, then what the provider has, which is kept too; with
   * `follow` until the run has ended. After the run all of it is here.
   *
   * @throws ERR_RUN_UNKNOWN, ERR_RUN_STATE where a base kernel runs, which seals nothing, ERR_PROVIDER_UNREACHABLE without
   * `follow`, ERR_PROVIDER_DISHONEST, ERR_LOG_LIMIT
   */
  sealedLog(runId: string, options?: { follow?: boolean; signal?: AbortSignal }): AsyncIterable<Uint8Array>
  /** What a reader of the log is to know: its server's id, in hex, and the heads that the provider has signed. */
  logFacts(runId: string): Promise<{ serverId: string; anchors: Verified<LogAnchor>[] }>
  /** Detach every handle and close the store. */
  close(): Promise<void>
}
