import type { Socket } from 'node:net'
import { encodeHeader, formatError, type FrameType } from './frames.ts'

/** All windows full, and commands on top: more than this waits only for a guest that does not read. */
const UNSENT_BYTES_MAX = 16 * 1024 * 1024

/** One connection's way out. */
export class ChannelLink {
  readonly #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** True while the guest does not read as fast as we write: what can wait for `drain` should. */
  get isCongested(): boolean {
    return this.#socket.writableNeedDrain
  }

  /**
   * Send a frame; a no-op when the connection has ended, since the next one begins with what is missing.
   * @throws ERR_CHANNEL_FORMAT when the guest has long stopped reading
   */
  send(type: FrameType, at: { sequence?: number; position?: number } = {}, payload?: Uint8Array): void {
    if (!this.#socket.writable) return
    if (this.#socket.writableLength > UNSENT_BYTES_MAX) throw formatError('it does not read')
    const header = encodeHeader(type, payload?.length ?? 0, at.sequence, at.position)
    if (payload === undefined) {
      this.#socket.write(header)
      return
    }
    this.#socket.cork()
    this.#socket.write(header)
    this.#socket.write(payload)
    this.#socket.uncork()
  }
}

/** A part of the channel that has something to carry on after every connection. */
export interface ChannelFlow<Hello> {
  /** Connected: send again what the guest does not have. @throws ERR_CHANNEL_FORMAT when the hello cannot be true */
  greet(hello: Hello, link: ChannelLink): void
  /** The connection is lost; there may be another. */
  lost(): void
  /** The end: everything that waits rejects with `error`. */
  fail(error: Error): void
}
