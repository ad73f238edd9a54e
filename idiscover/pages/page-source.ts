/**
 * Offers on pages: the named ones, and those that `<link rel="ishare">` leads to, breadth first, within bounds of
 * number and distance. Each URL is visited once.
 *
 * Whether a page may be visited at all (robots.txt, a pause between visits to one host) is decided in `visit`,
 * before the fetch.
 */
import PQueue from 'p-queue'
import { DiscoverError } from '../../src/errors.ts'
import { reportToken, type Report } from '../source.ts'
import type { DiscoverLimits } from '../types.ts'
import type { Resolve } from './addresses.ts'
import { pageFetcher, pageUrl, type PageFetcher } from './fetch-page.ts'
import { parsePage, type PageContent } from './parse-page.ts'

export interface PageSourceInit {
  limits: DiscoverLimits
  allowPrivateAddresses: boolean
  resolve?: Resolve
}

const WELL_KNOWN_PATH = '/.well-known/ishare'

/** Report every offer on these pages. Resolves when all have been read. */
export async function searchPages(
  named: readonly string[],
  init: PageSourceInit,
  report: Report,
  signal: AbortSignal
): Promise<void> {
  const urls: URL[] = []
  for (const text of named)
    try {
      urls.push(pageUrl(text))
    } catch (error) {
      await report({ error, source: { kind: 'page', url: text } })
    }
  const { allowPrivateAddresses, resolve, limits } = init
  await using fetcher = pageFetcher({
    ...limits,
    namedHosts: new Set(urls.map(({ host }) => host)),
    allowPrivateAddresses,
    ...(resolve === undefined ? {} : { resolve })
  })
  await new Crawl(fetcher, limits, report, signal).run(urls)
}

class Crawl {
  readonly #fetcher: PageFetcher
  readonly #limits: DiscoverLimits
  readonly #report: Report
  readonly #signal: AbortSignal
  readonly #queue: PQueue
  readonly #visited = new Set<string>()

  constructor(fetcher: PageFetcher, limits: DiscoverLimits, report: Report, signal: AbortSignal) {
    this.#fetcher = fetcher
    this.#limits = limits
    this.#report = report
    this.#signal = signal
    this.#queue = new PQueue({ concurrency: limits.concurrency })
  }

  async run(urls: readonly URL[]): Promise<void> {
    for (const url of urls) this.#add(url, 0)
    await this.#queue.onIdle()
  }

  #add(url: URL, depth: number): void {
    if (this.#visited.has(url.href) || this.#visited.size >= this.#limits.pagesMax) return
    this.#visited.add(url.href)
    void this.#queue.add(() => this.#visit(url, depth))
  }

  async #visit(url: URL, depth: number): Promise<void> {
    const source = { kind: 'page' as const, url: url.href }
    if (this.#signal.aborted) return
    try {
      const content = await this.#read(url)
      for (const token of content.tokens) await reportToken(token, source, this.#report)
      if (depth < this.#limits.linkDepthMax) for (const link of content.links) this.#add(link, depth + 1)
      if (depth === 0 && content.tokens.length + content.links.length === 0) await this.#tryWellKnown(url)
    } catch (error) {
      await this.#report({ error, source })
    }
  }

  /** After redirects it may be a page that was visited before. */
  async #read(url: URL): Promise<PageContent> {
    const page = await this.#fetcher.fetch(url, this.#signal)
    const isKnown = page.url.href !== url.href && this.#visited.has(page.url.href)
    this.#visited.add(page.url.href)
    return isKnown ? { tokens: [], links: [page.url] } : parsePage(page)
  }

  async #tryWellKnown(url: URL): Promise<void> {
    const wellKnown = new URL(WELL_KNOWN_PATH, url)
    const isNew = url.pathname !== WELL_KNOWN_PATH && !this.#visited.has(wellKnown.href)
    const content = isNew ? await this.#read(wellKnown).catch(() => undefined) : undefined
    const source = { kind: 'page' as const, url: wellKnown.href }
    for (const token of content?.tokens ?? []) await reportToken(token, source, this.#report)
    if (content !== undefined) for (const link of content.links) this.#add(link, 1)
    if (isNew && (content === undefined || content.tokens.length + content.links.length === 0))
      throw new DiscoverError('ERR_OFFER_NOT_FOUND', `${url.href}: has neither an offer nor a link to one`)
  }
}
