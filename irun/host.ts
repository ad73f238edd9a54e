/**
 * What iRun needs of the machine that runs programs. The SODA host's client has this shape; tests use a fake
 * that passes the same compliance suite.
 *
 * A server runs one program to its end: the host boots it, stages its files, runs the program, collects the
 * output directory, frees the slice, and keeps the result until it is destroyed or `keepUntilMs` has passed.
 * All of that goes on without the peer.
 */

import type { Restart, Warning } from '../src/documents/fields.ts'

export interface HostLimits {
  cpu: number
  memoryBytes: number
  diskBytes: number
  processesMax: number
  outputBytesMax: number
  /** Bits per second to the outside that are guaranteed; absent: none, or all where the slice has no rate. */
  outboundBitsPerSecond?: number
  /** At most, when others leave theirs; absent: all of the slice, or what is guaranteed where it has no rate. */
  outboundMaxBitsPerSecond?: number
}

/** What a server may reach outside: as in the access rules. */
export type HostEgress =
  | { kind: 'none' }
  | { kind: 'allow'; to: { host: string; protocol: 'tcp' | 'udp'; port: number }[] }
  | { kind: 'internet' }

export interface HostImage {
  name: string
  /** `sha256:` and 64 hex digits. */
  digest: string
  sizeBytes: number
}

export interface HostAmounts {
  cpu: number
  memoryBytes: number
  diskBytes: number
  servers: number
  /** To the outside; absent where the owner did not say how much there is. */
  outboundBitsPerSecond?: number
}

export interface HostCapacity {
  architecture: 'x86_64'
  /** The slice that the owner gives. */
  total: HostAmounts
  /** What of it is promised to servers now. */
  used: HostAmounts
  images: HostImage[]
}

export interface HostProgram {
  argv: string[]
  env: Record<string, string>
  terminal?: { columns: number; rows: number }
}

/**
 * `created` → `booting` → `running` → `collecting` → `exited`; `failed` from any of the first four. By its restart
 * policy a server goes from `running` to `restarting`, and again to `booting`.
 * `exited` and `failed` hold no part of the slice.
 */
export type HostServerState =
  'created' | 'booting' | 'running' | 'restarting' | 'collecting' | 'exited' | 'failed'

export interface HostServer {
  id: string
  /** Free text that the creator chose (iRun: the consumer's peer id). */
  owner: string
  state: HostServerState
  limits: HostLimits
  image: string
  /** Digest of its own kernel, once that was put. */
  kernel?: string
  /** As asked for. */
  ruleset?: HostRuleset
  /** They are on the machine. */
  hasRuleset?: true
  program: HostProgram
  restart?: Restart
  /** How often it was started again, and why the last time. */
  restarts?: {
    count: number
    dueAtMs?: number
    last: { atMs: number; reason: { code: string; message: string } }
  }
  /** What its tenant should hear of, numbered; the last ones. */
  notices: HostNotice[]
  /** As asked for. */
  egress?: HostEgress
  /** Where its inbound ports are found from outside; absent where they are not. */
  published?: { port: number; publishedAddress: string; publishedPort: number }[]
  createdAtMs: number
  startedAtMs?: number
  endedAtMs?: number
  expiresAtMs: number
  keepUntilMs: number
  /** Set in `exited`. Set in `failed` if the program had ended before the failure. */
  exit?: { kind: 'status'; status: number } | { kind: 'signal'; signal: number }
  /** Set in `failed`, and in `exited` if something was cut short (`lease-expired`, `stopped`). */
  reason?: { code: string; message: string }
  output: { bytes: number; discardedBytes: number }
  stdin: { takenBytes: number; ended: boolean }
  /** Set once collected: size of the tar of the output directory. */
  files?: { bytes: number }
  /**
   * What is kept of its sealed log: offsets of the oldest byte, and behind the newest; number of the newest frame in its
   * boot, and the head of the chain behind that. Absent while it is empty.
   */
  log?: { start: number; end: number; head?: { boot: number; frame: number; head: string } }
  usage: { cpuSeconds: number; memoryPeakBytes: number }
}

/** `code`: `restarting` (with why), `lease-ends`, `lease-extended`, `memory-limit` and its like. */
export interface HostNotice {
  sequence: number
  atMs: number
  code: string
  /** The code of the reason behind it. */
  cause?: string
  message: string
}

/** Compiled detection rules. */
export interface HostRuleset {
  /** As docs/formats/ruleset.md has it: `sha256:` and 64 hex digits. */
  digest: string
  sizeBytes: number
}

export interface HostServerSpec {
  id: string
  owner: string
  limits: HostLimits
  /** Image name or digest. */
  image: string
  /** It boots a kernel of its own, which is put before it is started. */
  hasOwnKernel?: true
  /** Detection rules that its own kernel takes; put before it is started, unless they are there already. */
  ruleset?: HostRuleset
  program: HostProgram
  /** When it is started again after an end. @default never */
  restart?: Restart
  /** Before the lease ends. @default a notice, when the host thinks it right */
  warning?: Warning
  /** What it may reach outside; absent: nothing. */
  egress?: HostEgress
  /** TCP ports at which it may be reached, where the owner publishes ports. */
  inboundPorts?: number[]
  /** The program is stopped then (TERM, later KILL), its files collected. Milliseconds since the epoch. */
  expiresAtMs: number
  /** Results are kept at most until then. */
  keepUntilMs: number
  /** The tenant has agreed that the owner may freeze it, or take CPU from it, when they need the machine. */
  mayFreeze?: boolean
  /** X25519 public keys, base64url: who may open a dump of it. Absent: none is made. */
  dumpKeys?: string[]
}

/** A program beside a server's main one; it ends when it is closed, or with the host's daemon. */
export interface HostSession {
  /** To be iterated once; what is not taken holds the program back. @throws ERR_SESSION_LOST */
  readonly output: AsyncIterable<{ stream: 'stdout' | 'stderr'; data: Uint8Array }>
  /** Resolves after the output has been taken. Rejects with ERR_SESSION_LOST. */
  readonly exited: Promise<NonNullable<HostServer['exit']>>
  /** Resolves when the guest has room for it. @throws ERR_SESSION_LOST, ERR_SESSION_UNKNOWN when it has ended */
  stdin(data: Uint8Array, options?: { end?: boolean; signal?: AbortSignal }): Promise<void>
  signal(signalNumber: number): Promise<void>
  resize(size: { columns: number; rows: number }): Promise<void>
  /** Kill what still runs of it. */
  close(): void
}

export interface RunHost {
  capacity(signal?: AbortSignal): Promise<HostCapacity>
  /**
   * Reserve a part of the slice. The same spec again under the same id is answered with the same server.
   * @throws ERR_SLICE_FULL when the slice has no room, ERR_HOST_RECLAIMED while the owner needs it, ERR_IMAGE_UNKNOWN, ERR_SERVER_EXISTS (other spec, same id)
   */
  create(spec: HostServerSpec, signal?: AbortSignal): Promise<HostServer>
  /** Replace the input files by those of a tar stream; only in `created`. @throws ERR_FILES_FORMAT, ERR_FILES_LIMIT */
  putFiles(id: string, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>
  /**
   * The kernel of a server that boots its own; only in `created`.
   * @throws ERR_KERNEL_DIGEST when it is another one than `digest` says, ERR_SERVER_STATE
   */
  putKernel(
    id: string,
    kernel: { digest: string; chunks: AsyncIterable<Uint8Array> },
    signal?: AbortSignal
  ): Promise<HostServer>
  /**
   * The rules that its kernel takes, of which servers with the same digest share one copy; only in `created`.
   * @throws ERR_RULESET_DIGEST when they are not those of its spec, ERR_SERVER_STATE
   */
  putRuleset(id: string, chunks: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<HostServer>
  /** Boot and run; a no-op when that has been done. @throws ERR_SERVER_STATE while its own kernel or its rules are not there */
  start(id: string, signal?: AbortSignal): Promise<HostServer>
  /** @throws ERR_SERVER_UNKNOWN */
  inspect(id: string, signal?: AbortSignal): Promise<HostServer>
  list(signal?: AbortSignal): Promise<HostServer[]>
  /**
   * The spool from byte `offset` on: frames of u32 LE length, u8 stream (1 stdout, 2 stderr), data.
   * With `follow` it ends only after the program has ended and everything was sent.
   */
  output(
    id: string,
    options: { offset: number; follow: boolean; signal?: AbortSignal }
  ): AsyncIterable<Uint8Array>
  /**
   * The sealed log from byte `offset` on, at most `length` bytes; with `follow` it ends when the server has.
   * @throws ERR_HOST_REQUEST when the bytes at `offset` are not kept any more, or not there yet
   */
  log(
    id: string,
    options?: { offset?: number; length?: number; follow?: boolean; signal?: AbortSignal }
  ): AsyncIterable<Uint8Array>
  /** Append standard input at `offset` (bytes since the start); resolves with the new offset when taken.
   * @throws ERR_SERVER_STATE when `offset` is not where the host stands (inspect tells) */
  stdin(
    id: string,
    offset: number,
    data: Uint8Array,
    options?: { end?: boolean; signal?: AbortSignal }
  ): Promise<number>
  /** A signal by number, 1..64. */
  signal(id: string, signalNumber: number, signal?: AbortSignal): Promise<void>
  resize(id: string, size: { columns: number; rows: number }, signal?: AbortSignal): Promise<void>
  /**
   * Run another program beside the main one.
   * @throws ERR_SERVER_STATE when no program is running, ERR_SESSION_LIMIT, ERR_SERVER_UNKNOWN
   */
  exec(id: string, program: HostProgram, signal?: AbortSignal): Promise<HostSession>
  /** Resolves when the server is in `exited` or `failed`. */
  wait(id: string, signal?: AbortSignal): Promise<HostServer>
  /** Resolves when it is in `exited` or `failed`, or has a notice of a higher number. */
  watch(id: string, notice: number, signal?: AbortSignal): Promise<HostServer>
  /** TERM, after `graceMs` KILL; files are collected. */
  stop(id: string, options?: { graceMs?: number; signal?: AbortSignal }): Promise<void>
  /** The collected output directory as a tar stream. @throws ERR_SERVER_STATE before `exited` */
  files(id: string, signal?: AbortSignal): AsyncIterable<Uint8Array>
  /** Kill if alive, and remove everything. A no-op for an unknown id. */
  destroy(id: string, signal?: AbortSignal): Promise<void>
}
