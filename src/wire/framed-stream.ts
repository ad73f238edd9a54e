/**
 * Typed frames over a libp2p stream, with what the stream leaves to its user.
 *
 * - Back-pressure inward: bytes wait in the decoder only up to READ_AHEAD_BYTES, then the stream is paused and
 *   the muxer's window fills. (A stream's own async iterator and byteStream buffer without that.)
 * - Back-pressure outward: `send` resolves when the stream can take more; `stream.onDrain()` works only once,
 *   so the `drain` event is awaited here.
 * - Idleness: nobody enforces a stream's inactivity timeout. Each side pings when it has nothing to say, and
 *   gives up a peer that is silent, or takes nothing, for longer than `idleTimeoutMs`.
 *
 * After the first error everything rejects with it, and the stream is reset.
 */
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import type { z } from 'zod'
import { KIB, MIB, SECOND_MS } from '../constants.ts'
import { WireError } from '../errors.ts'
import { encodeFrame, FRAME_BYTES_MAX, FrameDecoder, type RawFrame } from './frame.ts'
import { parseJson } from './json.ts'

export const IDLE_TIMEOUT_MS = 45 * SECOND_MS
const READ_AHEAD_BYTES = FRAME_BYTES_MAX + 256 * KIB
/** Yamux lets a window grow up to 16 MiB, and what is under way when we pause still arrives. */
const MUXER_WINDOW_BYTES_MAX = 16 * MIB + 256 * KIB
/** How long `close` waits for the other side to close too. */
const LINGER_MS = 5 * SECOND_MS

export type Frame<M> =
  { kind: 'message'; message: M } | { kind: 'data'; channel: number; offset: number; data: Uint8Array }

export interface FramedStreamInit<M> {
  /** What a message of the other side may be. */
  messages: z.ZodType<M>
  /** @default IDLE_TIMEOUT_MS */
  idleTimeoutMs?: number
}

/** `In` is what is read, `Out` what is sent. */
export interface FramedStream<In, Out> extends AsyncIterable<Frame<In>> {
  /**
   * Send one frame; resolves when the stream can take another one.
   *
   * @throws ERR_WIRE_SIZE, ERR_WIRE_CLOSED, ERR_WIRE_TIMEOUT
   */
  send(frame: Frame<Out>, signal?: AbortSignal): Promise<void>
  /**
   * The next frame, or undefined at the end.
   *
   * @throws ERR_WIRE_FORMAT, ERR_WIRE_SIZE, ERR_WIRE_CLOSED, ERR_WIRE_TIMEOUT
   */
  read(signal?: AbortSignal): Promise<Frame<In> | undefined>
  /** Flush, close, and wait a short while for the other side to do the same. Never rejects. */
  close(): Promise<void>
  /** Reset the stream; everything that waits rejects with `error`. */
  abort(error: Error): void
}

/** Take over `stream`: nobody else may read, write or close it. */
export function framedStream<In, Out>(stream: Stream, init: FramedStreamInit<In>): FramedStream<In, Out> {
  return new LibP2PFramedStream<In, Out>(stream, init)
}

class LibP2PFramedStream<In, Out> implements FramedStream<In, Out> {
  readonly #stream: Stream
  readonly #messages: z.ZodType<In>
  readonly #idleTimeoutMs: number
  readonly #decoder = new FrameDecoder()
  readonly #timer: NodeJS.Timeout
  /** Resolved and replaced whenever something happens on the stream. */
  #changed = Promise.withResolvers<undefined>()
  #error: Error | undefined
  #isEnded = false
  #isPaused = false
  #isResuming = false
  #isDiscarding = false
  #receivedAtMs = Date.now()
  #sentAtMs = Date.now()
  #blockedSinceMs: number | undefined

  constructor(stream: Stream, init: FramedStreamInit<In>) {
    this.#stream = stream
    this.#messages = init.messages
    this.#idleTimeoutMs = init.idleTimeoutMs ?? IDLE_TIMEOUT_MS
    stream.maxReadBufferLength = MUXER_WINDOW_BYTES_MAX
    stream.addEventListener('message', this.#onMessage)
    stream.addEventListener('drain', this.#wake)
    stream.addEventListener('end', this.#onEnd)
    stream.addEventListener('close', this.#onClose)
    if (stream.readableEnded || stream.status !== 'open') this.#onEnd()
    this.#timer = setInterval(this.#watch, Math.max(1, Math.floor(this.#idleTimeoutMs / 4)))
    this.#timer.unref()
  }

  async send(frame: Frame<Out>, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.#throwIfFailed()
    const bytes = encodeFrame(frame.kind === 'message' ? encodeMessage(frame.message) : frame)
    this.#write(bytes)
    while (this.#stream.writableNeedsDrain) {
      this.#blockedSinceMs ??= Date.now()
      await this.#change(signal)
      this.#throwIfFailed()
    }
    this.#blockedSinceMs = undefined
  }

  async read(signal?: AbortSignal): Promise<Frame<In> | undefined> {
    while (true) {
      signal?.throwIfAborted()
      this.#throwIfFailed()
      const frame = this.#decode()
      this.#resumeIfDrained()
      if (frame !== undefined) return frame
      if (this.#isEnded && this.#stream.readBufferLength === 0) {
        this.#checkEnd()
        return undefined
      }
      await this.#change(signal)
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Frame<In>, void, undefined> {
    for (let frame = await this.read(); frame !== undefined; frame = await this.read()) yield frame
  }

  async close(): Promise<void> {
    const signal = AbortSignal.timeout(LINGER_MS)
    this.#isDiscarding = true
    this.#decoder.clear()
    try {
      await this.#stream.close({ signal })
      while (this.#error === undefined && this.#stream.status !== 'closed') {
        this.#resumeIfDrained()
        if (this.#isEnded && this.#stream.readBufferLength === 0) break
        await this.#change(signal)
      }
    } catch {
      // Whatever went wrong, the stream is gone below.
    }
    this.abort(new WireError('ERR_WIRE_CLOSED', 'the stream was closed'))
  }

  abort(error: Error): void {
    if (this.#error !== undefined) return
    this.#error = error
    clearInterval(this.#timer)
    this.#decoder.clear()
    // A stream that is closed on both sides takes this as a no-op.
    this.#stream.abort(error)
    this.#wake()
  }

  #write(bytes: Uint8Array): void {
    try {
      this.#stream.send(bytes)
    } catch (error) {
      const closed = new WireError('ERR_WIRE_CLOSED', 'the stream takes no more', { cause: error })
      this.abort(closed)
      throw closed
    }
    this.#sentAtMs = Date.now()
  }

  #decode(): Frame<In> | undefined {
    try {
      for (let raw = this.#decoder.next(); raw !== undefined; raw = this.#decoder.next()) {
        if (raw.kind === 'data') return raw
        if (raw.kind === 'message') return { kind: 'message', message: this.#parse(raw.payload) }
      }
      return undefined
    } catch (error) {
      this.abort(error as Error)
      throw error
    }
  }

  #parse(payload: Uint8Array): In {
    const result = this.#messages.safeParse(parseJson(payload))
    if (result.success) return result.data
    const [issue] = result.error.issues
    throw new WireError('ERR_WIRE_FORMAT', `a message is not what it should be: ${issue?.code ?? 'unknown'}`)
  }

  #checkEnd(): void {
    if (this.#decoder.isBetweenFrames) return
    const error = new WireError('ERR_WIRE_CLOSED', 'the stream ended within a frame')
    this.abort(error)
    throw error
  }

  #throwIfFailed(): void {
    if (this.#error !== undefined) throw this.#error
  }

  /** Resolves when something has happened. Callers check what, in a loop. */
  async #change(signal?: AbortSignal): Promise<void> {
    if (signal === undefined) {
      await this.#changed.promise
      return
    }
    const aborted = Promise.withResolvers<never>()
    const onAbort = () => aborted.reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([this.#changed.promise, aborted.promise])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  readonly #wake = (): void => {
    this.#changed.resolve(undefined)
    this.#changed = Promise.withResolvers()
  }

  readonly #onMessage = (event: StreamMessageEvent): void => {
    this.#receivedAtMs = Date.now()
    if (this.#isDiscarding) return
    if (event.data instanceof Uint8Array) this.#decoder.push(event.data)
    else for (const chunk of event.data) this.#decoder.push(chunk)
    if (!this.#isResuming) this.#pauseIfFull()
    this.#wake()
  }

  #pauseIfFull(): void {
    if (this.#decoder.bufferedBytes <= READ_AHEAD_BYTES || !this.#canRead()) return
    this.#isPaused = true
    this.#stream.pause()
  }

  /** `resume` delivers what waits and then opens the window, even if a listener has paused it meanwhile. */
  #resumeIfDrained(): void {
    if (!this.#isPaused || this.#decoder.bufferedBytes > FRAME_BYTES_MAX) return
    this.#isPaused = false
    this.#receivedAtMs = Date.now()
    if (!this.#canRead()) return
    this.#isResuming = true
    this.#stream.resume()
    this.#isResuming = false
    this.#pauseIfFull()
  }

  #canRead(): boolean {
    return this.#stream.readStatus === 'readable' || this.#stream.readStatus === 'paused'
  }

  readonly #onEnd = (): void => {
    this.#isEnded = true
    this.#wake()
  }

  readonly #onClose = (event: StreamCloseEvent): void => {
    clearInterval(this.#timer)
    if (event.error !== undefined && this.#error === undefined)
      this.#error = new WireError('ERR_WIRE_CLOSED', 'the stream was reset', { cause: event.error })
    this.#isEnded = true
    this.#wake()
  }

  readonly #watch = (): void => {
    const nowMs = Date.now()
    const isSilent = !this.#isPaused && !this.#isEnded && nowMs - this.#receivedAtMs > this.#idleTimeoutMs
    const isStuck = this.#blockedSinceMs !== undefined && nowMs - this.#blockedSinceMs > this.#idleTimeoutMs
    if (isSilent || isStuck) {
      const what = isSilent ? 'said' : 'took'
      this.abort(new WireError('ERR_WIRE_TIMEOUT', `the peer ${what} nothing for ${this.#idleTimeoutMs} ms`))
    } else if (nowMs - this.#sentAtMs >= this.#idleTimeoutMs / 4 && this.#stream.writeStatus === 'writable') {
      this.#ping()
    }
  }

  #ping(): void {
    // With a full window there is no point in queueing pings.
    if (this.#stream.writableNeedsDrain) return
    try {
      this.#write(encodeFrame({ kind: 'ping' }))
    } catch {
      // `#write` has aborted; whoever waits is told.
    }
  }
}

function encodeMessage(message: unknown): RawFrame {
  return { kind: 'message', payload: Buffer.from(JSON.stringify(message)) }
}
