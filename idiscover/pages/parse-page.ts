/**
 * Find offers and links in a page.
 *
 * The page is of a stranger, up to PAGE_BYTES_MAX long. It is read as a stream of tags, without building a tree:
 * trees of deeply nested, unclosed or very many elements cost quadratic time in every parser that was tried
 * (cheerio with parse5 or htmlparser2: minutes for 2 MB). The tokenizer is linear; its stack of open elements is
 * bounded here. So are the number and length of JSON-LD blocks and links.
 */
import { Parser } from 'htmlparser2'
import { DOCUMENT_BYTES_MAX } from '../../src/constants.ts'
import { DiscoverError } from '../../src/errors.ts'
import {
  BLOCKS_PER_PAGE_MAX,
  BLOCK_CHARACTERS_MAX,
  BLOCK_DEPTH_MAX,
  ELEMENT_DEPTH_MAX,
  LINKS_PER_PAGE_MAX,
  OFFERS_PER_PAGE_MAX
} from '../limits.ts'
import { isUtf8, pageUrl, type Page } from './fetch-page.ts'
import { depthOf, tokensInJson } from './json-ld.ts'

export interface PageContent {
  /** Compact JWS, not verified. */
  tokens: string[]
  /** Where `<link rel="ishare">` and `<a rel="ishare">` lead to; http(s) only. */
  links: URL[]
}

/**
 * @throws ERR_PAGE_FORMAT when elements or JSON are nested too deep, blocks too long, or the page names another
 * character set than UTF-8
 */
export function parsePage(page: Page): PageContent {
  switch (page.mediaType) {
    case 'application/jose':
      return { tokens: [page.text.trim().slice(0, DOCUMENT_BYTES_MAX + 1)], links: [] }
    case 'application/json':
      return parseListing(page)
    case 'text/html':
    case 'application/xhtml+xml':
      return parseHtml(page)
  }
}

/** `/.well-known/ishare`: `{"offers": [token, …], "links": [url, …]}` */
function parseListing({ url, text }: Page): PageContent {
  if (depthOf(text) > BLOCK_DEPTH_MAX) throw bad(url, `JSON is nested deeper than ${BLOCK_DEPTH_MAX}`)
  let listing: unknown
  try {
    listing = JSON.parse(text)
  } catch {
    throw bad(url, 'not JSON')
  }
  const { offers, links } = (listing ?? {}) as Partial<Record<string, unknown>>
  return {
    tokens: strings(offers).slice(0, OFFERS_PER_PAGE_MAX),
    links: strings(links)
      .slice(0, LINKS_PER_PAGE_MAX)
      .flatMap((link) => resolveLink(link, url))
  }
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []
}

function parseHtml({ url, text }: Page): PageContent {
  const blocks: string[] = []
  const links: { href: string; type: string }[] = []
  let depth = 0
  /** Pieces of the block that is being read. */
  let block: string[] | undefined

  const parser = new Parser({
    onopentag(name, attributes) {
      if (++depth > ELEMENT_DEPTH_MAX) throw bad(url, `elements are nested deeper than ${ELEMENT_DEPTH_MAX}`)
      if (name === 'meta') checkCharset(url, attributes)
      if (isLink(name, attributes) && links.length < LINKS_PER_PAGE_MAX)
        links.push({ href: attributes['href'] ?? '', type: attributes['type'] ?? '' })
      if (name === 'script' && isJsonLd(attributes) && blocks.length < BLOCKS_PER_PAGE_MAX) block = []
    },
    ontext(piece) {
      block?.push(piece)
    },
    onclosetag(name) {
      depth--
      if (name !== 'script' || block === undefined) return
      blocks.push(block.join(''))
      block = undefined
    }
  })
  parser.end(text)

  const tokens = blocks.flatMap((json) => tokensInBlock(url, json)).slice(0, OFFERS_PER_PAGE_MAX)
  // A page that holds its offer points to the bare one as well: it need not be fetched again.
  const wanted = tokens.length === 0 ? links : links.filter(({ type }) => type !== 'application/jose')
  return { tokens, links: wanted.flatMap(({ href }) => resolveLink(href, url)) }
}

function isLink(name: string, attributes: Record<string, string>): boolean {
  const isAnchor = name === 'link' || name === 'a'
  return isAnchor && (attributes['rel'] ?? '').toLowerCase().split(/\s+/).includes('ishare')
}

function isJsonLd({ type }: Record<string, string>): boolean {
  return type?.trim().toLowerCase() === 'application/ld+json'
}

function checkCharset(url: URL, attributes: Record<string, string>): void {
  const charset = attributes['charset'] ?? /charset=\s*"?([\w-]+)/i.exec(attributes['content'] ?? '')?.[1]
  if (charset !== undefined && !isUtf8(charset.trim()))
    throw bad(url, `expected UTF-8, got ${charset.slice(0, 40)}`)
}

function tokensInBlock(url: URL, json: string): string[] {
  if (json.length > BLOCK_CHARACTERS_MAX)
    throw bad(url, `a JSON-LD block is longer than ${BLOCK_CHARACTERS_MAX} characters`)
  return tokensInJson(url, json)
}

/** Links that lead nowhere are left out. */
function resolveLink(href: string, base: URL): URL[] {
  try {
    return [pageUrl(href, base)]
  } catch {
    return []
  }
}

function bad(url: URL, reason: string): DiscoverError {
  return new DiscoverError('ERR_PAGE_FORMAT', `${url.href}: ${reason}`)
}
