/**
 * Weekly windows in a time zone.
 *
 * The rule is what an owner would say: it is open while the clock on the wall shows a time in a window. So on
 * the night when the clock goes back the repeated hour counts twice, and an hour that the clock jumps over is
 * never open. Nothing is converted from wall time to instants, which would be ambiguous on those nights; only
 * instants to wall time, through Intl.
 *
 * The windows become a set of minutes of the week. An instant's end of opening is found by walking: to the end
 * of the set's stretch by the present offset, but where the offset changes on the way only up to the change.
 */
import { MINUTE_MS } from '../constants.ts'
import type { AccessRules } from './schema.ts'

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
const DAY_MINUTES = 1440
const WEEK_MINUTES = 7 * DAY_MINUTES

type Schedule = Pick<AccessRules, 'windows' | 'timeZone'>

/**
 * When the opening that holds `nowMs` ends, in milliseconds since the epoch; `Infinity` when it never does,
 * `undefined` when it is closed.
 */
export function openUntil({ windows, timeZone }: Schedule, nowMs: number): number | undefined {
  if (windows.length === 0) return Infinity
  const open = minutesOfWeek(windows)
  const offsetAt = offsets(timeZone)
  if (!isOpen(open, nowMs + offsetAt(nowMs))) return undefined
  if (!open.includes(0)) return Infinity
  let at = nowMs
  while (isOpen(open, at + offsetAt(at))) at = walk(open, at, offsetAt)
  return at
}

/** One byte a minute of the week that starts on Monday, 1 where it is open. */
function minutesOfWeek(windows: Schedule['windows']): Uint8Array {
  const open = new Uint8Array(WEEK_MINUTES)
  for (const { days, from, to } of windows) {
    const [start, stop] = [minutesOf(from), minutesOf(to)]
    const length = stop > start ? stop - start : stop + DAY_MINUTES - start
    for (const day of days) {
      const first = DAYS.indexOf(day) * DAY_MINUTES + start
      for (let minute = first; minute < first + length; minute++) open[minute % WEEK_MINUTES] = 1
    }
  }
  return open
}

function minutesOf(clock: string): number {
  const [hours, minutes] = clock.split(':')
  return Number(hours) * 60 + Number(minutes)
}

/** `wallMs`: the wall time, as if it were UTC. */
function isOpen(open: Uint8Array, wallMs: number): boolean {
  return open[minuteOfWeek(wallMs)] === 1
}

function minuteOfWeek(wallMs: number): number {
  const minutes = Math.floor(wallMs / MINUTE_MS)
  // The epoch was a Thursday.
  return (((minutes + 3 * DAY_MINUTES) % WEEK_MINUTES) + WEEK_MINUTES) % WEEK_MINUTES
}

/** From an open instant to the end of its stretch, a change of the offset, or a day later; the nearest of them. */
function walk(open: Uint8Array, at: number, offsetAt: (ms: number) => number): number {
  const offset = offsetAt(at)
  const wall = at + offset
  const minute = minuteOfWeek(wall)
  let length = 1
  while (length < DAY_MINUTES && open[(minute + length) % WEEK_MINUTES] === 1) length++
  const end = (Math.floor(wall / MINUTE_MS) + length) * MINUTE_MS - offset
  return offsetAt(end) === offset ? end : changeBetween(at, end, offsetAt)
}

/** The first millisecond of another offset than that of `from`; the zone changes once between them. */
function changeBetween(from: number, to: number, offsetAt: (ms: number) => number): number {
  const offset = offsetAt(from)
  let [before, after] = [from, to]
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    if (offsetAt(middle) === offset) before = middle
    else after = middle
  }
  return after
}

/** Wall time minus UTC, in milliseconds. */
function offsets(timeZone: string): (ms: number) => number {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    calendar: 'iso8601',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric'
  })
  return (ms) => {
    const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]))
    const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0
    const wall = Date.UTC(
      part('year'),
      part('month') - 1,
      part('day'),
      part('hour'),
      part('minute'),
      part('second')
    )
    // Intl has no fractions of a second.
    return wall - Math.floor(ms / 1000) * 1000
  }
}
