/**
 * From events in a guest to its log on the host: how many a second none of which is shed; and what a kernel that logs
 * everything takes longer to boot than the same kernel unstamped.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { shell } from '../test/helpers/guests.ts'
import { watchedGuests, type WatchedGuests } from '../test/helpers/watched-guests.ts'
import { row, type BenchContext, type Row } from './report.ts'

/** Each is one record of 64 bytes; the class that they are of has room for 2048. */
const EVENTS = 20_000

/** @returns records a second, as the guest made them */
async function flood(watched: WatchedGuests): Promise<number> {
  const log = await watched.log()
  const guest = await watched.boot(log)
  try {
    const startedAt = performance.now()
    await guest.server.run(shell(`./set-clock ${EVENTS}`))
    const state = { isOver: false }
    const over = guest.listener.exited.then(() => (state.isOver = true))
    while (!state.isOver) {
      await log.collector.take()
      await delay(1)
    }
    await over
    const seconds = (performance.now() - startedAt) / 1000
    await guest.server.powerOff()
    await guest.server.ended
    await log.collector.finish()
    const records = await log.records()
    if (records.some(({ kind }) => kind === 'shed')) throw new Error('records were shed')
    return records.filter(({ kind }) => kind === 'clock').length / seconds
  } finally {
    await guest.server.kill()
  }
}

/** @returns milliseconds from the launch to the first answer of guest init */
async function boot(watched: WatchedGuests, isStamped: boolean): Promise<number> {
  const startedAt = performance.now()
  const { server } = isStamped ? await watched.boot(await watched.log()) : await watched.guests.start()
  const ms = performance.now() - startedAt
  await server.kill()
  return ms
}

export async function bench({ samples }: BenchContext): Promise<Row[]> {
  await using watched = await watchedGuests()
  const stamped: number[] = []
  const plain: number[] = []
  const rates: number[] = []
  for (let i = 0; i < samples; i++) {
    stamped.push(await boot(watched, true))
    plain.push(await boot(watched, false))
    rates.push(await flood(watched))
  }
  return [
    row('records logged, sealed and kept, none shed', '1/s', rates),
    row('boot with everything logged, against the same kernel unstamped', 'ms', stamped, plain)
  ]
}
