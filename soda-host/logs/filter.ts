import type { LogRecord } from './record-parser.ts'

/** What of a log is wanted. Times are those of the guest's clock. */
export interface RecordFilter {
  kinds?: readonly string[]
  sinceMs?: number
  untilMs?: number
}

const NS_PER_MS = 1_000_000n

export function isWanted(record: LogRecord, { kinds, sinceMs, untilMs }: RecordFilter): boolean {
  if (kinds !== undefined && !kinds.includes(record.kind)) return false
  const ms = Number(record.realtimeNs / NS_PER_MS)
  return (sinceMs === undefined || ms >= sinceMs) && (untilMs === undefined || ms <= untilMs)
}
