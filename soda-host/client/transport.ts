/**
 * Requests to the daemon's socket, and what becomes of them when the daemon is restarted meanwhile.
 *
 * A daemon that was there a moment ago is likely to come back: what may be repeated is, for a bounded time. One
 * that never answered is reported at once.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Pool, type Dispatcher } from 'undici'
import type { z } from 'zod'
import { HostError, type HostErrorCode } from '../../src/errors.ts'
import { errorBody } from '../daemon/api.ts'

export interface TransportInit {
  socketPath: string
  /** For an answer to begin, in milliseconds. */
  timeoutMs: number
  /** A daemon that went away may take this long to come back. */
  reconnectMs: number
}

export interface Request {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  query?: Record<string, string | number | boolean>
  json?: unknown
  bytes?: Uint8Array | AsyncIterable<Uint8Array>
  signal?: AbortSignal | undefined
  /** Instead of the usual time for an answer to begin. */
  timeoutMs?: number
}

const PAUSE_MS_MIN = 20
const PAUSE_MS_MAX = 1000

/** The request cannot have reached anybody. */
const NOT_SENT = new Set(['ECONNREFUSED', 'ENOENT', 'EAGAIN', 'EACCES', 'EPERM', 'UND_ERR_CONNECT_TIMEOUT'])
/** The connection ended; whether the request was carried out is not known. */
const LOST = new Set([
  ...NOT_SENT,
  'ECONNRESET',
  'EPIPE',
  'UND_ERR_SOCKET',
  'UND_ERR_CLOSED',
  'UND_ERR_DESTROYED'
])

export class Transport {
  readonly #init: TransportInit
  readonly #pool: Pool
  #wasThere = false

  constructor(init: TransportInit) {
    this.#init = init
    this.#pool = new Pool('http://soda-host', { socketPath: init.socketPath, bodyTimeout: 0, pipelining: 1 })
  }

  /** One attempt, whose body is the caller's. @throws HostError as the daemon answered; LostConnection */
  async send(request: Request): Promise<Dispatcher.ResponseData['body']> {
    const { method, path, json, bytes, signal, timeoutMs } = request
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(request.query ?? {})) query.set(name, String(value))
    const body = json === undefined ? bytes : JSON.stringify(json)
    try {
      const response = await this.#pool.request({
        method,
        path: query.size === 0 ? path : `${path}?${query.toString()}`,
        headers: { 'content-type': json === undefined ? 'application/octet-stream' : 'application/json' },
        headersTimeout: timeoutMs ?? this.#init.timeoutMs,
        ...(body !== undefined && { body: body as Dispatcher.DispatchOptions['body'] & {} }),
        ...(signal !== undefined && { signal })
      })
      this.#wasThere = true
      if (response.statusCode < 400) return response.body
      throw await refusal(response)
    } catch (error) {
      signal?.throwIfAborted()
      throw this.asLost(error)
    }
  }

  /** A LostConnection if it is one. */
  asLost(error: unknown): unknown {
    const code = codeOf(error)
    if (code === 'UND_ERR_HEADERS_TIMEOUT')
      return new HostError('ERR_HOST_UNREACHABLE', `the host on ${this.#init.socketPath} does not answer`, {
        cause: error
      })
    if (code === undefined || !LOST.has(code)) return error
    const lost = new LostConnection(this.#init.socketPath, code, error)
    if (lost.mayHaveBeenSent) this.#wasThere = true
    return lost
  }

  /** As often as it takes. `attempt` may be carried out twice, unless `isRepeatable` is false. */
  async persist<T>(
    attempt: () => Promise<T>,
    { signal, isRepeatable = true }: { signal?: AbortSignal | undefined; isRepeatable?: boolean } = {}
  ): Promise<T> {
    const patience = this.patience()
    for (;;) {
      try {
        return await attempt()
      } catch (error) {
        if (error instanceof LostConnection && !isRepeatable && error.mayHaveBeenSent) throw error
        await patience.after(error, signal)
      }
    }
  }

  /** Decides how often something is tried again. */
  patience(): Patience {
    return new Patience(() => (this.#wasThere ? this.#init.reconnectMs : 0))
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}

/** Time that is left for a daemon to come back; any success begins it anew. */
class Patience {
  readonly #windowMs: () => number
  #sinceMs = Date.now()
  #pauseMs = PAUSE_MS_MIN

  constructor(windowMs: () => number) {
    this.#windowMs = windowMs
  }

  renew(): void {
    this.#sinceMs = Date.now()
    this.#pauseMs = PAUSE_MS_MIN
  }

  /** Pause before the next attempt. @throws `error` when it is another than a lost connection, or time is up */
  async after(error: unknown, signal: AbortSignal | undefined): Promise<void> {
    if (!(error instanceof LostConnection) || Date.now() - this.#sinceMs >= this.#windowMs()) throw error
    await delay(this.#pauseMs, undefined, signal && { signal })
    this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MS_MAX)
  }
}

export class LostConnection extends HostError {
  readonly mayHaveBeenSent: boolean

  constructor(socketPath: string, code: string, cause: unknown) {
    const isForbidden = code === 'EACCES' || code === 'EPERM'
    const message = isForbidden
      ? `you may not connect to the SODA host on ${socketPath}: join the group of that file`
      : `no SODA host answers on ${socketPath} (${code}): start it with \`ishare host start\``
    super('ERR_HOST_UNREACHABLE', message, { cause })
    this.mayHaveBeenSent = !NOT_SENT.has(code)
  }
}

/** The answer's body, of the shape that it must have. @throws ERR_HOST_RESPONSE */
export async function readJson<T extends z.ZodType>(
  body: Dispatcher.ResponseData['body'],
  schema: T
): Promise<z.infer<T>> {
  const parsed = schema.safeParse(await body.json())
  if (!parsed.success)
    throw new HostError('ERR_HOST_RESPONSE', 'the host answers in another shape: is it of another version?', {
      cause: parsed.error
    })
  return parsed.data
}

async function refusal({ statusCode, body }: Dispatcher.ResponseData): Promise<HostError> {
  const parsed = errorBody.safeParse(await body.json().catch(() => undefined))
  if (!parsed.success)
    return new HostError('ERR_HOST_RESPONSE', `the host answers ${statusCode} and says no more`)
  // The daemon's codes are those of src/errors.ts; a newer daemon's new one passes through as it is.
  return new HostError(parsed.data.code as HostErrorCode, parsed.data.message)
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
