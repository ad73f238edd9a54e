/**
 * The resolver that guests ask.
 *
 * Attackers: a guest that asks anything, at any rate, or sends what is no question; a DNS server that answers
 * anything, such as the address of the owner's router for a name that was granted (rebinding).
 *
 * Theory of operation. A question for the name of a linked server is answered from what the daemon said that this
 * sender, by its address, is linked to. Such a name has no dot, so it can hide no name of the Internet. Any other is
 * judged by what its sender was granted, asked upstream, and answered with records written anew. An answer for a granted name is sent only when the daemon has said that its addresses are in
 * the sender's set by now, so that a connection can follow at once. Nothing is cached, so nobody can poison anything
 * for another server, and no answer outlives a grant. The number of questions at a time is bounded, in all and per
 * server; what is beyond is dropped, as a network may.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Answer } from 'dns-packet'
import type { Ipv4Range } from '../ipv4.ts'
import { type Question, type Rcode, readQuestion, STREAM_BYTES_MAX, writeAnswer } from './message.ts'
import type { Report } from './messages.ts'
import { isPrivateName, type NamePolicy } from './names.ts'
import { QuestionStreams } from './question-streams.ts'
import { askUpstreams } from './upstream.ts'

const PENDING_MAX = 256
const PENDING_PER_CLIENT_MAX = 32
const ALIASES: ReadonlySet<string> = new Set(['CNAME'])

export interface ResolverState {
  upstreams: readonly string[]
  forbidden: readonly Ipv4Range[]
  clients: Readonly<Record<string, NamePolicy>>
  /** By client, then by name: the address of the server that it is linked to. */
  names: Readonly<Record<string, LinkedNames>>
}

export type LinkedNames = Readonly<Record<string, string>>

export interface ResolverComponents {
  /** Resolves with those of the addresses that the client can reach from now on. */
  admit(admission: Omit<Report & { kind: 'admit' }, 'kind' | 'number'>): Promise<readonly string[]>
  denied(denial: Omit<Report & { kind: 'denied' }, 'kind'>): void
}

export class Resolver {
  readonly #with: ResolverComponents
  readonly #socket: Socket = createSocket('udp4')
  readonly #streams = new QuestionStreams((bytes, client) => this.#reply(bytes, client, STREAM_BYTES_MAX))
  readonly #pending = new Map<string, number>()
  #pendingInAll = 0
  readonly #names = new Map<string, LinkedNames>()
  #state: Omit<ResolverState, 'names'> = { upstreams: [], forbidden: [], clients: {} }

  constructor(components: ResolverComponents) {
    this.#with = components
    this.#socket.on('message', (bytes, from) => {
      void this.#take(bytes, from)
    })
  }

  async listen(address: string, port: number): Promise<void> {
    this.#socket.bind(port, address)
    await once(this.#socket, 'listening')
    // What cannot be sent is lost, as packets are.
    this.#socket.on('error', () => undefined)
    await this.#streams.listen(address, port)
  }

  configure({ names, ...state }: ResolverState): void {
    this.#state = state
    this.#names.clear()
    for (const [client, known] of Object.entries(names)) this.#names.set(client, known)
  }

  /** What one client knows from now on. */
  setNames(client: string, names: LinkedNames): void {
    if (Object.keys(names).length > 0) this.#names.set(client, names)
    else this.#names.delete(client)
  }

  async #take(bytes: Uint8Array, from: RemoteInfo): Promise<void> {
    const answer = await this.#reply(bytes, from.address)
    if (answer !== undefined) this.#socket.send(answer, from.port, from.address)
  }

  /** @param sizeMax - of the answer, in bytes; by default what the question says */
  async #reply(bytes: Uint8Array, client: string, sizeMax?: number): Promise<Uint8Array | undefined> {
    const question = readQuestion(bytes)
    const ofClient = this.#pending.get(client) ?? 0
    if (question === undefined || this.#pendingInAll >= PENDING_MAX || ofClient >= PENDING_PER_CLIENT_MAX)
      return undefined
    this.#count(client, 1)
    try {
      const { rcode, records } = await this.#answer(question, client)
      return writeAnswer({ ...question, sizeMax: sizeMax ?? question.sizeMax }, rcode, records)
    } catch {
      // A record that we can read and not write, a daemon that went away: no answer.
      return undefined
    } finally {
      this.#count(client, -1)
    }
  }

  async #answer(question: Question, client: string): Promise<{ rcode: Rcode; records: readonly Answer[] }> {
    const { upstreams, forbidden, clients } = this.#state
    const { name, type } = question
    const linked = this.#names.get(client)
    if (linked !== undefined && Object.hasOwn(linked, name)) return answerOf(name, type, linked[name])
    const policy = Object.hasOwn(clients, client) ? clients[client] : undefined
    if (policy === undefined) return isPrivateName(name, forbidden) ? unknown : refused
    if (policy.kind === 'names' && !Object.hasOwn(policy.names, name)) {
      this.#with.denied({ client, name, reason: 'not-granted' })
      return refused
    }
    if (isPrivateName(name, forbidden)) {
      this.#with.denied({ client, name, reason: 'private-name' })
      return unknown
    }
    // There is no IPv6; and for a granted name only its addresses are anybody's business.
    if (type === 'AAAA' || (policy.kind === 'names' && type !== 'A')) return { rcode: 'NOERROR', records: [] }
    const found = await askUpstreams(upstreams, question, forbidden)
    if (found.forbidden.length > 0) this.#with.denied({ client, name, reason: 'forbidden-address' })
    if (policy.kind === 'internet') return found
    return { rcode: found.rcode, records: await this.#admitted(client, name, found.records) }
  }

  async #admitted(client: string, name: string, records: readonly Answer[]): Promise<readonly Answer[]> {
    const addresses = records.flatMap((record) =>
      record.type === 'A' ? [{ address: record.data, ttl: record.ttl ?? 0 }] : []
    )
    if (addresses.length === 0) return records
    const admitted = await this.#with.admit({ client, name, addresses })
    return records.filter(
      (record) => ALIASES.has(record.type) || (record.type === 'A' && admitted.includes(record.data))
    )
  }

  #count(client: string, by: number): void {
    this.#pendingInAll += by
    const count = (this.#pending.get(client) ?? 0) + by
    if (count > 0) this.#pending.set(client, count)
    else this.#pending.delete(client)
  }
}

const refused = { rcode: 'REFUSED' as const, records: [] }
const unknown = { rcode: 'NXDOMAIN' as const, records: [] }

/** Of a linked server. Never to be remembered: the link may go at any moment. */
function answerOf(
  name: string,
  type: string,
  address: string | undefined
): { rcode: Rcode; records: readonly Answer[] } {
  if (type !== 'A' || address === undefined) return { rcode: 'NOERROR', records: [] }
  return { rcode: 'NOERROR', records: [{ type: 'A', class: 'IN', name, ttl: 0, data: address }] }
}
