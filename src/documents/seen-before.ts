import { CLOCK_SKEW_SECONDS, SECOND_MS } from '../constants.ts'
import { DocumentError } from '../errors.ts'

/**
 * Remembers documents until they have expired, so that none counts twice. A durable store (irun's table of
 * runs) may take its place: this is the shape.
 */
export interface SeenBefore {
  /** @throws ERR_DOCUMENT_REPLAYED when `key` was taken before */
  take(key: string, expiresSeconds: number, nowMs?: number): void
}

/**
 * In memory, at most `entriesMax` at a time. When it is full of documents that are still valid, a new one is
 * refused: forgetting one would let it be replayed.
 *
 * @throws from `take`: ERR_DOCUMENT_REPLAYED, also when full
 */
export function seenBefore(entriesMax = 65_536): SeenBefore {
  const expiries = new Map<string, number>()
  let sweepAtMs = 0

  function sweep(nowMs: number): void {
    const limit = nowMs / SECOND_MS - CLOCK_SKEW_SECONDS
    for (const [key, expires] of expiries) if (expires < limit) expiries.delete(key)
    sweepAtMs = nowMs + CLOCK_SKEW_SECONDS * SECOND_MS
  }

  return {
    take(key, expiresSeconds, nowMs = Date.now()) {
      if (nowMs >= sweepAtMs) sweep(nowMs)
      if (expiries.has(key)) throw new DocumentError('ERR_DOCUMENT_REPLAYED', `${key} was taken before`)
      if (expiries.size >= entriesMax)
        throw new DocumentError(
          'ERR_DOCUMENT_REPLAYED',
          `${entriesMax} documents are remembered; try again later`
        )
      expiries.set(key, expiresSeconds)
    }
  }
}

/** Remembers the highest sequence of each peer. */
export interface NewestSequence {
  /**
   * Note a document of `peer`.
   * @returns true when it is newer than all before, false when it is the newest one again
   * @throws ERR_DOCUMENT_REPLAYED when a newer one is known
   */
  note(peer: string, sequence: number): boolean
}

/** In memory; of more than `peersMax` peers the one not heard of for longest is forgotten. */
export function newestSequence(peersMax = 16_384): NewestSequence {
  const newest = new Map<string, number>()
  return {
    note(peer, sequence) {
      const known = newest.get(peer) ?? -1
      if (sequence < known)
        throw new DocumentError('ERR_DOCUMENT_REPLAYED', `offer ${sequence} of ${peer}: ${known} is newer`)
      newest.delete(peer)
      newest.set(peer, sequence)
      const oldest = newest.keys().next()
      if (newest.size > peersMax && oldest.done !== true) newest.delete(oldest.value)
      return sequence > known
    }
  }
}
