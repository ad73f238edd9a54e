/**
 * How much of its memory a guest may use: asked of the guest's kernel, which gives the rest back to the host.
 *
 * Theory of operation. The guest kernel accepts at a socket of the host (soda-host/kernort/linux/balloon.c) and takes
 * orders there; guest init and the guest's root have no part in it. An order is gentle first: free memory, and what the
 * kernel can drop of its caches. When it has no more of that, or for a while gives nothing more, the order insists, and
 * the kernel ends processes as it does when memory runs out; it tells whether it had to. When that brings nothing either, the guest is given up:
 * what follows then, whoever asked must bring about by other means.
 *
 * Attacker: a guest whose root holds memory, or whose kernel was taken over and says what it likes. What it says is
 * believed only as far as to wait for it, each time and in all no longer than for so long.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { MIB, MINUTE_MS, SECOND_MS } from '../../src/constants.ts'
import { abortable } from './channel-turns.ts'
import { shortPath } from './short-path.ts'
import type { MemoryOutcome } from './types.ts'

/** Order and report are of one size: see balloon.c. */
const RECORD_BYTES = 16
const INSIST = 1
const KILLED = 1
const State = { working: 0, done: 1, stuck: 2, broken: 3 } as const

/** How long a guest is waited for. */
export interface BalloonPatience {
  /** Without so much progress as a MiB, from a gentle order to one that insists, and from that to the end. */
  stillMs: number
  /** In all. */
  wholeMs: number
}
const PATIENCE: BalloonPatience = { stillMs: 5 * SECOND_MS, wholeMs: MINUTE_MS }
/** A guest that is stuck may have more to give a little later. */
const AGAIN_MS = 100

interface Report {
  usableBytes: number
  state: number
  flags: number
}

/**
 * Let a guest use `usableBytes` of its memory and no more.
 * @returns `refused` also when there is nobody to ask: the kernel is gone, or knows of no such socket
 */
export async function orderMemory(
  socketPath: string,
  usableBytes: number,
  patience: BalloonPatience = PATIENCE
): Promise<MemoryOutcome> {
  const whole = AbortSignal.timeout(patience.wholeMs)
  const socket = await connected(socketPath, whole)
  if (socket === undefined) return 'refused'
  try {
    return await new Conversation(socket, usableBytes, patience.stillMs).outcome(whole)
  } catch {
    return 'refused'
  } finally {
    socket.destroy()
  }
}

/** Undefined where nobody listens, or not in time. */
async function connected(socketPath: string, signal: AbortSignal): Promise<Socket | undefined> {
  const made = Promise.withResolvers<undefined>()
  let socket: Socket | undefined
  try {
    await using short = await shortPath(socketPath)
    socket = connect({ path: short.path })
    socket.once('connect', () => made.resolve(undefined)).on('error', made.reject)
    await abortable(made.promise, signal)
    return socket
  } catch {
    socket?.destroy()
    return undefined
  }
}

class Conversation {
  readonly #socket: Socket
  readonly #usableBytes: number
  readonly #stillMs: number
  readonly #reports: AsyncIterator<Report, undefined>
  #insists = false
  /** The least that was told, and since when. */
  #best = Infinity
  #bestSinceMs = performance.now()

  constructor(socket: Socket, usableBytes: number, stillMs: number) {
    this.#socket = socket
    this.#usableBytes = usableBytes
    this.#stillMs = stillMs
    this.#reports = reportsOf(socket)
  }

  /** @throws when the connection ends, or by `signal` */
  async outcome(signal: AbortSignal): Promise<MemoryOutcome> {
    this.#order()
    for (let next = this.#next(); ;) {
      const report = await this.#soon(next, signal)
      if (report !== undefined) next = this.#next()
      if (report?.state === State.done) return report.flags & KILLED ? 'forced' : 'given'
      if (report?.state === State.broken) return 'refused'
      if (report !== undefined) this.#progressed(report)
      const isStill = performance.now() - this.#bestSinceMs >= this.#stillMs
      if (isStill && this.#insists) return 'refused'
      if (report?.state === State.stuck) await delay(AGAIN_MS, undefined, { signal })
      if (isStill || report?.state === State.stuck) this.#order(isStill)
    }
  }

  /** Whoever stops waiting hears nothing of the end any more. */
  #next(): Promise<IteratorResult<Report, undefined>> {
    const next = this.#reports.next()
    next.catch(() => undefined)
    return next
  }

  /** Undefined when it brings nothing for as long as we are patient. */
  async #soon(
    next: Promise<IteratorResult<Report, undefined>>,
    signal: AbortSignal
  ): Promise<Report | undefined> {
    const leftMs = Math.max(0, this.#bestSinceMs + this.#stillMs - performance.now())
    const still = AbortSignal.timeout(Math.ceil(leftMs))
    try {
      const result = await abortable(next, AbortSignal.any([signal, still]))
      if (result.done === true) throw new Error('the guest has ended the connection')
      return result.value
    } catch (error) {
      if (signal.aborted || !still.aborted) throw error
      return undefined
    }
  }

  #progressed({ usableBytes }: Report): void {
    if (usableBytes > this.#best - MIB) return
    this.#best = usableBytes
    this.#bestSinceMs = performance.now()
  }

  #order(insists = this.#insists): void {
    if (insists && !this.#insists) this.#bestSinceMs = performance.now()
    this.#insists ||= insists
    const order = Buffer.alloc(RECORD_BYTES)
    order.writeBigUInt64LE(BigInt(this.#usableBytes), 0)
    order.writeUInt32LE(this.#insists ? INSIST : 0, 8)
    this.#socket.write(order)
  }
}

/** What the guest sends, cut into records; no more of it is held than one record and one piece of the stream. */
async function* reportsOf(socket: Socket): AsyncGenerator<Report, undefined> {
  let rest = Buffer.alloc(0)
  for await (const piece of socket as AsyncIterable<Buffer>) {
    const bytes = Buffer.concat([rest, piece])
    let at = 0
    for (; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES)
      yield {
        usableBytes: Number(bytes.readBigUInt64LE(at)),
        state: bytes.readUInt32LE(at + 8),
        flags: bytes.readUInt32LE(at + 12)
      }
    rest = bytes.subarray(at)
  }
  return undefined
}
