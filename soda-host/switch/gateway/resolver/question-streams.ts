/**
 * Questions that come by TCP: what did not fit into a datagram is asked so.
 *
 * Attacker: a guest that opens connections without end, says nothing, says it slowly, or asks without a pause. Bounds:
 * connections in all and per client; one question at a time on each, and nothing is read meanwhile; questions at the rate
 * that the firewall lets datagrams through; a silence ends the connection. @see RFC 7766
 */
import { createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { SECOND_MS } from '../../../../src/constants.ts'
import { DNS_PER_SECOND } from '../limits.ts'
import { QUESTION_BYTES_MAX } from './message.ts'
import { framed, StreamFrames } from './stream-frames.ts'

const CONNECTIONS_MAX = 128
const CONNECTIONS_PER_CLIENT_MAX = 4
const SILENCE_MS = 10 * SECOND_MS
const PACE_MS = SECOND_MS / DNS_PER_SECOND

/** Undefined: no answer to this. */
export type Answerer = (bytes: Uint8Array, client: string) => Promise<Uint8Array | undefined>

export class QuestionStreams {
  readonly #answer: Answerer
  readonly #server: Server
  readonly #open = new Map<string, number>()
  /** When the next question of a client is due, in milliseconds of a clock that never jumps. */
  readonly #due = new Map<string, number>()

  constructor(answer: Answerer) {
    this.#answer = answer
    this.#server = createServer((socket) => void this.#serve(socket))
    this.#server.maxConnections = CONNECTIONS_MAX
  }

  async listen(address: string, port: number): Promise<void> {
    this.#server.listen(port, address)
    await once(this.#server, 'listening')
    this.#server.on('error', () => undefined)
  }

  async #serve(socket: Socket): Promise<void> {
    const client = socket.remoteAddress
    socket.on('error', () => undefined)
    if (client === undefined || this.#count(client, 1) > CONNECTIONS_PER_CLIENT_MAX) socket.destroy()
    socket.setTimeout(SILENCE_MS, () => socket.destroy())
    try {
      await this.#converse(socket, client ?? '')
    } catch {
      // Gone, or silent for too long.
    } finally {
      socket.destroy()
      if (client !== undefined) this.#count(client, -1)
    }
  }

  async #converse(socket: Socket, client: string): Promise<void> {
    const frames = new StreamFrames(QUESTION_BYTES_MAX)
    for await (const chunk of socket) {
      const questions = frames.take(chunk as Buffer)
      if (questions === undefined) return
      for (const question of questions) {
        await this.#pace(client)
        const answer = await this.#answer(question, client)
        // What is no question ends the conversation: there is nobody who could be hit by an answer, or waits for one.
        if (answer === undefined) return
        if (!socket.write(framed(answer))) await once(socket, 'drain')
      }
    }
  }

  async #pace(client: string): Promise<void> {
    const nowMs = performance.now()
    const dueMs = Math.max(nowMs, this.#due.get(client) ?? 0)
    this.#due.set(client, dueMs + PACE_MS)
    if (dueMs > nowMs) await delay(dueMs - nowMs)
  }

  #count(client: string, by: number): number {
    const count = (this.#open.get(client) ?? 0) + by
    if (count > 0) this.#open.set(client, count)
    else {
      this.#open.delete(client)
      this.#due.delete(client)
    }
    return count
  }
}
