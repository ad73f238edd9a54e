import { KIB } from '../../src/constants.ts'
import { HostError } from '../../src/errors.ts'
import type { HostWork } from '../resources/host-work.ts'
import type { ChannelFlow, ChannelLink } from './channel-link.ts'
import { decodeExit, encodeRun, encodeSignal, encodeSize, type GuestHello } from './channel-messages.ts'
import { Bell, Turns } from './channel-turns.ts'
import { formatError, type Frame, FrameType, SESSION_WINDOW_BYTES, SESSIONS_MAX } from './frames.ts'
import type {
  GuestSession,
  OutputStream,
  ProgramExit,
  ProgramSpec,
  SessionOutput,
  TerminalSize
} from './types.ts'

/** Small pieces that follow each other are joined up to this. */
const JOINED_BYTES_MAX = KIB
/** More than an honest guest's outbox holds, even in pieces of one byte. */
const PIECES_MAX = 4096

/**
 * Programs beside the main one. Their numbers grow on one connection, and they end with it: the guest kills them, and
 * here they fail with ERR_SESSION_LOST. A session takes its place until the guest has told its exit, closed or not, so
 * that both sides agree on how many there are.
 */
export class SessionFlow implements ChannelFlow<GuestHello> {
  readonly #ready: () => Promise<void>
  readonly #work: HostWork
  readonly #sessions = new Map<number, Session>()
  #link: ChannelLink | undefined
  #last = 0

  /** `work`: what the output of all of them is paid from. */
  constructor(ready: () => Promise<void>, work: HostWork) {
    this.#ready = ready
    this.#work = work
  }

  /** @throws ERR_SESSION_LIMIT, ERR_SESSION_LOST while the guest is being connected again, ERR_HOST_REQUEST */
  async open(program: ProgramSpec): Promise<GuestSession> {
    const request = encodeRun(program)
    await this.#ready()
    if (this.#link === undefined) throw lost()
    if (this.#sessions.size >= SESSIONS_MAX)
      throw new HostError('ERR_SESSION_LIMIT', `${SESSIONS_MAX} programs run beside the main one already`)
    this.#last += 1
    const session = new Session(this.#last, this.#link, this.#work)
    this.#sessions.set(this.#last, session)
    this.#link.send(FrameType.exec, { sequence: this.#last }, request)
    return session
  }

  /** One of the frames that belong to a session. @throws ERR_CHANNEL_FORMAT */
  receive(frame: Frame): void {
    const session = this.#sessions.get(frame.sequence)
    if (session === undefined) throw formatError(`a frame of session ${frame.sequence}, which there is not`)
    if (frame.type === FrameType.execStdinAck) session.acknowledge(frame.position)
    else if (frame.type === FrameType.execExit) {
      session.finish(frame)
      this.#sessions.delete(frame.sequence)
    } else session.receive(frame)
  }

  greet(_hello: GuestHello, link: ChannelLink): void {
    this.#last = 0
    this.#link = link
  }

  lost(): void {
    this.#link = undefined
    for (const session of this.#sessions.values()) session.fail(lost())
    this.#sessions.clear()
  }

  fail(): void {
    this.lost()
  }
}

function lost(): HostError {
  return new HostError('ERR_SESSION_LOST', 'the session has ended with the connection to its guest')
}

/** Output waits here up to one window, which is acknowledged when somebody has taken it, and when it is paid for. */
class Session implements GuestSession {
  readonly exited: Promise<ProgramExit>
  readonly #sequence: number
  readonly #link: ChannelLink
  readonly #work: HostWork
  readonly #exit = Promise.withResolvers<ProgramExit>()
  readonly #bell = new Bell()
  readonly #turns = new Turns()
  #queue: SessionOutput[] = []
  #received = 0
  /** To whoever reads the output. */
  #handed = 0
  #counted = 0
  #acked = 0
  #fed = 0
  #taken = 0
  #isStdinEnded = false
  /** The guest has told the exit: nothing more is said to it. */
  #isOver = false
  #isClosed = false
  #isDiscarding = false
  #error: Error | undefined

  constructor(sequence: number, link: ChannelLink, work: HostWork) {
    this.#sequence = sequence
    this.#link = link
    this.#work = work
    this.exited = this.#exit.promise
    // Whoever opened it may never ask.
    this.exited.catch(() => undefined)
  }

  async *output(signal?: AbortSignal): AsyncGenerator<SessionOutput, void, undefined> {
    for (;;) {
      const next = this.#queue.shift()
      if (next !== undefined) {
        this.#handed += next.data.length
        const position = this.#handed
        yield next
        await this.#settle(position, signal)
      } else if (this.#error !== undefined) throw this.#error
      else if (this.#isOver || this.#isClosed) return
      else await this.#bell.wait(signal)
    }
  }

  async stdin(data: Uint8Array, signal?: AbortSignal): Promise<void> {
    using _turn = await this.#turns.take(signal)
    for (let rest = data; rest.length > 0;) {
      if (this.#isStdinEnded) throw new HostError('ERR_SERVER_STATE', 'standard input has ended')
      const room = await this.#room(signal)
      const piece = Uint8Array.from(rest.subarray(0, room))
      this.#say(FrameType.execStdin, piece, this.#fed)
      this.#fed += piece.length
      rest = rest.subarray(piece.length)
    }
  }

  async stdinEnd(): Promise<void> {
    using _turn = await this.#turns.take()
    if (this.#isStdinEnded) return
    this.#isStdinEnded = true
    this.#say(FrameType.execStdinEnd, undefined, this.#fed)
  }

  async signal(signal: number): Promise<void> {
    this.#say(FrameType.execSignal, encodeSignal(signal))
  }

  async resize(size: TerminalSize): Promise<void> {
    this.#say(FrameType.execResize, encodeSize(size))
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#say(FrameType.execClose)
    this.#discard()
    this.#bell.ring()
  }

  /** @throws ERR_CHANNEL_FORMAT */
  receive({ type, position, payload }: Frame): void {
    if (position !== this.#received)
      throw formatError(`output of a session at ${position}, expected ${this.#received}`)
    if (position + payload.length > this.#acked + SESSION_WINDOW_BYTES)
      throw formatError('more output of a session than its window')
    this.#received += payload.length
    this.#enqueue(type === FrameType.execStdout ? 'stdout' : 'stderr', payload)
    if (this.#isClosed) this.#discard()
    this.#bell.ring()
  }

  #enqueue(stream: OutputStream, payload: Uint8Array): void {
    const last = this.#queue.at(-1)
    if (this.#queue.length >= PIECES_MAX) throw formatError(`${PIECES_MAX} pieces of a session's output`)
    if (last?.stream === stream && last.data.length + payload.length <= JOINED_BYTES_MAX)
      last.data = Buffer.concat([last.data, payload])
    else this.#queue.push({ stream, data: Uint8Array.from(payload) })
  }

  /** @throws ERR_CHANNEL_FORMAT */
  acknowledge(position: number): void {
    if (position <= this.#taken || position > this.#fed)
      throw formatError(
        `a session has taken input up to ${position}, before ${this.#taken}, fed ${this.#fed}`
      )
    this.#taken = position
    this.#bell.ring()
  }

  /** @throws ERR_CHANNEL_FORMAT */
  finish({ position, payload }: Frame): void {
    if (position !== this.#received)
      throw formatError(`the exit of a session at ${position}, expected ${this.#received}`)
    this.#exit.resolve(decodeExit(payload))
    this.#isOver = true
    this.#bell.ring()
  }

  fail(error: Error): void {
    this.#error = error
    this.#isOver = true
    this.#exit.reject(error)
    this.#bell.ring()
  }

  /** How much may be sent: all of it once nobody reads any more. */
  async #room(signal: AbortSignal | undefined): Promise<number> {
    while (!this.#isOver && !this.#isClosed && this.#fed >= this.#taken + SESSION_WINDOW_BYTES)
      await this.#bell.wait(signal)
    if (this.#error !== undefined) throw this.#error
    return this.#isOver || this.#isClosed ? Infinity : this.#taken + SESSION_WINDOW_BYTES - this.#fed
  }

  #say(type: FrameType, payload?: Uint8Array, position = 0): void {
    if (this.#error !== undefined) throw this.#error
    if (this.#isOver || (this.#isClosed && type !== FrameType.execClose)) return
    this.#link.send(type, { sequence: this.#sequence, position }, payload)
  }

  #discard(): void {
    this.#queue = []
    if (!this.#isDiscarding) void this.#settleDiscarded()
  }

  async #settleDiscarded(): Promise<void> {
    this.#isDiscarding = true
    while (!this.#isOver && this.#acked < this.#received) await this.#settle(this.#received)
    this.#isDiscarding = false
  }

  /** Acknowledged once it is paid for, so that what nobody reads costs no more than what somebody does. */
  async #settle(position: number, signal?: AbortSignal): Promise<void> {
    this.#work.count(Math.max(0, position - this.#counted))
    this.#counted = Math.max(this.#counted, position)
    await this.#work.paid(signal)
    this.#acknowledgeUpTo(position)
  }

  #acknowledgeUpTo(position: number): void {
    if (position <= this.#acked) return
    this.#acked = position
    if (!this.#isOver) this.#link.send(FrameType.execOutputAck, { sequence: this.#sequence, position })
  }
}
