/** Every number of iFactory. */
import { MINUTE_MS, SECOND_MS } from '../src/constants.ts'

/** What one factory lets strangers do. */
export interface FactoryLimits {
  /** Kernels that are stamped at a time; as many again may wait, times `waitingPerTurn`. */
  atATime: number
  waitingPerTurn: number
  /** Requests of one peer within a minute. */
  requestsPerMinute: number
  /** Streams of all peers at a time, each with a kernel on the disk. */
  streamsMax: number
  /** For all documents to be there. */
  requestMs: number
  /** For a kernel to be fetched. */
  transferMs: number
}

export const FACTORY_LIMITS: FactoryLimits = {
  atATime: 2,
  waitingPerTurn: 8,
  requestsPerMinute: 60,
  streamsMax: 32,
  requestMs: 10 * SECOND_MS,
  transferMs: 2 * MINUTE_MS
}

/** Streams of one connection at a time; libp2p resets those beyond. */
export const STREAMS_PER_CONNECTION = 8
/** How long one asks, until the first byte of the kernel comes. */
export const ANSWER_MS = 30 * SECOND_MS
/** Peers whose requests are counted. */
export const PEERS_COUNTED_MAX = 4096
