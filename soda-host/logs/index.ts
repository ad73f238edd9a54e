/**
 * @packageDocumentation
 *
 * The reading side of Kernort's sealed logs: find frames, prove them, open them with the tenant's key, tell what is
 * wrong with a log, and show it. The format is in docs/formats/sealed-log.md.
 */
export { asciicast, pace, type AsciicastOptions } from './asciicast.ts'
export { logOpener, type LogOpener } from './epoch.ts'
export { isWanted, type RecordFilter } from './filter.ts'
export { anchorText, parseAnchor, type Anchor, type Finding } from './findings.ts'
export { readLogFiles } from './log-files.ts'
export type { LogEntry, LogReaderInit } from './log-reader.ts'
export { LogStore, type LogStoreInit } from './log-store.ts'
export {
  NEW_COLLECTOR,
  SpoolCollector,
  type CollectorState,
  type LogAttachment,
  type LogHead
} from './spool-collector.ts'
export { readLog, verifyLog, type LogReport } from './read-log.ts'
export { KIND_LAYOUTS } from './record-layout.ts'
export type { LogRecord } from './record-parser.ts'
export { recordJson, recordText, recordTime } from './record-text.ts'
export { listSessions, sessionEvents, type SessionSummary } from './sessions.ts'
