/**
 * The API over HTTP.
 *
 * Theory of operation: who can connect may do everything, so what is guarded here is the daemon itself: every body
 * has a length, every wait an end or a client that is still there, and what a client does not read is not produced.
 * Answers are JSON, or streams that end properly only if they are whole. A refusal is
 * `{code, message, requestId}`; what went wrong inside goes to the log under that id, and not to the client.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { ZodType } from 'zod'
import { SECOND_MS } from '../../src/constants.ts'
import { HostError, isIShareError } from '../../src/errors.ts'
import { serverId } from './api.ts'
import { statusOf } from './error-status.ts'
import type { Host } from './host.ts'
import { isDiskFull } from './disk-full.ts'
import { CONNECTIONS_MAX } from './limits.ts'
import type { DaemonLog } from './log.ts'
import { openApiDocument } from './openapi.ts'
import { none, operations, type Answer, type Operation } from './operations.ts'
import { bodyBytes, bodyChunks, bodyJson, checked } from './request-body.ts'

export interface HttpComponents {
  host: Host
  log: DaemonLog
}

/** From a refusal to the end of the connection, for a client that still sends. */
const LINGER_MS = 2 * SECOND_MS
const URL_LENGTH_MAX = 2048

export function httpServer({ bodyIdleMs }: { bodyIdleMs: number }, components: HttpComponents): Server {
  const server = createServer((request, response) => void answer(request, response, bodyIdleMs, components))
  server.maxConnections = CONNECTIONS_MAX
  server.headersTimeout = 10 * SECOND_MS
  // A large upload takes its time; one that stands still is noticed by bodyIdleMs.
  server.requestTimeout = 0
  return server
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  bodyIdleMs: number,
  { host, log }: HttpComponents
): Promise<void> {
  const requestId = randomUUID()
  const gone = new AbortController()
  const leave = (): void => gone.abort(new HostError('ERR_HOST_REQUEST', 'the client is gone'))
  response.on('close', leave)
  request.on('error', leave)
  response.setHeader('x-request-id', requestId)
  try {
    const { operation, id, query } = route(request)
    const { body, bytes } = await readBody(operation, request, bodyIdleMs)
    const result = await operation.run({ host, id, query, body, bytes, signal: gone.signal })
    await send(response, result, gone.signal)
  } catch (error) {
    if (!gone.signal.aborted && !isExpected(error))
      log.error({ requestId, url: request.url, err: error }, 'a request failed')
    refuse(request, response, error, requestId)
  }
}

function route(request: IncomingMessage): { operation: Operation; id: string; query: unknown } {
  const url = request.url ?? '/'
  if (url.length > URL_LENGTH_MAX) throw new HostError('ERR_HOST_REQUEST', 'the URL is too long')
  const [path = '', search = ''] = url.split('?', 2)
  const found = all.filter((operation) => operation.pattern.test(path))
  if (found.length === 0) throw new HttpError(404, 'there is no such path; see /v1/openapi.json')
  const match = found.find(({ operation }) => operation.method === request.method)
  if (match === undefined)
    throw new HttpError(405, `this path takes ${found.map((f) => f.operation.method).join(', ')}`)
  const { operation, pattern } = match
  const id = pattern.exec(path)?.groups?.['id'] ?? ''
  if (id !== '') checked(serverId, id, 'id')
  const parameters = new URLSearchParams(search)
  if (new Set(parameters.keys()).size !== parameters.size)
    throw new HostError('ERR_HOST_REQUEST', 'a parameter is given twice')
  return { operation, id, query: checked(operation.query, Object.fromEntries(parameters), 'query') }
}

async function readBody(
  { body }: Operation,
  request: IncomingMessage,
  idleMs: number
): Promise<{ body: unknown; bytes: AsyncIterable<Uint8Array> }> {
  const bytes = bodyChunks(request, idleMs)
  if (body === undefined) return { body: undefined, bytes }
  if (body instanceof ZodType) return { body: await bodyJson(request, body, idleMs), bytes }
  if (body.bytesMax !== undefined) return { body: await bodyBytes(request, body.bytesMax, idleMs), bytes }
  return { body: undefined, bytes }
}

async function send(response: ServerResponse, answer: Answer, signal: AbortSignal): Promise<void> {
  if (answer.kind === 'nothing') {
    response.writeHead(204).end()
    return
  }
  if (answer.kind === 'json') {
    const text = JSON.stringify(answer.value)
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
      .end(text)
    return
  }
  await stream(response, answer, signal)
}

/** Head first: a follower learns at once that it is connected, even if nothing comes for hours. */
async function stream(
  response: ServerResponse,
  { type, chunks }: Extract<Answer, { kind: 'stream' }>,
  signal: AbortSignal
): Promise<void> {
  const iterator = chunks[Symbol.asyncIterator]()
  const head = (): void => {
    if (!response.headersSent) {
      response.writeHead(200, { 'content-type': type })
      response.flushHeaders()
    }
  }
  const soon = setTimeout(head, HEAD_MS)
  try {
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      head()
      if (!response.write(next.value)) await once(response, 'drain', { signal })
      signal.throwIfAborted()
    }
    head()
    response.end()
  } finally {
    clearTimeout(soon)
    await iterator.return?.()
  }
}

/** Long enough for an answer of "no such server" to come first, and be a status of its own. */
const HEAD_MS = 50

function refuse(request: IncomingMessage, response: ServerResponse, error: unknown, requestId: string): void {
  if (response.headersSent || response.destroyed) {
    // Half of a stream must not look like all of it.
    response.destroy()
    return
  }
  const { status, code, message } = refusalOf(error, requestId)
  const text = JSON.stringify({ code, message, requestId })
  const isSending = !request.complete
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...(isSending && { connection: 'close' })
  })
  response.end(text)
  if (!isSending) return
  // A client that is cut off while it sends may never read why: let it send into nothing for a moment.
  request.resume()
  setTimeout(() => request.destroy(), LINGER_MS).unref()
}

/** A refusal that is about HTTP itself. */
class HttpError extends HostError {
  readonly status: number

  constructor(status: number, message: string) {
    super('ERR_HOST_REQUEST', message)
    this.status = status
  }
}

function refusalOf(error: unknown, requestId: string): { status: number; code: string; message: string } {
  if (isDiskFull(rootOf(error)))
    return { status: 507, code: 'ERR_HOST_STATE', message: "the host's disk is full" }
  if (error instanceof HttpError) return { status: error.status, code: error.code, message: error.message }
  if (isIShareError(error)) return { status: statusOf(error.code), code: error.code, message: error.message }
  return {
    status: 500,
    code: 'ERR_HOST_STATE',
    message: `the host failed; its log has more under ${requestId}`
  }
}

function rootOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error
}

function isExpected(error: unknown): boolean {
  return isIShareError(error) && statusOf(error.code) < 500
}

const openApi: Operation = {
  name: 'openapi',
  method: 'GET',
  path: '/v1/openapi.json',
  summary: 'This description',
  query: none,
  body: undefined,
  answer: undefined,
  run: () => ({ kind: 'json', value: openApiDocument() })
}

const all = [...operations, openApi].map((operation) => ({
  operation,
  pattern: new RegExp(`^${operation.path.replaceAll('.', '\\.').replace('{id}', '(?<id>[^/]+)')}$`)
}))
