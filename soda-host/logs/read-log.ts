/** The front of the reading side: bytes in, entries or a verdict out. */
import type { Finding } from './findings.ts'
import { isHarmless } from './findings.ts'
import { LogReader, type LogEntry, type LogReaderInit, type LogSummary } from './log-reader.ts'

/** Findings that a report keeps; the rest is counted. A hostile log could hold one in every few bytes. */
const FINDINGS_MAX = 1000

/** Records and findings of a log, in the order in which they stand there. */
export async function* readLog(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  init: LogReaderInit = {}
): AsyncGenerator<LogEntry> {
  const reader = new LogReader(init)
  for await (const chunk of source) yield* reader.push(chunk)
  yield* reader.end()
}

export interface LogReport extends LogSummary {
  /** Nothing is wrong with it, but for what a killed guest leaves. */
  isWhole: boolean
  findings: Finding[]
  findingsLeftOut: number
}

/** Read a whole log and say whether it is whole, or where and how it is not. */
export async function verifyLog(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  init: LogReaderInit = {}
): Promise<LogReport> {
  const reader = new LogReader(init)
  const report = { isWhole: true, findings: [] as Finding[], findingsLeftOut: 0 }
  const take = async (entries: AsyncIterable<LogEntry>): Promise<void> => {
    for await (const entry of entries) {
      if (entry.type !== 'finding') continue
      if (!isHarmless(entry.finding)) report.isWhole = false
      if (report.findings.length < FINDINGS_MAX) report.findings.push(entry.finding)
      else report.findingsLeftOut++
    }
  }
  for await (const chunk of source) await take(reader.push(chunk))
  await take(reader.end())
  return { ...report, ...reader.summary }
}
