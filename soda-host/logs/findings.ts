/** What a reader has to say about a log besides its records. */

/** A head of the chain that the tenant knows, from the provider while the log grew or from a receipt. */
export interface Anchor {
  bootNumber: number
  /** Number of the frame that it is the head after. */
  frameNumber: bigint
  /** 64 hex digits. */
  head: string
}

/**
 * - `damaged`: bytes that are no frame. `unopenable`: a frame that is not what was sealed.
 * - `missing`: frames, boots or the beginning of an epoch are not there. `repeated`: a frame or boot that was there
 *   already, or is older than what was there. `broken-chain`: it follows on something else than what stands before it.
 * - `foreign`: another server's. `unlinked`: an epoch that whoever held the one before did not begin.
 * - `not-for-key`: sealed, but not to this key. `records`: what was sealed is not what it should be.
 * - `anchor`: a head that the tenant knows is not in this log.
 * - `unfinished`: the log ends in a part of a frame, as it does where the writer or the copy was stopped.
 * - `unended`: a boot ended without saying so, as it does when the guest is killed. Not held against the log.
 */
export type FindingKind =
  | 'damaged'
  | 'unopenable'
  | 'missing'
  | 'repeated'
  | 'broken-chain'
  | 'foreign'
  | 'unlinked'
  | 'not-for-key'
  | 'records'
  | 'anchor'
  | 'unfinished'
  | 'unended'

export interface Finding {
  kind: FindingKind
  /** Where in the log, in bytes from its beginning. */
  offset: number
  boot?: number
  frame?: bigint
  /** For people. */
  text: string
}

/** True for what is no damage: a log with nothing else is whole. */
export function isHarmless({ kind }: Finding): boolean {
  return kind === 'unended'
}

const ANCHOR = /^(\d{1,10}):(\d{1,19}):([0-9a-f]{64})$/

/** `boot:frame:head`; undefined for anything else. */
export function parseAnchor(text: string): Anchor | undefined {
  const [, boot, frame, head] = ANCHOR.exec(text) ?? []
  if (boot === undefined || frame === undefined || head === undefined) return undefined
  return { bootNumber: Number(boot), frameNumber: BigInt(frame), head }
}

export function anchorText({ bootNumber, frameNumber, head }: Anchor): string {
  return `${bootNumber}:${frameNumber}:${head}`
}
