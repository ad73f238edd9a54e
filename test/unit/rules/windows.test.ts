import { expect } from 'chai'
import fc from 'fast-check'
import { accessRules } from '../../../src/rules/index.ts'
import { openUntil } from '../../../src/rules/windows.ts'

type Windows = Parameters<typeof openUntil>[0]['windows']

const HOUR = 3600_000
const at = (iso: string) => Date.parse(iso)
const until = (windows: Windows, timeZone: string, iso: string) => {
  const end = openUntil({ windows, timeZone }, at(iso))
  return end === undefined || end === Infinity ? end : new Date(end).toISOString()
}

describe('rules: windows', () => {
  const nights: Windows = [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '18:00', to: '08:00' }]

  it('run into the next day, and end when they say', () => {
    // 2026-01-14 is a Wednesday.
    expect(until(nights, 'UTC', '2026-01-14T17:59:59Z')).to.equal(undefined)
    expect(until(nights, 'UTC', '2026-01-14T18:00:00Z')).to.equal('2026-01-15T08:00:00.000Z')
    expect(until(nights, 'UTC', '2026-01-15T07:59:59.999Z')).to.equal('2026-01-15T08:00:00.000Z')
    expect(until(nights, 'UTC', '2026-01-15T08:00:00Z')).to.equal(undefined)
    expect(until(nights, 'UTC', '2026-01-17T03:00:00Z'), 'Friday night').to.equal('2026-01-17T08:00:00.000Z')
    expect(until(nights, 'UTC', '2026-01-18T20:00:00Z'), 'Sunday').to.equal(undefined)
  })

  it('are read in their time zone', () => {
    expect(until(nights, 'Asia/Tokyo', '2026-01-14T09:00:00Z')).to.equal('2026-01-14T23:00:00.000Z')
    expect(until(nights, 'America/St_Johns', '2026-01-14T21:30:00Z')).to.equal('2026-01-15T11:30:00.000Z')
  })

  it('that touch are one', () => {
    const all = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
    expect(until([{ days: [...all], from: '00:00', to: '24:00' }], 'UTC', '2026-01-14T18:00:00Z')).to.equal(
      Infinity
    )
    expect(until([], 'UTC', '2026-01-14T18:00:00Z')).to.equal(Infinity)
    const weekend: Windows = [
      { days: ['sat', 'sun'], from: '00:00', to: '24:00' },
      { days: ['mon'], from: '00:00', to: '06:00' }
    ]
    expect(until(weekend, 'UTC', '2026-01-17T12:00:00Z')).to.equal('2026-01-19T06:00:00.000Z')
    const sixDays: Windows = [
      { days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat'], from: '00:00', to: '24:00' }
    ]
    expect(until(sixDays, 'UTC', '2026-01-12T00:00:00Z')).to.equal('2026-01-18T00:00:00.000Z')
  })

  it('follow the wall clock over the hour that is left out (Berlin, 29 March 2026, 02:00 to 03:00)', () => {
    const sunday = (from: string, to: string): Windows => [{ days: ['sun'], from, to }]
    expect(until(sunday('01:00', '04:00'), 'Europe/Berlin', '2026-03-29T00:00:00Z')).to.equal(
      '2026-03-29T02:00:00.000Z'
    )
    expect(until(sunday('01:30', '02:30'), 'Europe/Berlin', '2026-03-29T00:30:00Z')).to.equal(
      '2026-03-29T01:00:00.000Z'
    )
    for (const time of ['00:59', '01:00', '01:15', '01:30'])
      expect(until(sunday('02:10', '02:40'), 'Europe/Berlin', `2026-03-29T${time}:00Z`), time).to.equal(
        undefined
      )
  })

  it('follow the wall clock through the hour that comes twice (Berlin, 25 October 2026, 03:00 back to 02:00)', () => {
    const sunday = (from: string, to: string): Windows => [{ days: ['sun'], from, to }]
    expect(until(sunday('01:00', '04:00'), 'Europe/Berlin', '2026-10-24T23:00:00Z')).to.equal(
      '2026-10-25T03:00:00.000Z'
    )
    expect(until(sunday('02:00', '03:00'), 'Europe/Berlin', '2026-10-25T00:00:00Z'), 'both of them').to.equal(
      '2026-10-25T02:00:00.000Z'
    )
    const late = sunday('02:30', '03:30')
    expect(until(late, 'Europe/Berlin', '2026-10-25T00:30:00Z'), 'the clock leaves the window').to.equal(
      '2026-10-25T01:00:00.000Z'
    )
    expect(until(late, 'Europe/Berlin', '2026-10-25T01:15:00Z'), 'outside again').to.equal(undefined)
    expect(until(late, 'Europe/Berlin', '2026-10-25T01:30:00Z'), 'inside again').to.equal(
      '2026-10-25T02:30:00.000Z'
    )
  })

  it('follow the half hour of Lord Howe', () => {
    const sunday: Windows = [{ days: ['sun'], from: '00:00', to: '12:00' }]
    // 5 April 2026: back from 02:00 (+11) to 01:30 (+10:30).
    expect(until(sunday, 'Australia/Lord_Howe', '2026-04-04T13:00:00Z')).to.equal('2026-04-05T01:30:00.000Z')
  })

  const zones = [
    'UTC',
    'Europe/Berlin',
    'America/St_Johns',
    'Australia/Lord_Howe',
    'Asia/Kathmandu',
    'Pacific/Apia'
  ]
  const clock = fc
    .tuple(fc.integer({ min: 0, max: 23 }), fc.constantFrom(0, 15, 30, 59))
    .map(([h, m]) => `${String(h).padStart(2, '0')}:${String(m).padStart(2, '0')}`)
  const anyWindow = fc
    .record({
      days: fc.uniqueArray(fc.constantFrom('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'), {
        minLength: 1
      }),
      from: clock,
      to: clock
    })
    .filter(({ from, to }) => from !== to)

  /** The slow and simple definition: does the clock on the wall show a time in a window? */
  function wallClockIsInside(windows: Windows, timeZone: string, ms: number): boolean {
    const text = new Intl.DateTimeFormat('en-US', {
      timeZone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23'
    }).format(ms)
    const [, day, time] = /^(\w{3}),? (\d\d:\d\d)$/.exec(text)!
    const names = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
    const today = day!.toLowerCase()
    const yesterday = names[(names.indexOf(today) + 6) % 7]!
    return windows.some(({ days, from, to }) => {
      const list: readonly string[] = days
      if (from < to) return list.includes(today) && from <= time! && time! < to
      return (list.includes(today) && from <= time!) || (list.includes(yesterday) && time! < to)
    })
  }

  it('are open from now to the end they give, minute by minute, and closed there', () => {
    const aroundChanges = fc.constantFrom(
      '2026-03-29T00:00Z',
      '2026-10-25T00:00Z',
      '2026-04-04T12:00Z',
      '2026-03-08T05:00Z',
      '2026-11-01T03:00Z'
    )
    fc.assert(
      fc.property(
        fc.array(anyWindow, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(...zones),
        aroundChanges,
        fc.integer({ min: -48 * 60, max: 48 * 60 }),
        (windows, timeZone, day, minutes) => {
          const now = at(day) + minutes * 60_000
          const list = windows as Windows
          const end = openUntil({ windows: list, timeZone }, now)
          expect(end !== undefined, 'open now').to.equal(wallClockIsInside(list, timeZone, now))
          if (end === undefined || end === Infinity) return
          expect(end).to.be.above(now)
          expect(wallClockIsInside(list, timeZone, end), 'closed at the end').to.equal(false)
          const stop = Math.min(end, now + 36 * HOUR)
          for (let time = now; time < stop; time += 5 * 60_000)
            expect(wallClockIsInside(list, timeZone, time), `${time}`).to.equal(true)
          expect(wallClockIsInside(list, timeZone, end - 1)).to.equal(true)
        }
      ),
      { numRuns: 150 }
    )
  })

  it('come out of the schema with a real zone only', () => {
    const { shape } = accessRules
    for (const zone of zones) expect(shape.timeZone.safeParse(zone).success, zone).to.equal(true)
    for (const zone of ['', 'Mars', '../../etc/localtime', 'x'.repeat(65)])
      expect(shape.timeZone.safeParse(zone).success, zone).to.equal(false)
  })
})
