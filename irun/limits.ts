/** Every number of iRun that is not in the documents. Sizes are bytes. */
import { DAY_MS, GIB, KIB, MIB, MINUTE_MS, SECOND_MS } from '../src/constants.ts'

/** What one provider lets strangers do. */
export interface ProviderLimits {
  /** Streams of one consumer at a time. */
  sessionsPerPeer: number
  /** Streams of all consumers at a time. */
  sessionsMax: number
  /** Submissions of one consumer within a minute. */
  submissionsPerMinute: number
  /** A stream must say what it wants within this time. */
  firstMessageMs: number
  /** A lease whose program has not been started is given back after this time without progress. */
  stagingMs: number
  /** Results are kept for the consumer this long after the lease ends. */
  keepMs: number
  /** A factory has this long to make and send a kernel, at a time. */
  kernelMs: number
  /** A program that is stopped has this long to end by itself. */
  stopGraceMs: number
}

export const PROVIDER_LIMITS: ProviderLimits = {
  sessionsPerPeer: 16,
  sessionsMax: 256,
  submissionsPerMinute: 60,
  firstMessageMs: 10 * SECOND_MS,
  stagingMs: 5 * MINUTE_MS,
  keepMs: DAY_MS,
  kernelMs: MINUTE_MS,
  stopGraceMs: 5 * SECOND_MS
}

/** Notices of one run that are told. */
export const NOTICES_MAX = 16

/** How long a consumer is patient with one provider. */
export interface ConsumerLimits {
  /** To be connected, and to be answered. */
  answerMs: number
  /** First and longest pause between two attempts to connect again. */
  reconnectMsMin: number
  reconnectMsMax: number
  /** What is kept of the sealed log of one run. */
  logBytesMax: number
  /** A provider that has not ended the program this long after the lease's end is given up. */
  overdueMs: number
}

export const CONSUMER_LIMITS: ConsumerLimits = {
  answerMs: 20 * SECOND_MS,
  reconnectMsMin: 200,
  reconnectMsMax: 30 * SECOND_MS,
  logBytesMax: 4 * GIB,
  overdueMs: 10 * MINUTE_MS
}

/** Bytes under way and not yet confirmed. Standard input and staged files wait in the provider's memory. */
export const STDIN_WINDOW_BYTES = MIB
export const EXEC_STDIN_WINDOW_BYTES = 512 * KIB
export const STAGING_WINDOW_BYTES = 2 * MIB
export const OUTPUT_WINDOW_BYTES = 4 * MIB
export const FILES_WINDOW_BYTES = 4 * MIB
/** Confirmations are sent after this many bytes, or when there is nothing left to take. */
export const CONFIRM_BYTES = 256 * KIB

/** Reasons of a refusal, and the length of one. */
export const REASONS_MAX = 16
export const REASON_LENGTH_MAX = 256
/** Runs in one answer to `list`. */
export const LISTED_RUNS_MAX = 100

/** A sealed log that is followed is anchored at most so often. */
export const ANCHOR_INTERVAL_MS = SECOND_MS
/** Anchors are good for as long as receipts. */
export const ANCHOR_LIFETIME_SECONDS = (5 * 365 * DAY_MS) / SECOND_MS
/** Anchors of a run that its consumer keeps: the newest of each of the last boots. */
export const ANCHORS_KEPT_MAX = 64
