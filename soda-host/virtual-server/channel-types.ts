/** What the launcher sees of a guest's control channel. `connectGuestChannel` in channel.ts makes one. */
import type { HostError } from '../../src/errors.ts'
import type { WorkTerms } from '../resources/host-work.ts'
import type { GuestFile, GuestSession, ProgramSpec, ServerListener, TerminalSize } from './types.ts'

export interface GuestChannelOptions {
  /** The Unix socket at which the guest kernel accepts. It may be connected to before the guest has booted. */
  socketPath: string
  listener: ServerListener
  /**
   * How many bytes of output are stored for good: the guest goes on there. Left out: the guest sends again all that
   * was never acknowledged, and the listener sees by the offset what it has already.
   */
  outputStored?: number
  /** Ends the channel as `close` does. */
  signal?: AbortSignal
  /** Of what it may make us do. */
  work?: WorkTerms
}

/**
 * The control channel of one guest. It connects at once, and again whenever the connection is lost, until the guest is
 * gone or it is closed. Methods may be called before the guest is ready: they wait. After the end every method rejects
 * with the error that `closed` tells.
 */
export interface GuestChannel extends AsyncDisposable {
  /**
   * Resolves once, never rejects: ERR_CHANNEL_CLOSED when the guest is gone (nobody listens at the socket any more, or
   * it has rebooted) or `close` was called; ERR_CHANNEL_FORMAT when it broke the protocol and should be killed.
   */
  readonly closed: Promise<HostError>
  /** Resolves when guest init has answered. No time limit of its own: pass a signal. */
  ready(signal?: AbortSignal): Promise<void>
  /**
   * Put one file or directory below the guest's working directory; missing parents are made. One at a time: further
   * calls wait for their turn.
   * @throws ERR_FILES_LIMIT when the guest's disk is full, ERR_FILES_FORMAT when the guest refuses the path
   */
  putFile(file: GuestFile, signal?: AbortSignal): Promise<void>
  /** Start the program; a no-op if it was ever started. */
  run(program: ProgramSpec): Promise<void>
  /**
   * Feed standard input; resolves when taken by the send window.
   * @throws ERR_SERVER_STATE when `offset` lies beyond what was fed so far, or after the end of input
   */
  stdin(offset: number, data: Uint8Array): Promise<void>
  /** @throws ERR_SERVER_STATE when `offset` is not what was fed so far */
  stdinEnd(offset: number): Promise<void>
  /** Signal number 1..64 to the program's process group; a no-op when no program runs. */
  signal(signal: number): Promise<void>
  resize(size: TerminalSize): Promise<void>
  /** @throws ERR_SESSION_LIMIT, ERR_SESSION_LOST while the guest is being connected again */
  exec(program: ProgramSpec): Promise<GuestSession>
  /**
   * Everything below the guest's output directory: parents before children. One walk at a time: a second call waits.
   * @throws ERR_FILES_LIMIT when there is more than may be handed over, ERR_FILES_FORMAT when the guest cannot read it
   */
  getFiles(signal?: AbortSignal): AsyncIterable<GuestFile>
  /** Resolves when the guest has heard it. */
  powerOff(): Promise<void>
  /** Let go of the guest, which runs on. Resolves when the listener has been left alone for good. */
  close(): Promise<void>
}
