/** A program beside a server's main one, from the client's side. */
import type { z } from 'zod'
import { MIB } from '../../src/constants.ts'
import { HostError } from '../../src/errors.ts'
import * as api from '../daemon/api.ts'
import { EXEC_FRAME } from '../daemon/exec-sessions.ts'
import { LostConnection, type Request, type Transport } from './transport.ts'

/** A frame of the answer: output comes in pieces of one window at most. */
const FRAME_BYTES_MAX = MIB
const HEADER_BYTES = 5

type Exit = z.infer<typeof api.programExit>

/** Every call throws ERR_SESSION_LOST when the daemon has gone: sessions end with it. */
export interface ExecSession {
  /** To be iterated once; what is not taken holds the program back. */
  readonly output: AsyncIterable<{ stream: 'stdout' | 'stderr'; data: Uint8Array }>
  /** Resolves after the output has been taken. */
  readonly exited: Promise<Exit>
  /** Resolves when it is on its way to the program; a program that does not read lets it wait. */
  stdin(data: Uint8Array, options?: { end?: boolean; signal?: AbortSignal }): Promise<void>
  signal(signalNumber: number): Promise<void>
  resize(size: { columns: number; rows: number }): Promise<void>
  /** Kill what still runs of it. */
  close(): void
}

interface ExecFrame {
  what: number
  data: Uint8Array
}

async function* framesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ExecFrame, void, undefined> {
  let rest = Buffer.alloc(0)
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    while (rest.length >= HEADER_BYTES) {
      const length = rest.readUInt32LE(0)
      if (length > FRAME_BYTES_MAX) throw new HostError('ERR_HOST_RESPONSE', `a frame of ${length} bytes`)
      if (rest.length < HEADER_BYTES + length) break
      yield { what: rest.readUInt8(4), data: rest.subarray(HEADER_BYTES, HEADER_BYTES + length) }
      rest = rest.subarray(HEADER_BYTES + length)
    }
  }
}

/**
 * Start it; resolves when it is running.
 * @throws ERR_SESSION_LIMIT, ERR_SERVER_STATE, ERR_SERVER_UNKNOWN
 */
export async function execSession(
  transport: Transport,
  path: string,
  program: z.input<typeof api.program>,
  signal: AbortSignal | undefined
): Promise<ExecSession> {
  const closing = new AbortController()
  const abort = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal])
  const request: Request = { method: 'POST', path, json: program, signal: abort }
  const body = await transport.persist(() => transport.send(request), { signal, isRepeatable: false })
  const frames = framesOf(body as AsyncIterable<Uint8Array>)
  const first = await frames.next()
  if (first.done === true || first.value.what !== EXEC_FRAME.session) throw lost()
  const name = Buffer.from(first.value.data).toString('latin1')
  return new HttpSession(transport, path, name, frames, closing)
}

class HttpSession implements ExecSession {
  readonly output: ExecSession['output']
  readonly exited: Promise<Exit>
  readonly #transport: Transport
  readonly #path: string
  readonly #session: string
  readonly #closing: AbortController
  readonly #exit = Promise.withResolvers<Exit>()

  constructor(
    transport: Transport,
    path: string,
    session: string,
    frames: AsyncIterable<ExecFrame>,
    closing: AbortController
  ) {
    this.#transport = transport
    this.#path = path
    this.#session = session
    this.#closing = closing
    this.exited = this.#exit.promise
    this.exited.catch(() => undefined)
    this.output = this.#read(frames)
  }

  async stdin(
    data: Uint8Array,
    { end = false, signal }: { end?: boolean; signal?: AbortSignal } = {}
  ): Promise<void> {
    const query = { session: this.#session, end }
    // Held as long as the program does not read: the caller's signal ends it.
    await this.#tell({ path: 'stdin', query, bytes: data, timeoutMs: 0, signal })
  }

  async signal(signalNumber: number): Promise<void> {
    await this.#tell({ path: 'signal', query: { session: this.#session }, json: { signal: signalNumber } })
  }

  async resize(size: { columns: number; rows: number }): Promise<void> {
    await this.#tell({ path: 'resize', query: { session: this.#session }, json: size })
  }

  close(): void {
    // A no-op after the exit.
    this.#exit.reject(lost())
    this.#closing.abort(lost())
  }

  async #tell(request: Omit<Request, 'method'>): Promise<void> {
    try {
      const path = `${this.#path}/${request.path}`
      await (await this.#transport.send({ ...request, method: 'POST', path })).dump()
    } catch (error) {
      throw this.#asLost(error)
    }
  }

  async *#read(frames: AsyncIterable<ExecFrame>): ExecSession['output'] & AsyncGenerator {
    try {
      for await (const { what, data } of frames) {
        if (what === EXEC_FRAME.stdout) yield { stream: 'stdout' as const, data }
        else if (what === EXEC_FRAME.stderr) yield { stream: 'stderr' as const, data }
        else if (what === EXEC_FRAME.exit)
          this.#exit.resolve(api.programExit.parse(JSON.parse(Buffer.from(data).toString())))
      }
      this.#exit.reject(lost())
      await this.#exit.promise
    } catch (error) {
      const cause = this.#asLost(error)
      this.#exit.reject(cause)
      throw cause
    } finally {
      this.close()
    }
  }

  #asLost(error: unknown): unknown {
    return this.#transport.asLost(error) instanceof LostConnection ? lost(error) : error
  }
}

function lost(cause?: unknown): HostError {
  return new HostError('ERR_SESSION_LOST', 'the session has ended with the connection to its host', { cause })
}
