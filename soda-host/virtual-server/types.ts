/**
 * What a virtual server is to the rest of the SODA host: the seam between the daemon, which keeps state,
 * and the processes that run a guest. A fake and the real thing pass the same compliance suite.
 */

import type { ImagePart } from './guest-image.ts'
import type { LogAttachment } from '../logs/spool-collector.ts'

/** Hard limits of one virtual server, as the lease grants them. Names follow the kernel's. */
export interface ServerLimits {
  /** Share of one CPU, 0.05..64. 1 means one whole CPU guaranteed while others want theirs. */
  cpu: number
  /** Never more than this many CPUs' time, even while others leave theirs idle. @default no such cap */
  cpuMax?: number
  /** Guest memory in bytes. */
  memoryBytes: number
  /** Size of the writable layer in bytes. */
  diskBytes: number
  /** At most so many bytes a second from the host's disk, and to it, where the machine can. @default as fast as it can */
  diskBytesPerSecond?: number
  /** Processes inside the guest. */
  processesMax: number
  /** Bytes of standard output and error that are kept; what comes after is counted and thrown away. */
  outputBytesMax: number
  /** Bits per second to the outside that are guaranteed. @default as fast as it can; none, where the slice has a rate */
  outboundBitsPerSecond?: number
  /** At most, when others leave theirs. @default all of the slice; without a slice, what is guaranteed */
  outboundMaxBitsPerSecond?: number
}

export interface TerminalSize {
  columns: number
  rows: number
}

/** The program that a virtual server runs. Paths are guest paths. */
export interface ProgramSpec {
  /** Program and arguments, 1..1024 strings, no NUL. The program is looked up in the guest's PATH. */
  argv: string[]
  env: Record<string, string>
  /** A terminal if set; then standard output and error are one stream. */
  terminal?: TerminalSize
}

/** How a program ended: by status (0..255) or by signal (its number, 1..64). */
export type ProgramExit = { kind: 'status'; status: number } | { kind: 'signal'; signal: number }

export interface LaunchSpec {
  /** Server id: 16..64 characters of [a-z0-9-]. */
  id: string
  limits: ServerLimits
  /** Host paths. All three are read-only and shared. */
  kernelPath: string
  initrdPath: string
  imagePath: string
  /** The server's own directory on the host: writable layer, channel socket, console log. It exists. */
  directory: string
  /** 0-based slot; chooses the uid and the like, unique among living servers of this host. */
  slot: number
  /** Host CPU number that this server is kept on. */
  hostCpu: number
  /** Up to this much memory it may get while it runs, see `setMemory`; no less than its limit. @default that */
  memoryCeilingBytes?: number
  /**
   * Number of this guest among those that have the writable layer one after the other; each launch needs a higher one.
   * 0: a fresh layer is made, otherwise the one in the directory is taken. @default 0
   */
  boot?: number
  /** Further guests may follow: what the layer holds before the program starts survives the death of the host. @default false */
  isRestartable?: boolean
  /** What `copyLayer` of an earlier guest with the same `diskBytes` made: the layer becomes that, whatever `boot` is. */
  layerPath?: string
  /** Host path of the compiled rules that a stamped kernel takes; read-only and shared. */
  rulesPath?: string
  /** Where a stamped kernel writes its sealed log; it does not boot without. */
  log?: LogAttachment
}

/** Whose leftovers are removed. The writable layer is one of them, unless a further guest is to have it. */
export type SweepSpec = Pick<LaunchSpec, 'id' | 'directory' | 'slot'> & { keepsLayer?: boolean }

/** What must be written down so that another daemon can find the processes again. JSON-safe. */
export interface ProcessRecord {
  pid: number
  /** Field 22 of /proc/PID/stat, so that a reused pid is not taken for ours. */
  startTime: string
  /** cgroup paths (one per hierarchy on v1, one on v2), removed at the end. */
  cgroups: string[]
}

export interface ServerUsage {
  cpuSeconds: number
  memoryPeakBytes: number
}

/** What a guest can come up against: memory, bytes and files on its disk, processes. */
export type GuestLimit = 'memory' | 'disk' | 'files' | 'processes'

/**
 * How a guest came to the memory that it may use now. `given`: its kernel gave the rest back, or took more, as asked;
 * `forced`: its kernel ended processes for that. `refused`: it did not do it in time, and only the host's limit holds,
 * of which the guest may die.
 */
export type MemoryOutcome = 'given' | 'forced' | 'refused'

/** Why the guest's processes are gone. */
export interface ServerEnd {
  /**
   * `halted`: the guest powered off. `panic`: guest kernel panic. `out-of-memory`: the host killed it, since it took more
   * than its group may. `killed`: otherwise from the host's side.
   */
  kind: 'halted' | 'panic' | 'out-of-memory' | 'killed' | 'unknown'
  detail: string
}

/** An entry that the guest sends back from its output directory. `path` is relative and hostile until checked. */
export interface GuestFile {
  path: string
  /** Permission bits, 0..0o777. */
  mode: number
  sizeBytes: number
  kind: 'file' | 'directory'
  /** The content, exactly `sizeBytes` long; must be read before the next entry comes. Empty for a directory. */
  content: AsyncIterable<Uint8Array>
}

export type OutputStream = 'stdout' | 'stderr'

export interface SessionOutput {
  stream: OutputStream
  data: Uint8Array
}

/**
 * A program beside the main one, with streams of its own. It lives as long as it runs, nobody closes it, and the
 * connection to its guest lasts: like a session of ssh it does not survive the daemon. The main program is untouched.
 */
export interface GuestSession {
  /** Everything that it writes, to be iterated once: what is not taken holds the program back. @throws ERR_SESSION_LOST */
  output(signal?: AbortSignal): AsyncIterable<SessionOutput>
  /** Rejects with ERR_SESSION_LOST. A session that was closed ends by signal 9, or as it had ended before. */
  readonly exited: Promise<ProgramExit>
  /** Resolves when it fits into the window of what the program has not read yet. After the program's end, a no-op. */
  stdin(data: Uint8Array, signal?: AbortSignal): Promise<void>
  stdinEnd(): Promise<void>
  /** Signal number 1..64 to its process group. */
  signal(signal: number): Promise<void>
  resize(size: TerminalSize): Promise<void>
  /** Kill what still runs of it. */
  close(): void
}

/**
 * What the daemon is told. `output` and `stdinTaken` are awaited before the guest is acknowledged, so that what
 * was acknowledged is never lost when the daemon is killed, and a slow disk holds the guest back.
 */
export interface ServerListener {
  /**
   * `offset`: how many bytes of output (both streams together) the guest had sent before `data`, counted by the
   * guest since the program started. A daemon may be killed after it stored `data` and before the guest heard so;
   * the guest then sends it again to the next daemon, which sees by the offset what it has already.
   */
  output(stream: OutputStream, data: Uint8Array, offset: number): Promise<void>
  /**
   * The guest's init has taken standard input up to this offset (total bytes since the program started). Said
   * once after every (re)connection too, so that a new daemon knows where the guest stands.
   */
  stdinTaken(offset: number): void
  programExited(exit: ProgramExit): Promise<void>
  /** All that the guest has come up against so far: more each time, and once after every connection if any. */
  limitsReached?(limits: readonly GuestLimit[]): void
}

/** A living guest. Every method rejects with ERR_CHANNEL_CLOSED once the guest is gone. */
export interface RunningServer {
  readonly record: ProcessRecord
  /** Resolves once when the guest's processes are gone and its cgroups are removed; never rejects. */
  readonly ended: Promise<ServerEnd>
  /** Resolves when guest init has answered. Rejects with ERR_BOOT_FAILED or ERR_BOOT_TIMEOUT. */
  ready(signal?: AbortSignal): Promise<void>
  /** Put one file or directory below the guest's working directory. */
  putFile(file: GuestFile, signal?: AbortSignal): Promise<void>
  /** Start the program. Calling again (after re-adoption) is a no-op if it was ever started, even if it has ended. */
  run(program: ProgramSpec): Promise<void>
  /** Feed standard input; resolves when taken by the send window. `offset` makes a resend harmless. */
  stdin(offset: number, data: Uint8Array): Promise<void>
  stdinEnd(offset: number): Promise<void>
  /** Signal number 1..64 to the program's process group. */
  signal(signal: number): Promise<void>
  resize(size: TerminalSize): Promise<void>
  /**
   * Run another program beside the main one. One that cannot be started ends with a status as in a shell.
   * @throws ERR_SESSION_LIMIT, ERR_SESSION_LOST
   */
  exec(program: ProgramSpec): Promise<GuestSession>
  /** Everything below the guest's output directory; regular files and directories only. */
  getFiles(signal?: AbortSignal): AsyncIterable<GuestFile>
  /** Ask the guest to sync and power off; resolves when asked, see `ended`. */
  powerOff(): Promise<void>
  /** SIGKILL to everything in the server; resolves when all of it is gone. */
  kill(): Promise<void>
  /** So far; after the end too, with the last figures. */
  usage(): Promise<ServerUsage>
  /** Other limits for what runs, but for its memory. @throws ERR_CGROUP when the kernel refuses them */
  setLimits(limits: ServerLimits): Promise<void>
  /**
   * How much of its memory a guest that is not frozen may use, up to what it was launched with as its most. What it must
   * not use is the host's again when this resolves, or the guest is killed for it; it waits for the guest, but not for
   * long.
   * @throws ERR_CGROUP when the kernel refuses the limit
   */
  setMemory(memoryBytes: number): Promise<MemoryOutcome>
  /** Onto another host CPU with everything that is in it. @throws ERR_CGROUP when not all of it could be moved */
  moveTo(hostCpu: number): Promise<void>
  /**
   * Stop the guest where it stands: until `thaw` it uses no CPU, and answers nothing. Its clocks go on, so that after
   * the thaw the time of day is right and timers that came due fire at once.
   * @throws ERR_CGROUP when it cannot be stopped; it runs on then
   */
  freeze(): Promise<void>
  /** Let it go on; a no-op when it is not frozen. `kill` needs no thaw. */
  thaw(): Promise<void>
  /** Bytes that its writable layer takes on the host's disk. */
  layerBytes(): Promise<number>
  /**
   * Copy its writable layer into a new file, mode 0600. Of a guest that is frozen meanwhile: what was in flight is in it
   * or not, as after a power cut, and all that the guest was told is on the disk is.
   */
  copyLayer(path: string, signal: AbortSignal): Promise<void>
  /** Its disk and memory, as they are; of a guest that is frozen until the image is disposed of. */
  image(): Promise<GuestImage>
  /** Let go without touching the guest (daemon shutdown); it runs on and can be adopted. */
  release(): Promise<void>
}

/** What there is of a guest that stands still, for those who look for what happened in it. */
export interface GuestImage extends AsyncDisposable {
  /** Its writable layer, an ext4 file system. */
  disk: ImagePart
  /** Byte n is guest physical address n; `virtualBase`: where the guest kernel sees it. */
  memory: ImagePart & { virtualBase: number }
}

/** A guest that was launched by an earlier daemon: it lives, or has ended while nobody looked. */
export type Adopted =
  { isAlive: true; server: RunningServer } | { isAlive: false; end: ServerEnd; usage: ServerUsage }

/** Starts guests and finds them again. */
export interface ServerLauncher {
  launch(spec: LaunchSpec, listener: ServerListener): Promise<RunningServer>
  /**
   * Find a guest that an earlier daemon launched. Of one that is gone, leftovers but the writable layer are removed; why
   * it ended is told by what it left.
   */
  adopt(spec: LaunchSpec, record: ProcessRecord, listener: ServerListener): Promise<Adopted>
  /** Remove whatever an interrupted launch left: processes, cgroups. Safe to call for any id. */
  sweep(spec: SweepSpec): Promise<void>
}
