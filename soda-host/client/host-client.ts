import { HostError } from '../../src/errors.ts'
import { MINUTE_MS, SECOND_MS } from '../../src/constants.ts'
import * as api from '../daemon/api.ts'
import type {
  Capacity,
  Denial,
  HostEvent,
  Image,
  LeaseRequest,
  LimitsPatch,
  Link,
  OutsideState,
  PortState,
  Program,
  ReclaimRequest,
  Server,
  ServerSpec,
  Snapshot
} from '../daemon/api.ts'
import { STDIN_BYTES_MAX } from '../daemon/limits.ts'
import { execSession, type ExecSession } from './exec-session.ts'
import { LostConnection, readJson, Transport, type Request } from './transport.ts'

export interface HostClientInit {
  socketPath: string
  /** For an answer to begin, in milliseconds. @default 60 s */
  timeoutMs?: number
  /** How long a daemon that was there may be away before calls fail. @default 60 s */
  reconnectMs?: number
}

/**
 * A SODA host's daemon, as `RunHost` in iRun wants it. A restart of the daemon is not noticed, other than by the
 * time it takes: calls are repeated, streams go on where they stood.
 *
 * Every call throws what the daemon answers (a HostError with its code), ERR_HOST_UNREACHABLE when there is none,
 * ERR_HOST_RESPONSE when it makes no sense, and the signal's reason when that aborts.
 */
export interface HostClient extends AsyncDisposable {
  capacity(signal?: AbortSignal): Promise<Capacity>
  images(signal?: AbortSignal): Promise<Image[]>
  create(spec: ServerSpec, signal?: AbortSignal): Promise<Server>
  putFiles(id: string, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>
  /** @throws ERR_KERNEL_DIGEST when it is another one than `digest` says */
  putKernel(
    id: string,
    kernel: { digest: string; chunks: AsyncIterable<Uint8Array> },
    signal?: AbortSignal
  ): Promise<Server>
  /** The rules that its kernel takes. @throws ERR_RULESET_DIGEST when they are others than those of its spec */
  putRuleset(id: string, chunks: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<Server>
  start(id: string, signal?: AbortSignal): Promise<Server>
  inspect(id: string, signal?: AbortSignal): Promise<Server>
  list(signal?: AbortSignal): Promise<Server[]>
  output(
    id: string,
    options: { offset: number; follow: boolean; signal?: AbortSignal }
  ): AsyncIterable<Uint8Array>
  /** The sealed log from byte `offset` on. @throws ERR_HOST_REQUEST when that is not kept any more */
  log(
    id: string,
    options?: { offset?: number; length?: number; follow?: boolean; signal?: AbortSignal }
  ): AsyncIterable<Uint8Array>
  stdin(
    id: string,
    offset: number,
    data: Uint8Array,
    options?: { end?: boolean; signal?: AbortSignal }
  ): Promise<number>
  signal(id: string, signalNumber: number, signal?: AbortSignal): Promise<void>
  resize(id: string, size: { columns: number; rows: number }, signal?: AbortSignal): Promise<void>
  /** Change what a living server may use, within what it was created with. @throws ERR_SLICE_FULL, ERR_HOST_REQUEST */
  setLimits(id: string, patch: LimitsPatch, signal?: AbortSignal): Promise<Server>
  /**
   * Another program beside the main one. Not repeated, and ended by a restart of the daemon: ERR_SESSION_LOST.
   */
  exec(id: string, program: Program, signal?: AbortSignal): Promise<ExecSession>
  /** Stop it where it stands. @throws ERR_SERVER_STATE unless it boots or runs */
  freeze(id: string, signal?: AbortSignal): Promise<Server>
  /** Let it go on, unless the owner needs the machine. */
  thaw(id: string, signal?: AbortSignal): Promise<Server>
  /**
   * Disk and memory of a running server as a tar, encrypted by age to its tenant's keys. Begun anew, never resumed.
   * @throws ERR_DUMP_KEY when its tenant named none, ERR_SERVER_STATE unless its program runs
   */
  dump(id: string, signal?: AbortSignal): AsyncIterable<Uint8Array>
  /** Oldest first. */
  snapshots(id: string, signal?: AbortSignal): Promise<Snapshot[]>
  /**
   * Copy its writable layer, as a power cut would leave it. Not repeated once it may have arrived.
   * @throws ERR_SNAPSHOT_EXISTS, ERR_SNAPSHOT_LIMIT, ERR_SLICE_FULL, ERR_SERVER_STATE unless its program runs
   */
  takeSnapshot(id: string, name: string, signal?: AbortSignal): Promise<Snapshot>
  removeSnapshot(id: string, name: string, signal?: AbortSignal): Promise<void>
  /**
   * Start its program again with the disk of a snapshot, after it has ended too. Not repeated once it may have arrived.
   * @throws ERR_SNAPSHOT_UNKNOWN, ERR_SERVER_STATE, ERR_SLICE_FULL
   */
  restore(id: string, name: string, signal?: AbortSignal): Promise<Server>
  /** The owner needs the machine: freeze what may be frozen or, with `cpu`, leave it so much CPU in all. */
  reclaim(request?: ReclaimRequest, signal?: AbortSignal): Promise<Capacity>
  /** The machine is given again. */
  return(signal?: AbortSignal): Promise<Capacity>
  wait(id: string, signal?: AbortSignal): Promise<Server>
  /** Resolves when it has ended, or has a notice of a higher number. */
  watch(id: string, notice: number, signal?: AbortSignal): Promise<Server>
  /** The lease goes on for longer. @throws ERR_HOST_REQUEST when it would be shorter, ERR_SERVER_STATE */
  extend(id: string, lease: LeaseRequest, signal?: AbortSignal): Promise<Server>
  stop(id: string, options?: { graceMs?: number; signal?: AbortSignal }): Promise<void>
  /** Start its program again, whatever its policy says. @throws ERR_SERVER_STATE unless it runs or waits for that */
  restart(id: string, options?: { graceMs?: number; signal?: AbortSignal }): Promise<Server>
  files(id: string, signal?: AbortSignal): AsyncIterable<Uint8Array>
  destroy(id: string, signal?: AbortSignal): Promise<void>
  /** Events numbered above `after`; with `follow` without end. */
  events(options?: { after?: number; follow?: boolean; signal?: AbortSignal }): AsyncIterable<HostEvent>
  /** Ports of the switch, with what went through them. @throws ERR_SWITCH where the host has none */
  ports(signal?: AbortSignal): Promise<PortState[]>
  links(signal?: AbortSignal): Promise<Link[]>
  /** In force when it resolves and both servers run. @throws ERR_SERVER_UNKNOWN, ERR_SWITCH */
  putLink(link: Link, signal?: AbortSignal): Promise<Link>
  /** What runs over it is cut when it resolves. */
  removeLink(link: Omit<Link, 'untilMs' | 'name'>, signal?: AbortSignal): Promise<void>
  denials(signal?: AbortSignal): Promise<Denial[]>
  outside(signal?: AbortSignal): Promise<OutsideState>
  close(): Promise<void>
}

/** Longer than the daemon holds a waiting request. */
const LONG_POLL_MS = 2 * MINUTE_MS
/** For a whole disk to be copied. */
const COPY_MS = 30 * MINUTE_MS

/** Nothing is connected before the first call. */
export function hostClient({
  socketPath,
  timeoutMs = MINUTE_MS,
  reconnectMs = 60 * SECOND_MS
}: HostClientInit): HostClient {
  return new SocketClient(new Transport({ socketPath, timeoutMs, reconnectMs }))
}

class SocketClient implements HostClient {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  capacity(signal?: AbortSignal): Promise<Capacity> {
    return this.#ask({ method: 'GET', path: '/v1/capacity', signal }, api.capacity)
  }

  images(signal?: AbortSignal): Promise<Image[]> {
    return this.#ask({ method: 'GET', path: '/v1/images', signal }, api.imageList)
  }

  create(spec: ServerSpec, signal?: AbortSignal): Promise<Server> {
    return this.#ask({ method: 'POST', path: '/v1/servers', json: spec, signal }, api.server)
  }

  list(signal?: AbortSignal): Promise<Server[]> {
    return this.#ask({ method: 'GET', path: '/v1/servers', signal }, api.serverList)
  }

  inspect(id: string, signal?: AbortSignal): Promise<Server> {
    return this.#ask({ method: 'GET', path: pathOf(id), signal }, api.server)
  }

  start(id: string, signal?: AbortSignal): Promise<Server> {
    return this.#ask({ method: 'POST', path: pathOf(id, 'start'), signal }, api.server)
  }

  /** The tar can be read once only: when the daemon goes while it is sent, the caller sends it again. */
  async putFiles(id: string, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    // Waits for a daemon that is being restarted, before anything of the tar is used up.
    await this.inspect(id, signal)
    const body = await this.#transport.send({ method: 'PUT', path: pathOf(id, 'files'), bytes: tar, signal })
    await body.dump()
  }

  /** As with files: can be read once only. */
  async putKernel(
    id: string,
    { digest, chunks }: { digest: string; chunks: AsyncIterable<Uint8Array> },
    signal?: AbortSignal
  ): Promise<Server> {
    await this.inspect(id, signal)
    const path = pathOf(id, 'kernel')
    return readJson(
      await this.#transport.send({ method: 'PUT', path, query: { digest }, bytes: chunks, signal }),
      api.server
    )
  }

  /** As with files: can be read once only. */
  async putRuleset(id: string, chunks: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<Server> {
    await this.inspect(id, signal)
    const path = pathOf(id, 'ruleset')
    return readJson(await this.#transport.send({ method: 'PUT', path, bytes: chunks, signal }), api.server)
  }

  async stop(
    id: string,
    { graceMs, signal }: { graceMs?: number; signal?: AbortSignal } = {}
  ): Promise<void> {
    const json = graceMs === undefined ? {} : { graceMs }
    await this.#tell({ method: 'POST', path: pathOf(id, 'stop'), json, signal })
  }

  restart(id: string, { graceMs, signal }: { graceMs?: number; signal?: AbortSignal } = {}): Promise<Server> {
    const json = graceMs === undefined ? {} : { graceMs }
    return this.#ask({ method: 'POST', path: pathOf(id, 'restart'), json, signal }, api.server)
  }

  /** Not repeated once it may have arrived: two interrupts are not one. */
  async signal(id: string, signalNumber: number, signal?: AbortSignal): Promise<void> {
    await this.#tell(
      { method: 'POST', path: pathOf(id, 'signal'), json: { signal: signalNumber }, signal },
      false
    )
  }

  async resize(id: string, size: { columns: number; rows: number }, signal?: AbortSignal): Promise<void> {
    await this.#tell({ method: 'POST', path: pathOf(id, 'resize'), json: size, signal })
  }

  setLimits(id: string, patch: LimitsPatch, signal?: AbortSignal): Promise<Server> {
    return this.#ask({ method: 'PATCH', path: pathOf(id, 'limits'), json: patch, signal }, api.server)
  }

  exec(id: string, program: Program, signal?: AbortSignal): Promise<ExecSession> {
    return execSession(this.#transport, pathOf(id, 'exec'), program, signal)
  }

  extend(id: string, lease: LeaseRequest, signal?: AbortSignal): Promise<Server> {
    return this.#ask({ method: 'PATCH', path: pathOf(id, 'lease'), json: lease, signal }, api.server)
  }

  freeze(id: string, signal?: AbortSignal): Promise<Server> {
    return this.#ask({ method: 'POST', path: pathOf(id, 'freeze'), signal }, api.server)
  }

  thaw(id: string, signal?: AbortSignal): Promise<Server> {
    return this.#ask({ method: 'POST', path: pathOf(id, 'thaw'), signal }, api.server)
  }

  async *dump(id: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const request: Request = { method: 'GET', path: pathOf(id, 'dump'), signal }
    const send = async () => this.#transport.send(request)
    const body = await this.#transport.persist(send, { signal })
    try {
      for await (const chunk of body) yield chunk as Uint8Array
    } catch (error) {
      signal?.throwIfAborted()
      throw this.#transport.asLost(error)
    }
  }

  snapshots(id: string, signal?: AbortSignal): Promise<Snapshot[]> {
    return this.#ask({ method: 'GET', path: pathOf(id, 'snapshots'), signal }, api.snapshotList)
  }

  takeSnapshot(id: string, name: string, signal?: AbortSignal): Promise<Snapshot> {
    const request: Request = {
      method: 'POST',
      path: pathOf(id, 'snapshots'),
      json: { name },
      timeoutMs: COPY_MS,
      signal
    }
    return this.#ask(request, api.snapshot, false)
  }

  async removeSnapshot(id: string, name: string, signal?: AbortSignal): Promise<void> {
    await this.#tell({ method: 'DELETE', path: pathOf(id, 'snapshots'), query: { name }, signal })
  }

  restore(id: string, name: string, signal?: AbortSignal): Promise<Server> {
    return this.#ask(
      { method: 'POST', path: pathOf(id, 'restore'), json: { name }, signal },
      api.server,
      false
    )
  }

  reclaim(request: ReclaimRequest = {}, signal?: AbortSignal): Promise<Capacity> {
    return this.#ask({ method: 'PUT', path: '/v1/reclaim', json: request, signal }, api.capacity)
  }

  return(signal?: AbortSignal): Promise<Capacity> {
    return this.#ask({ method: 'DELETE', path: '/v1/reclaim', signal }, api.capacity)
  }

  async destroy(id: string, signal?: AbortSignal): Promise<void> {
    await this.#tell({ method: 'DELETE', path: pathOf(id), timeoutMs: LONG_POLL_MS, signal })
  }

  ports(signal?: AbortSignal): Promise<PortState[]> {
    return this.#ask({ method: 'GET', path: '/v1/switch/ports', signal }, api.portList)
  }

  links(signal?: AbortSignal): Promise<Link[]> {
    return this.#ask({ method: 'GET', path: '/v1/switch/links', signal }, api.linkList)
  }

  putLink(link: Link, signal?: AbortSignal): Promise<Link> {
    return this.#ask({ method: 'PUT', path: '/v1/switch/links', json: link, signal }, api.link)
  }

  async removeLink(
    { from, to, protocol, port }: Omit<Link, 'untilMs' | 'name'>,
    signal?: AbortSignal
  ): Promise<void> {
    const query = { from, to, protocol, port }
    await this.#tell({ method: 'DELETE', path: '/v1/switch/links', query, signal })
  }

  denials(signal?: AbortSignal): Promise<Denial[]> {
    return this.#ask({ method: 'GET', path: '/v1/switch/denials', signal }, api.denialList)
  }

  outside(signal?: AbortSignal): Promise<OutsideState> {
    return this.#ask({ method: 'GET', path: '/v1/switch/outside', signal }, api.outsideState)
  }

  async wait(id: string, signal?: AbortSignal): Promise<Server> {
    return this.#untilEnd(id, {}, signal)
  }

  async watch(id: string, notice: number, signal?: AbortSignal): Promise<Server> {
    return this.#untilEnd(id, { notice }, signal)
  }

  /** ... or a notice of a higher number than the one given. */
  async #untilEnd(id: string, query: { notice?: number }, signal?: AbortSignal): Promise<Server> {
    const path = pathOf(id, 'wait')
    for (;;) {
      const request: Request = { method: 'GET', path, query, timeoutMs: LONG_POLL_MS, signal }
      const server = await this.#ask(request, api.server)
      const last = server.notices.at(-1)?.sequence ?? 0
      if (server.state === 'exited' || server.state === 'failed' || last > (query.notice ?? Infinity))
        return server
    }
  }

  async stdin(
    id: string,
    offset: number,
    data: Uint8Array,
    { end = false, signal }: { end?: boolean; signal?: AbortSignal } = {}
  ): Promise<number> {
    const target = offset + data.length
    let stands = { offset, ended: false }
    do {
      const from = stands.offset - offset
      const piece = data.subarray(from, from + STDIN_BYTES_MAX)
      const isLast = end && stands.offset + piece.length === target
      stands = await this.#stdinPiece(id, stands.offset, piece, isLast, signal)
      if (stands.offset < offset || stands.offset > target)
        throw new HostError(
          'ERR_SERVER_STATE',
          `standard input of ${id} stands at ${stands.offset}: who else sends?`
        )
    } while (stands.offset < target || (end && !stands.ended))
    return stands.offset
  }

  async #stdinPiece(
    id: string,
    offset: number,
    bytes: Uint8Array,
    end: boolean,
    signal: AbortSignal | undefined
  ): Promise<{ offset: number; ended: boolean }> {
    const path = pathOf(id, 'stdin')
    const query = { offset, end }
    try {
      const request: Request = { method: 'POST', path, query, bytes, timeoutMs: LONG_POLL_MS, signal }
      return await readJson(await this.#transport.send(request), api.stdinAnswer)
    } catch (error) {
      if (!(this.#transport.asLost(error) instanceof LostConnection)) throw error
      // Whether it was taken is for the next daemon to say.
      const { stdin } = await this.inspect(id, signal)
      return { offset: stdin.takenBytes, ended: stdin.ended }
    }
  }

  output(
    id: string,
    { offset, follow, signal }: { offset: number; follow: boolean; signal?: AbortSignal }
  ): AsyncGenerator<Uint8Array> {
    return this.#resume(
      (at) => ({ method: 'GET', path: pathOf(id, 'output'), query: { offset: offset + at, follow } }),
      signal
    )
  }

  log(
    id: string,
    {
      offset = 0,
      length,
      follow = false,
      signal
    }: { offset?: number; length?: number; follow?: boolean; signal?: AbortSignal } = {}
  ): AsyncGenerator<Uint8Array> {
    const query = (at: number) => ({
      offset: offset + at,
      ...(length !== undefined && { length: length - at }),
      follow
    })
    return this.#resume((at) => ({ method: 'GET', path: pathOf(id, 'log'), query: query(at) }), signal)
  }

  files(id: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    return this.#resume((offset) => ({ method: 'GET', path: pathOf(id, 'files'), query: { offset } }), signal)
  }

  async *events({
    after = 0,
    follow = false,
    signal
  }: { after?: number; follow?: boolean; signal?: AbortSignal } = {}): AsyncGenerator<HostEvent> {
    let last = after
    let rest = ''
    const again = (): Request => {
      rest = ''
      return { method: 'GET', path: '/v1/events', query: { after: last, follow } }
    }
    for await (const chunk of this.#resume(again, signal)) {
      const lines = (rest + Buffer.from(chunk).toString('latin1')).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const event = api.hostEvent.parse(JSON.parse(line))
        last = event.sequence
        yield event
      }
    }
  }

  async close(): Promise<void> {
    await this.#transport.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #ask<T extends Parameters<typeof readJson>[1]>(
    request: Request,
    schema: T,
    isRepeatable = true
  ): ReturnType<typeof readJson<T>> {
    return this.#transport.persist(async () => readJson(await this.#transport.send(request), schema), {
      signal: request.signal,
      isRepeatable
    })
  }

  async #tell(request: Request, isRepeatable = true): Promise<void> {
    const { signal } = request
    await this.#transport.persist(async () => (await this.#transport.send(request)).dump(), {
      signal,
      isRepeatable
    })
  }

  /** A stream that is taken up again after a break; `request` is told how many bytes came before. */
  async *#resume(
    request: (at: number) => Request,
    signal: AbortSignal | undefined
  ): AsyncGenerator<Uint8Array> {
    const patience = this.#transport.patience()
    for (let at = 0; ;) {
      try {
        for await (const chunk of await this.#transport.send({ ...request(at), signal })) {
          patience.renew()
          at += (chunk as Uint8Array).length
          yield chunk as Uint8Array
        }
        return
      } catch (error) {
        signal?.throwIfAborted()
        await patience.after(this.#transport.asLost(error), signal)
      }
    }
  }
}

function pathOf(id: string, what?: string): string {
  const server = `/v1/servers/${encodeURIComponent(id)}`
  return what === undefined ? server : `${server}/${what}`
}
