/**
 * Terminal sessions: what was typed and shown on one terminal, in the order in which it was. A session is the
 * records of one terminal and one session leader within one boot.
 */
import type { LogRecord } from './record-parser.ts'

/** Sessions told apart; a log with more is a hostile one, and the rest is one session. */
const SESSIONS_MAX = 4096

export interface TerminalEvent {
  /** Since the session's first event. */
  timeNs: bigint
  kind: 'input' | 'output' | 'resize'
  columns: number
  rows: number
  data: Buffer
}

export interface SessionSummary {
  /** `boot.device.leader`; the name by which a session is asked for. */
  id: string
  /** Nanoseconds since 1970, by the guest's clock. */
  startNs: bigint
  durationNs: bigint
  columns: number
  rows: number
  inputBytes: number
  outputBytes: number
}

const KINDS: Readonly<Record<number, TerminalEvent['kind']>> = { 1: 'input', 2: 'output', 3: 'resize' }

/** The session of a `tty` record; undefined for any other record. */
export function sessionId({ kind, boot, fields }: LogRecord): string | undefined {
  if (kind !== 'tty') return undefined
  const device = Number(fields['device'])
  return `${boot}.${device >>> 20}:${device & 0xfffff}.${String(fields['session'])}`
}

/** All sessions of a log, by their start. */
export async function listSessions(records: AsyncIterable<LogRecord>): Promise<SessionSummary[]> {
  const sessions = new Map<string, SessionSummary & { firstNs: bigint }>()
  for await (const record of records) {
    const wanted = sessionId(record)
    if (wanted === undefined) continue
    const id = sessions.has(wanted) || sessions.size < SESSIONS_MAX ? wanted : 'others'
    const session = sessions.get(id) ?? {
      id,
      startNs: record.realtimeNs,
      firstNs: record.monotonicNs,
      durationNs: 0n,
      columns: 0,
      rows: 0,
      inputBytes: 0,
      outputBytes: 0
    }
    sessions.set(id, session)
    const event = eventOf(record, session.firstNs)
    session.durationNs = event.timeNs
    session.columns ||= event.columns
    session.rows ||= event.rows
    if (event.kind === 'input') session.inputBytes += event.data.length
    if (event.kind === 'output') session.outputBytes += event.data.length
  }
  return [...sessions.values()].map(({ firstNs: _firstNs, ...summary }) => summary)
}

/** What happened in the session `id`. */
export async function* sessionEvents(
  records: AsyncIterable<LogRecord>,
  id: string
): AsyncGenerator<TerminalEvent> {
  let firstNs: bigint | undefined
  for await (const record of records) {
    if (sessionId(record) !== id) continue
    firstNs ??= record.monotonicNs
    yield eventOf(record, firstNs)
  }
}

function eventOf({ fields, tails, monotonicNs }: LogRecord, firstNs: bigint): TerminalEvent {
  return {
    timeNs: monotonicNs > firstNs ? monotonicNs - firstNs : 0n,
    kind: KINDS[Number(fields['direction'])] ?? 'output',
    columns: Number(fields['columns']),
    rows: Number(fields['rows']),
    data: tails['data'] ?? Buffer.alloc(0)
  }
}
