import { KIB, SECOND_MS } from '../src/constants.ts'
import type { DiscoverLimits } from './types.ts'

/** Bounds of one call of `discover`. */
export const DEFAULT_LIMITS: Readonly<DiscoverLimits> = {
  pageTimeoutMs: 15 * SECOND_MS,
  pagesMax: 32,
  linkDepthMax: 2,
  redirectsMax: 5,
  dhtTimeoutMs: 30 * SECOND_MS,
  valueTimeoutMs: 10 * SECOND_MS,
  askTimeoutMs: 10 * SECOND_MS,
  providersMax: 256,
  concurrency: 8
}

/** Results that wait for the reader; then the sources wait as well. */
export const RESULTS_WAITING_MAX = 16

/** How deep elements may be nested. Browsers stop at the same depth. */
export const ELEMENT_DEPTH_MAX = 512
export const BLOCKS_PER_PAGE_MAX = 16
/** The offer, its terms once more, and the names around them. */
export const BLOCK_CHARACTERS_MAX = 256 * KIB
export const BLOCK_DEPTH_MAX = 32
export const OFFERS_PER_PAGE_MAX = 16
export const LINKS_PER_PAGE_MAX = 64
export const URL_CHARACTERS_MAX = 2048
