import type { ChannelFlow, ChannelLink } from './channel-link.ts'
import { decodeExit, type GuestHello } from './channel-messages.ts'
import { Bell } from './channel-turns.ts'
import { formatError, type Frame, FrameType, WINDOW_BYTES } from './frames.ts'
import type { OutputStream, ProgramExit, ServerListener } from './types.ts'

/** What is handed to the listener at a time, at most. */
const DELIVERY_BYTES_MAX = 256 * 1024
/** Frames that wait for the listener; with this many the guest is not read until there are fewer. */
const FRAMES_WAITING_MAX = 1024
/** While there is more to hand on, less than this is not acknowledged by itself: each time the guest wakes up. */
const ACKED_BYTES_MIN = WINDOW_BYTES / 4

interface Delivery {
  stream: OutputStream
  offset: number
  parts: Uint8Array[]
  bytes: number
}

/**
 * Output and exit of the program, handed on in order, one delivery at a time; acknowledged once the listener has
 * stored it. acked <= stored <= received <= acked + window.
 */
export class OutputFlow implements ChannelFlow<GuestHello> {
  readonly #listener: Pick<ServerListener, 'output' | 'programExited'>
  readonly #failed: (error: Error) => void
  readonly #bell = new Bell()
  #link: ChannelLink | undefined
  #queue: Delivery[] = []
  #framesWaiting = 0
  /** Undefined until the listener or the first hello says where output goes on. */
  #stored: number | undefined
  #received = 0
  #acked = 0
  #exit: ProgramExit | undefined
  #isExitDelivered = false
  #isDelivering = false
  #isStopped = false

  constructor(
    listener: Pick<ServerListener, 'output' | 'programExited'>,
    stored: number | undefined,
    failed: (error: Error) => void
  ) {
    this.#listener = listener
    this.#stored = stored
    this.#failed = failed
  }

  /** For our hello. Only while nothing is being delivered. */
  get stored(): number | undefined {
    return this.#stored
  }

  /** @throws ERR_CHANNEL_FORMAT */
  receive({ type, position, payload }: Frame): void {
    if (position !== this.#received) throw formatError(`output at ${position}, expected ${this.#received}`)
    if (position + payload.length > this.#acked + WINDOW_BYTES)
      throw formatError('more output than its window')
    if (this.#exit !== undefined) throw formatError('output after the exit')
    this.#received += payload.length
    this.#enqueue(type === FrameType.stdout ? 'stdout' : 'stderr', position, payload)
    this.#deliver()
  }

  #enqueue(stream: OutputStream, offset: number, data: Uint8Array): void {
    this.#framesWaiting++
    const last = this.#queue.at(-1)
    if (last?.stream === stream && last.bytes + data.length <= DELIVERY_BYTES_MAX) {
      last.parts.push(data)
      last.bytes += data.length
    } else this.#queue.push({ stream, offset, parts: [data], bytes: data.length })
  }

  /** @throws ERR_CHANNEL_FORMAT */
  receiveExit({ position, payload }: Frame): void {
    if (position !== this.#received) throw formatError(`an exit at ${position}, expected ${this.#received}`)
    if (this.#exit !== undefined) throw formatError('a second exit')
    this.#exit = decodeExit(payload)
    this.#deliver()
  }

  #deliver(): void {
    if (this.#isDelivering || this.#isStopped) return
    this.#isDelivering = true
    this.#deliverAll()
      .catch((cause: unknown) => {
        this.#isStopped = true
        this.#failed(cause instanceof Error ? cause : new Error(String(cause)))
      })
      .finally(() => {
        this.#isDelivering = false
        this.#bell.ring()
        // What came between the last look at the queue and now.
        if (this.#queue.length > 0) this.#deliver()
      })
  }

  async #deliverAll(): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const { stream, offset, parts, bytes } = next
      await this.#listener.output(stream, joined(parts), offset)
      this.#framesWaiting -= parts.length
      this.#stored = offset + bytes
      this.#bell.ring()
      if (this.#queue.length === 0 || this.#stored >= this.#acked + ACKED_BYTES_MIN) this.acknowledge()
    }
    if (this.#exit === undefined || this.#isExitDelivered) return
    this.#isExitDelivered = true
    await this.#listener.programExited(this.#exit)
  }

  /** Tell the guest what is stored, unless it is slow to read: then when it has caught up. */
  acknowledge(): void {
    const position = this.#stored ?? 0
    if (this.#link === undefined || this.#link.isCongested || position <= this.#acked) return
    this.#acked = position
    this.#link.send(FrameType.outputAck, { position })
  }

  /** Resolves when there is room for more frames. */
  async room(): Promise<void> {
    while (this.#framesWaiting >= FRAMES_WAITING_MAX && !this.#isStopped) await this.#bell.wait()
  }

  /** Resolves when everything received has been delivered. */
  async idle(): Promise<void> {
    while (this.#isDelivering) await this.#bell.wait()
  }

  greet({ outputAcked, outputProduced }: GuestHello, link: ChannelLink): void {
    if (this.#stored === undefined) {
      this.#stored = outputAcked
      // What an earlier daemon has acknowledged it may not have written down.
      if (outputAcked > 0) this.#enqueue('stdout', outputAcked, new Uint8Array())
    }
    if (this.#stored < outputAcked || this.#stored > outputProduced)
      throw formatError(`its output goes from ${outputAcked} to ${outputProduced}, ours to ${this.#stored}`)
    this.#received = this.#acked = this.#stored
    // It is told again on every connection.
    this.#exit = undefined
    this.#link = link
    if (this.#queue.length > 0) this.#deliver()
  }

  lost(): void {
    this.#link = undefined
  }

  fail(): void {
    this.#link = undefined
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [first, second] = parts
  return first !== undefined && second === undefined ? first : Buffer.concat(parts)
}
