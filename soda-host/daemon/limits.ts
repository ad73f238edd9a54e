/** Every number of the daemon. Sizes are bytes. */
import { GIB, HOUR_MS, KIB, MIB, MINUTE_MS, SECOND_MS } from '../../src/constants.ts'

/** A request's JSON: a program's arguments and environment, and little else. */
export const JSON_BYTES_MAX = 256 * KIB
/** One request's piece of standard input; longer input comes in several. */
export const STDIN_BYTES_MAX = MIB
/** Read from a spool or a tar, and written to a client, at a time. */
export const CHUNK_BYTES = 256 * KIB

/** Of the disk that a server is granted, its sealed log may take an eighth beside it, within bounds. */
const LOG_FRACTION = 1 / 8
const LOG_BYTES_MIN = 16 * MIB
const LOG_BYTES_MAX = GIB

/** What a server's sealed log may take, beside the disk that it is granted. */
export function logBytesMax(diskBytes: number): number {
  return Math.min(Math.max(Math.ceil(diskBytes * LOG_FRACTION), LOG_BYTES_MIN), LOG_BYTES_MAX)
}

/** What a server that is granted so much disk may take of the host's: with its log. */
export function diskShareBytes(diskBytes: number): number {
  return diskBytes + logBytesMax(diskBytes)
}

/** The most disk that a server can be granted where so much is there. */
export function grantableDiskBytes(thereBytes: number): number {
  const ofLog = (thereBytes * LOG_FRACTION) / (1 + LOG_FRACTION)
  return Math.max(0, Math.floor(thereBytes - Math.min(Math.max(ofLog, LOG_BYTES_MIN), LOG_BYTES_MAX)))
}

/** Servers on record, ended ones included: what is kept for its owner must not fill the table. */
export const SERVERS_KEPT_MAX = 1000
/** Snapshots of one server. */
export const SNAPSHOTS_MAX = 8
/** Links on record. */
export const LINKS_MAX = 65_536
/** Events that a client can still ask for. */
export const EVENTS_KEPT = 10_000
/** Notices that a client can still see, per server. */
export const NOTICES_KEPT = 16
/** Connections at a time; each may hold one file descriptor more. */
export const CONNECTIONS_MAX = 512

/** From TERM to KILL, at most. */
export const GRACE_MS_MAX = HOUR_MS

/** How patient the daemon is. Tests shorten some of these. */
export interface DaemonTiming {
  /** From TERM to KILL, where a stop does not say. */
  stopGraceMs: number
  /** From KILL to the end of the whole guest, if its init does not report the program's end. */
  killPatienceMs: number
  /** For all input files to be taken by the guest. */
  stagingMs: number
  /** For all output files to be handed over by the guest. */
  collectMs: number
  /** From the request to power off to the end of the guest's processes. */
  powerOffMs: number
  /** Between two looks at what a guest uses. */
  usageMs: number
  /** Between two looks at how busy the CPUs are. */
  balanceMs: number
  /** Longest time that a waiting request is held before it is answered with how things stand. */
  longPollMs: number
  /** A request whose body brings nothing for this long is given up, as is a dump of which nothing is taken. */
  bodyIdleMs: number
  /** From the notice to the end of the lease, where the spec does not say; no more than a tenth of the lease. */
  warningMs: number
  /** Before a program is started again: the first time, doubled each time, up to the most. */
  restartMsMin: number
  restartMsMax: number
  /** A program that ran for this long has come up: the next pause is the first again. */
  restartResetMs: number
  /** Between two attempts to write a state that could not be written. */
  retryMs: number
}

export const DAEMON_TIMING: DaemonTiming = {
  stopGraceMs: 5 * SECOND_MS,
  killPatienceMs: 10 * SECOND_MS,
  stagingMs: 10 * MINUTE_MS,
  collectMs: 10 * MINUTE_MS,
  powerOffMs: 10 * SECOND_MS,
  usageMs: 5 * SECOND_MS,
  balanceMs: 5 * SECOND_MS,
  longPollMs: 25 * SECOND_MS,
  bodyIdleMs: MINUTE_MS,
  warningMs: MINUTE_MS,
  // As Docker has them.
  restartMsMin: 100,
  restartMsMax: MINUTE_MS,
  restartResetMs: 10 * SECOND_MS,
  retryMs: SECOND_MS
}
