/**
 * Fetch one page, within bounds: length, time, redirects, content type, encoding, address.
 *
 * The attacker is the server. It may send without end, slowly, compressed, in another character set, redirect
 * in circles or inwards. Bytes are counted as they come and nothing is decompressed; every redirect goes through
 * the same checks as the first URL.
 */
import { Agent, errors, request, type Dispatcher } from 'undici'
import { PAGE_BYTES_MAX } from '../../src/constants.ts'
import { DiscoverError, isIShareError } from '../../src/errors.ts'
import { URL_CHARACTERS_MAX } from '../limits.ts'
import { isPublicAddress, literalAddress, pinnedLookup, refusal, type Resolve } from './addresses.ts'

export interface Page {
  /** After redirects. */
  url: URL
  mediaType: PageMediaType
  text: string
}

const MEDIA_TYPES = ['text/html', 'application/xhtml+xml', 'application/jose', 'application/json'] as const
type PageMediaType = (typeof MEDIA_TYPES)[number]

export interface PageFetcherInit {
  /** `host:port` of URLs that the user named: they may have private addresses. */
  namedHosts: ReadonlySet<string>
  allowPrivateAddresses: boolean
  redirectsMax: number
  pageTimeoutMs: number
  resolve?: Resolve
}

export interface PageFetcher extends AsyncDisposable {
  /**
   * @throws ERR_PAGE_ADDRESS when the address is not one to fetch from, ERR_PAGE_FETCH when there is no good
   * answer in time, ERR_PAGE_SIZE, ERR_PAGE_FORMAT when it is not UTF-8 text of a known type
   */
  fetch(url: URL, signal: AbortSignal): Promise<Page>
}

/** Hosts stay at their addresses as long as the fetcher lives. */
export function pageFetcher(init: PageFetcherInit): PageFetcher {
  const isAny = () => true
  const [open, guarded] = [isAny, init.allowPrivateAddresses ? isAny : isPublicAddress].map(
    (isAllowed) =>
      new Agent({ connect: { lookup: pinnedLookup(isAllowed, init.resolve) }, maxHeaderSize: 16_384 })
  ) as [Agent, Agent]

  function dispatcherFor(url: URL): Dispatcher {
    if (init.namedHosts.has(url.host)) return open
    const literal = literalAddress(url)
    if (literal !== undefined && !init.allowPrivateAddresses && !isPublicAddress(literal))
      throw refusal(url.hostname)
    return guarded
  }

  async function follow(start: URL, signal: AbortSignal): Promise<Page> {
    let url = start
    for (let redirects = 0; redirects <= init.redirectsMax; redirects++) {
      const response = await request(url, { dispatcher: dispatcherFor(url), signal, headers: HEADERS })
      try {
        const location = response.headers['location']
        if (!isRedirect(response.statusCode) || typeof location !== 'string')
          return await readPage(url, response, signal)
        url = pageUrl(location, url)
      } finally {
        response.body.on('error', () => undefined).destroy()
      }
    }
    throw new DiscoverError('ERR_PAGE_FETCH', `${start.href}: more than ${init.redirectsMax} redirects`)
  }

  return {
    async fetch(url, signal) {
      const timeout = AbortSignal.timeout(init.pageTimeoutMs)
      try {
        return await follow(url, AbortSignal.any([signal, timeout]))
      } catch (error) {
        signal.throwIfAborted()
        throw pageError(url, error, timeout.aborted)
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([open.destroy(), guarded.destroy()])
    }
  }
}

const HEADERS = {
  'user-agent': 'ishare/1',
  accept: 'text/html, application/jose, application/json;q=0.9',
  // What is not compressed cannot be a bomb.
  'accept-encoding': 'identity'
}

/**
 * A URL that may be fetched.
 *
 * @throws ERR_PAGE_ADDRESS when it is not http(s), holds a password, or is too long
 */
export function pageUrl(text: string, base?: URL): URL {
  const url = text.length <= URL_CHARACTERS_MAX ? URL.parse(text, base?.href) : null
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new DiscoverError(
      'ERR_PAGE_ADDRESS',
      `expected an http(s) URL, got ${JSON.stringify(text.slice(0, 80))}`
    )
  if (url.username !== '' || url.password !== '')
    throw new DiscoverError('ERR_PAGE_ADDRESS', `${url.host}: a URL with a password is not fetched`)
  url.hash = ''
  return url
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status)
}

async function readPage(url: URL, response: Dispatcher.ResponseData, signal: AbortSignal): Promise<Page> {
  if (response.statusCode !== 200)
    throw new DiscoverError('ERR_PAGE_FETCH', `${url.href}: answered with status ${response.statusCode}`)
  const encoding = response.headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity')
    throw new DiscoverError('ERR_PAGE_FORMAT', `${url.href}: is compressed, though that was not asked for`)
  const mediaType = checkContentType(url, response.headers['content-type'])
  const bytes = await readBody(url, response, signal)
  try {
    return { url, mediaType, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch (error) {
    throw new DiscoverError('ERR_PAGE_FORMAT', `${url.href}: not UTF-8`, { cause: error })
  }
}

function checkContentType(url: URL, header: string | string[] | undefined): PageMediaType {
  const [type = '', ...parameters] = String(header ?? '')
    .toLowerCase()
    .split(';')
  const mediaType = MEDIA_TYPES.find((known) => known === type.trim())
  if (mediaType === undefined)
    throw new DiscoverError(
      'ERR_PAGE_FORMAT',
      `${url.href}: expected HTML, got ${type.trim().slice(0, 80) || 'no content type'}`
    )
  const charset = parameters
    .map((text) => /^\s*charset\s*=\s*"?([^"\s]+)"?\s*$/.exec(text)?.[1])
    .find(Boolean)
  if (charset !== undefined && !isUtf8(charset))
    throw new DiscoverError('ERR_PAGE_FORMAT', `${url.href}: expected UTF-8, got ${charset.slice(0, 40)}`)
  return mediaType
}

/** ASCII is a part of UTF-8. */
export function isUtf8(charset: string): boolean {
  return ['utf-8', 'utf8', 'us-ascii'].includes(charset.toLowerCase())
}

async function readBody(
  url: URL,
  response: Dispatcher.ResponseData,
  signal: AbortSignal
): Promise<Uint8Array> {
  const tooLong = () => new DiscoverError('ERR_PAGE_SIZE', `${url.href}: longer than ${PAGE_BYTES_MAX} bytes`)
  if (Number(response.headers['content-length']) > PAGE_BYTES_MAX) throw tooLong()
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    signal.throwIfAborted()
    length += chunk.length
    if (length > PAGE_BYTES_MAX) throw tooLong()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function pageError(url: URL, error: unknown, isTimeout: boolean): DiscoverError {
  const cause = error instanceof errors.UndiciError && isIShareError(error.cause) ? error.cause : error
  if (cause instanceof DiscoverError) return cause
  const reason = isTimeout ? 'no full answer in time' : 'no answer'
  return new DiscoverError('ERR_PAGE_FETCH', `${url.href}: ${reason}`, { cause: error })
}
