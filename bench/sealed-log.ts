/**
 * From events in a guest to its log on the host: how many a second none of which is shed; and how large the records of
 * each kind are, in a guest that does everything that is written down.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { stat } from 'node:fs/promises'
import { KIND_LAYOUTS, type LogRecord } from '../soda-host/logs/index.ts'
import { RECORD_HEADER_BYTES } from '../soda-host/logs/record-layout.ts'
import { MIB } from '../src/constants.ts'
import { guestProgram } from '../test/helpers/guest-program.ts'
import { shell } from '../test/helpers/guests.ts'
import { watchedGuest } from '../test/helpers/watched-guest.ts'
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

/** Bytes of every record, by its kind, as one guest writes them; and bytes of the log for each of theirs. */
async function volume(): Promise<{ bytes: Map<string, number[]>; sealing: number }> {
  await using watched = await watchedGuest({ memoryBytes: 96 * MIB })
  const { channel, listener, ended } = watched.guest
  await channel.putFile(await guestProgram('acts', 'test/fixtures/kernort/acts.c'))
  await channel.run({ argv: ['/work/acts'], env: { LANG: 'C' } })
  await Promise.race([listener.exited, listener.until(() => /^done 0$/m.test(listener.text('stdout')))])
  await channel.powerOff()
  await ended
  const { records } = await watched.read()
  const bytes = new Map<string, number[]>()
  for (const record of records) bytes.set(record.kind, [...(bytes.get(record.kind) ?? []), sizeOf(record)])
  const sum = [...bytes.values()].flat().reduce((total, size) => total + size, 0)
  return { bytes, sealing: (await stat(watched.files.log)).size / sum }
}

/** As docs/formats/sealed-log.md has it: header, fields, tails behind their lengths, in eights. */
function sizeOf({ kind, tails }: LogRecord): number {
  const layout = KIND_LAYOUTS.find(({ name }) => name === kind)
  const content = Object.values(tails).reduce((sum, tail) => sum + 4 + tail.length, layout?.size ?? 0)
  return 8 * Math.ceil((RECORD_HEADER_BYTES + content) / 8)
}

export async function bench({ samples }: BenchContext): Promise<Row[]> {
  await using watched = await watchedGuests()
  const rates: number[] = []
  for (let i = 0; i < samples; i++) rates.push(await flood(watched))
  const { bytes, sealing } = await volume()
  return [
    row('records logged, sealed and kept, none shed', '1/s', rates),
    ...[...bytes].map(([kind, sizes]) => row(`a record of kind ${kind}`, 'bytes', sizes)),
    row('bytes of the log for each byte of its records', '', [sealing])
  ]
}
