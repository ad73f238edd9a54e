/**
 * The daemon's end of a guest's control channel.
 *
 * Theory of operation. One loop connects, says hello, and hands frames to the flows until the connection ends; then it
 * connects again. Each flow (commands, standard input, output, files in, files out, sessions) keeps what the guest has not
 * acknowledged and sends it again after the next hello; only sessions end with their connection. The kernel refuses a connection once the guest is gone: that,
 * a guest that has rebooted, or one that breaks the protocol, ends the channel for good.
 *
 * Invariants: a listener is called for one thing at a time and in order; output is acknowledged only after the listener
 * has stored it; what waits in memory for a guest is bounded by the windows of the flows, whatever the guest sends. What
 * it makes us do is paid for out of its budget (resources/host-work.ts): a connection that has used it up is not read.
 *
 * Attacker: the guest, see frames.ts. It can waste its own time, and make us end it.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { HostError } from '../../src/errors.ts'
import { CONNECTION_WORK_FRAMES, FRAME_BUDGET, HostWork, SESSION_BUDGET } from '../resources/host-work.ts'
import { CommandFlow } from './channel-commands.ts'
import { DownloadFlow } from './channel-download.ts'
import { type ChannelFlow, ChannelLink } from './channel-link.ts'
import {
  decodeErrno,
  decodeGuestHello,
  decodeLimits,
  encodeHostHello,
  encodeRun,
  encodeSignal,
  encodeSize,
  type GuestHello
} from './channel-messages.ts'
import { OutputFlow } from './channel-output.ts'
import { SessionFlow } from './channel-sessions.ts'
import { StdinFlow } from './channel-stdin.ts'
import { abortable } from './channel-turns.ts'
import { shortPath } from './short-path.ts'
import type { GuestChannel, GuestChannelOptions } from './channel-types.ts'
import { UploadFlow } from './channel-upload.ts'
import { formatError, type Frame, FrameDecoder, FrameType, GUEST_FRAMES } from './frames.ts'
import type { GuestFile, GuestSession, ProgramSpec, TerminalSize } from './types.ts'

export type { GuestChannel, GuestChannelOptions } from './channel-types.ts'

/** Pauses before connecting again: the first, doubled up to the last. */
const RETRY_MS_MIN = 5
const RETRY_MS_MAX = 500
/** How long `close` waits for the guest to see the end, and for what it sent before. */
const LINGER_MS = 1000

/** Nobody listens any more, or the path is gone: so is the guest. */
const GONE = new Set(['ECONNREFUSED', 'ENOENT'])

/** Connect to a guest's channel. Never throws: how it fails, its methods and `closed` tell. */
export function connectGuestChannel(options: GuestChannelOptions): GuestChannel {
  return new Channel(options)
}

class Channel implements GuestChannel {
  readonly closed: Promise<HostError>
  readonly #socketPath: string
  readonly #commands = new CommandFlow()
  readonly #stdin: StdinFlow
  readonly #output: OutputFlow
  readonly #upload: UploadFlow
  readonly #download: DownloadFlow
  readonly #sessions: SessionFlow
  readonly #frames: HostWork
  readonly #flows: ChannelFlow<GuestHello>[]
  readonly #handlers: ReadonlyMap<FrameType, (frame: Frame) => void>
  readonly #listener: GuestChannelOptions['listener']
  readonly #greeted = Promise.withResolvers<undefined>()
  readonly #closing = new AbortController()
  #socket: Socket | undefined
  #bootId: string | undefined
  #retryMs = RETRY_MS_MIN
  #error: HostError | undefined

  constructor({ socketPath, listener, outputStored, signal, work }: GuestChannelOptions) {
    this.#socketPath = socketPath
    this.#listener = listener
    this.#frames = new HostWork(FRAME_BUDGET, work)
    const failed = (cause: Error): void => this.#fail(cause)
    this.#stdin = new StdinFlow(
      () => this.#greeted.promise,
      (offset) => listener.stdinTaken(offset)
    )
    this.#output = new OutputFlow(listener, outputStored, failed)
    this.#upload = new UploadFlow(this.#commands)
    this.#download = new DownloadFlow(this.#commands, failed)
    this.#sessions = new SessionFlow(() => this.#greeted.promise, new HostWork(SESSION_BUDGET, work))
    // Commands first: what a transfer sends again belongs to one.
    this.#flows = [this.#commands, this.#stdin, this.#output, this.#upload, this.#download, this.#sessions]
    this.#handlers = this.#handlersOfFlows()
    this.#greeted.promise.catch(() => undefined)
    const close = (): void => void this.close()
    signal?.addEventListener('abort', close, { once: true })
    this.closed = this.#live().finally(() => signal?.removeEventListener('abort', close))
    if (signal?.aborted) close()
  }

  async ready(signal?: AbortSignal): Promise<void> {
    if (this.#error !== undefined) throw this.#error
    await abortable(this.#greeted.promise, signal)
  }

  async putFile(file: GuestFile, signal?: AbortSignal): Promise<void> {
    await this.#upload.put(file, signal)
  }

  async run(program: ProgramSpec): Promise<void> {
    await this.#commands.issue(FrameType.run, encodeRun(program)).done
  }

  async stdin(offset: number, data: Uint8Array): Promise<void> {
    await this.#stdin.feed(offset, data)
  }

  async stdinEnd(offset: number): Promise<void> {
    await this.#stdin.end(offset)
  }

  async signal(signal: number): Promise<void> {
    await this.#commands.issue(FrameType.signal, encodeSignal(signal)).done
  }

  async resize(size: TerminalSize): Promise<void> {
    await this.#commands.issue(FrameType.resize, encodeSize(size)).done
  }

  async exec(program: ProgramSpec): Promise<GuestSession> {
    if (this.#error !== undefined) throw this.#error
    return this.#sessions.open(program)
  }

  getFiles(signal?: AbortSignal): AsyncIterable<GuestFile> {
    return this.#download.files(signal)
  }

  async powerOff(): Promise<void> {
    await this.#commands.issue(FrameType.powerOff).done
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#error ??= new HostError('ERR_CHANNEL_CLOSED', 'the channel to the guest was closed')
    // A guest that is gone has ended its side: what it sent before is still read. A living one answers by ending.
    const socket = this.#socket
    socket?.end()
    const timer = setTimeout(() => socket?.destroy(), LINGER_MS)
    await this.closed
    clearTimeout(timer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** From the first connection to the last; answers with why it was the last. */
  async #live(): Promise<HostError> {
    while (this.#error === undefined) {
      try {
        const socket = await this.#connect()
        if (socket !== undefined) await this.#converse(socket)
      } catch (error) {
        this.#fail(error as Error)
      }
      for (const flow of this.#flows) flow.lost()
      await this.#output.idle()
      await this.#pause()
    }
    for (const flow of this.#flows) flow.fail(this.#error)
    this.#greeted.reject(this.#error)
    return this.#error
  }

  /** Undefined when it should be tried again. @throws ERR_CHANNEL_CLOSED when there is nobody to connect to */
  async #connect(): Promise<Socket | undefined> {
    let socket: Socket | undefined
    try {
      await using short = await shortPath(this.#socketPath)
      const { promise, resolve, reject } = Promise.withResolvers<undefined>()
      socket = connect({ path: short.path })
      socket.once('connect', () => resolve(undefined)).once('error', reject)
      await abortable(promise, this.#closing.signal)
      return socket
    } catch (cause) {
      socket?.destroy()
      const code = (cause as NodeJS.ErrnoException).code ?? ''
      // The queue of the listening socket is full.
      if (code === 'EAGAIN') return undefined
      const message = GONE.has(code) ? 'the guest is gone' : `cannot connect to ${this.#socketPath}`
      throw new HostError('ERR_CHANNEL_CLOSED', message, { cause })
    }
  }

  async #converse(socket: Socket): Promise<void> {
    this.#socket = socket
    this.#frames.count(CONNECTION_WORK_FRAMES)
    const link = new ChannelLink(socket)
    const receive = this.#receiver(link)
    socket.on('drain', () => this.#acknowledge())
    // Told by the end of the iteration below; without a listener it would be thrown.
    socket.on('error', () => undefined)
    const hello = encodeHostHello({ outputStored: this.#output.stored, ...this.#download.progress })
    link.send(FrameType.hello, {}, hello)
    try {
      for await (const chunk of socket as AsyncIterable<Uint8Array>) {
        receive(chunk)
        await this.#output.room()
        await this.#paid()
      }
    } catch (error) {
      if (!isBroken(socket, error)) throw error
    } finally {
      socket.destroy()
    }
  }

  /** Once we close, what the guest had sent is read to its end: that has one. */
  async #paid(): Promise<void> {
    const { signal } = this.#closing
    if (!signal.aborted) await this.#frames.paid(signal).catch(() => undefined)
  }

  #receiver(link: ChannelLink): (chunk: Uint8Array) => void {
    const decoder = new FrameDecoder(GUEST_FRAMES)
    let isGreeted = false
    return (chunk) => {
      for (const frame of decoder.push(chunk)) {
        this.#frames.count(1)
        if (isGreeted === (frame.type === FrameType.hello))
          throw formatError('its hello is not its first frame')
        if (isGreeted) this.#handlers.get(frame.type)?.(frame)
        else this.#greet(decodeGuestHello(frame.payload), link)
        isGreeted = true
      }
    }
  }

  #greet(hello: GuestHello, link: ChannelLink): void {
    this.#bootId ??= hello.bootId
    if (hello.bootId !== this.#bootId) throw new HostError('ERR_CHANNEL_CLOSED', 'the guest has rebooted')
    for (const flow of this.#flows) flow.greet(hello, link)
    if (hello.limits.length > 0) this.#listener.limitsReached?.(hello.limits)
    this.#retryMs = RETRY_MS_MIN
    this.#greeted.resolve(undefined)
  }

  /** One for each type that the decoder lets through after the hello. */
  #handlersOfFlows(): Map<FrameType, (frame: Frame) => void> {
    const output = (frame: Frame): void => this.#output.receive(frame)
    const session = (frame: Frame): void => this.#sessions.receive(frame)
    return new Map([
      [FrameType.stdout, output],
      [FrameType.stderr, output],
      [FrameType.exit, (frame: Frame) => this.#output.receiveExit(frame)],
      [FrameType.download, (frame: Frame) => this.#download.receive(frame)],
      [FrameType.downloadEnd, (frame: Frame) => this.#download.finish(frame, decodeErrno(frame.payload))],
      [FrameType.commandAck, ({ sequence }: Frame) => this.#commands.acknowledge(sequence)],
      [FrameType.stdinAck, ({ position }: Frame) => this.#stdin.acknowledge(position)],
      [FrameType.uploadAck, ({ sequence, position }: Frame) => this.#upload.acknowledge(sequence, position)],
      [
        FrameType.putResult,
        (frame: Frame) => this.#upload.finish(frame.sequence, decodeErrno(frame.payload))
      ],
      [FrameType.limits, ({ position }: Frame) => this.#listener.limitsReached?.(decodeLimits(position))],
      [FrameType.execStdout, session],
      [FrameType.execStderr, session],
      [FrameType.execExit, session],
      [FrameType.execStdinAck, session]
    ])
  }

  #acknowledge(): void {
    this.#output.acknowledge()
    this.#download.acknowledge()
  }

  async #pause(): Promise<void> {
    if (this.#error !== undefined) return
    await delay(this.#retryMs, undefined, { signal: this.#closing.signal }).catch(() => undefined)
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS_MAX)
  }

  /** The first cause counts. */
  #fail(cause: Error): void {
    this.#error ??=
      cause instanceof HostError
        ? cause
        : new HostError('ERR_CHANNEL_CLOSED', 'the channel has failed', { cause })
    this.#socket?.destroy()
  }
}

/** A connection that breaks is like one that ends. */
function isBroken(socket: Socket, error: unknown): boolean {
  return error === socket.errored || (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE'
}
