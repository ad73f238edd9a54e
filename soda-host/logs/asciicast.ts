/**
 * Sessions as asciicast, versions 2 and 3, and at which pace they are shown. Pure.
 *
 * @see https://docs.asciinema.org/manual/asciicast/v2/ and v3
 */
import { StringDecoder } from 'node:string_decoder'
import type { TerminalEvent } from './sessions.ts'

export interface AsciicastOptions {
  version: 2 | 3
  /** Seconds since 1970 at which the session began. */
  timestamp?: number
  /** Longest pause that is kept, in seconds. @default all */
  idleSecondsMax?: number
  /** How many times faster than it was. @default 1 */
  speed?: number
  /** What was typed too. @default false: it is mostly what was shown, and may be a password */
  hasInput?: boolean
}

/** Where a terminal has told no size. */
const COLUMNS = 80
const ROWS = 24
const NS_PER_SECOND = 1e9
const CODES = { input: 'i', output: 'o', resize: 'r' } as const

export interface PacedEvent {
  /** Seconds since the session's first event, as it is to be shown. */
  seconds: number
  event: TerminalEvent
}

/** Events with the time at which each is to be shown. */
export async function* pace(
  events: AsyncIterable<TerminalEvent>,
  { idleSecondsMax = Infinity, speed = 1 }: Pick<AsciicastOptions, 'idleSecondsMax' | 'speed'> = {}
): AsyncGenerator<PacedEvent> {
  let before = 0
  let seconds = 0
  for await (const event of events) {
    const now = Number(event.timeNs) / NS_PER_SECOND
    seconds += Math.min(Math.max(now - before, 0), idleSecondsMax) / speed
    before = now
    yield { seconds, event }
  }
}

/** Lines of an asciicast file, without line ends. */
export async function* asciicast(
  events: AsyncIterable<TerminalEvent>,
  options: AsciicastOptions
): AsyncGenerator<string> {
  // Characters may be split between events; each direction is a stream of its own.
  const decoders = { input: new StringDecoder('utf8'), output: new StringDecoder('utf8') }
  let isBegun = false
  let last = 0
  for await (const { seconds, event } of pace(events, options)) {
    if (!isBegun) yield JSON.stringify(header(event, options))
    isBegun = true
    if (event.kind === 'input' && options.hasInput !== true) continue
    const data =
      event.kind === 'resize' ? `${event.columns}x${event.rows}` : decoders[event.kind].write(event.data)
    if (data === '') continue
    // Version 2 counts from the start, version 3 from the event before.
    const time = options.version === 2 ? seconds : seconds - last
    last = seconds
    yield JSON.stringify([Number(time.toFixed(6)), CODES[event.kind], data])
  }
}

function header(first: TerminalEvent, { version, timestamp, idleSecondsMax }: AsciicastOptions): object {
  const size = { columns: first.columns || COLUMNS, rows: first.rows || ROWS }
  const common = {
    ...(timestamp === undefined ? {} : { timestamp }),
    ...(idleSecondsMax === undefined ? {} : { idle_time_limit: idleSecondsMax })
  }
  return version === 2
    ? { version, width: size.columns, height: size.rows, ...common }
    : { version, term: { cols: size.columns, rows: size.rows }, ...common }
}
