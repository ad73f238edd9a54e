/**
 * Serves one peer's offer over HTTP: `/` for people and crawlers, `/offer.jws` the bare token, and
 * `/.well-known/ishare` for programs: `{"offers": [token], "links": [url]}`.
 *
 * The attacker is any client. Answers are made when an offer is published, not when one is asked for, so that a
 * request costs a look-up; nothing of a request goes into an answer; connections, headers and times are bounded.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import { createHash } from 'node:crypto'
import type { Offer, Verified } from '../../src/documents/index.ts'
import { PublishError } from '../../src/errors.ts'
import {
  PAGE_CONNECTIONS_MAX,
  PAGE_HEADER_BYTES_MAX,
  PAGE_HOST,
  PAGE_IDLE_TIMEOUT_MS,
  PAGE_REQUEST_TIMEOUT_MS
} from '../defaults.ts'
import type { PageServer, PageServerInit } from '../types.ts'
import { offerPage } from './offer-page.ts'
import { STYLE } from './style.ts'

interface Answer {
  type: string
  body: Buffer
  etag: string
}

/** A server for the page of the offer that is published. */
export function pageServer(init: PageServerInit = {}): PageServer {
  const links = (init.links ?? []).map(checkUrl)
  return new HttpPageServer(
    { ...init, links },
    init.publicUrl === undefined ? undefined : checkUrl(init.publicUrl)
  )
}

class HttpPageServer implements PageServer {
  readonly #init: PageServerInit
  readonly #publicUrl: string | undefined
  #server: Server | undefined
  #url: string | undefined
  #offer: Verified<Offer> | undefined
  #answers = new Map<string, Answer>()

  constructor(init: PageServerInit, publicUrl: string | undefined) {
    this.#init = init
    this.#publicUrl = publicUrl
  }

  get url(): string | undefined {
    return this.#url
  }

  async start(): Promise<void> {
    if (this.#server !== undefined) return
    const { host = PAGE_HOST, port = 0, onError } = this.#init
    const server = boundedServer((request, response) => this.#serve(request, response))
    try {
      server.listen({ host, port })
      await once(server, 'listening')
    } catch (error) {
      throw new PublishError('ERR_PUBLISH_PAGE', `the page cannot be served at ${host} port ${port}`, {
        cause: error
      })
    }
    server.on('error', (error) =>
      onError?.(new PublishError('ERR_PUBLISH_PAGE', 'the page server failed', { cause: error }))
    )
    this.#server = server
    this.#url = this.#publicUrl ?? urlOf(server.address() as AddressInfo)
    this.#render()
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    this.#url = undefined
    if (server === undefined) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }

  publish(offer: Verified<Offer>): void {
    this.#offer = offer
    this.#render()
  }

  #render(): void {
    if (this.#offer === undefined || this.#url === undefined) return
    const { token } = this.#offer
    const links = this.#init.links ?? []
    const page = offerPage(this.#offer, { url: this.#url, links })
    this.#answers = new Map([
      ['/', answer('text/html; charset=utf-8', page)],
      ['/offer.jws', answer('application/jose', token)],
      ['/.well-known/ishare', answer('application/json', JSON.stringify({ offers: [token], links }))]
    ])
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value)
    const isHead = request.method === 'HEAD'
    // A body that came along is not read: the connection ends with the answer.
    if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined)
      response.setHeader('connection', 'close')
    if (request.method !== 'GET' && !isHead) {
      response.writeHead(405, { allow: 'GET, HEAD' }).end()
      return
    }
    const found = this.#answers.get(pathOf(request.url))
    if (found === undefined) {
      response.writeHead(this.#answers.size === 0 ? 503 : 404, { 'content-length': 0 }).end()
      return
    }
    send(found, request.headers['if-none-match'], isHead, response)
  }
}

function send(
  { type, body, etag }: Answer,
  known: string | undefined,
  isHead: boolean,
  response: ServerResponse
): void {
  response.setHeader('etag', etag)
  response.setHeader('cache-control', 'no-cache')
  if (known?.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag) === true) {
    response.writeHead(304).end()
    return
  }
  response.writeHead(200, { 'content-type': type, 'content-length': body.length })
  response.end(isHead ? undefined : body)
}

const SECURITY_HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin'
}

function boundedServer(listener: (request: IncomingMessage, response: ServerResponse) => void): Server {
  const server = createServer(
    {
      maxHeaderSize: PAGE_HEADER_BYTES_MAX,
      headersTimeout: PAGE_REQUEST_TIMEOUT_MS,
      requestTimeout: PAGE_REQUEST_TIMEOUT_MS,
      keepAliveTimeout: PAGE_IDLE_TIMEOUT_MS,
      connectionsCheckingInterval: PAGE_IDLE_TIMEOUT_MS
    },
    listener
  )
  server.maxConnections = PAGE_CONNECTIONS_MAX
  // Who reads nothing of an answer is cut off as well.
  server.setTimeout(PAGE_REQUEST_TIMEOUT_MS, (socket) => socket.destroy())
  return server
}

function answer(type: string, text: string): Answer {
  const body = Buffer.from(text)
  return { type, body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` }
}

function pathOf(target = '/'): string {
  return target.split('?', 1)[0] ?? '/'
}

function urlOf({ address, port, family }: AddressInfo): string {
  const isWildcard = address === '0.0.0.0' || address === '::'
  const host = isWildcard ? hostname() : family === 'IPv6' ? `[${address}]` : address
  return `http://${host}:${port}/`
}

/** @throws ERR_PUBLISH_PAGE when it is not an http(s) URL */
function checkUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url.href
  throw new PublishError(
    'ERR_PUBLISH_PAGE',
    `expected an http or https URL, got ${JSON.stringify(text.slice(0, 80))}`
  )
}
