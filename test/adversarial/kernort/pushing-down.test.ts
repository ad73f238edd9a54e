/**
 * Attacker: bad luck of every kind, and a guest's root that makes more events than can be kept.
 * Asset: what a guest's kernel has sealed; and the guest's time.
 * Expected: whatever is killed, and however full the disk is, all that was pushed down is read and whole; the guest
 * runs on; what memory has no room for is shed, counted and told, and what comes later is logged again.
 */
import { expect } from 'chai'
import { execa } from 'execa'
import { stat } from 'node:fs/promises'
import { setImmediate, setTimeout as delay } from 'node:timers/promises'
import type { LogRecord } from '../../../soda-host/logs/index.ts'
import type { Guest } from '../../helpers/guests.ts'
import { shell } from '../../helpers/guests.ts'
import { requires } from '../../helpers/capabilities.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { watchedGuests, type WatchedGuests } from '../../helpers/watched-guests.ts'

/** The smallest spool that a kernel takes, rounded up. */
const SMALL_FILE_BYTES = 160 * 1024
const SLOW_MS = 200

function count(records: readonly LogRecord[], kind: LogRecord['kind']): number {
  return records.filter((record) => record.kind === kind).length
}

/** Sum over the records that tell of shed ones of a class. */
function shedOf(records: readonly LogRecord[], shedClass: number): number {
  return records
    .filter(({ kind, fields }) => kind === 'shed' && fields['class'] === shedClass)
    .reduce((sum, { fields }) => sum + Number(fields['records']), 0)
}

async function end({ server }: Guest): Promise<void> {
  await server.powerOff()
  await server.ended
}

describe('Pushing down a sealed log', function () {
  this.timeout(120_000)

  let watched: WatchedGuests

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    watched = await watchedGuests()
  })

  after(async () => {
    // Not there when the test was skipped.
    const made = watched as WatchedGuests | undefined
    await made?.[Symbol.asyncDispose]()
  })

  it('keeps what a killed guest had pushed, and the next boot goes on behind it', async () => {
    const log = await watched.log()
    for (let boot = 0; boot < 3; boot++) {
      const guest = await watched.boot(log)
      await guest.server.run(shell('./set-clock 100000000'))
      // More than a boot makes: it is in the middle of pushing down.
      for (const before = log.store.end; log.store.end < before + 300_000;) {
        await log.collector.take()
        await delay(10)
      }
      await guest.server.kill()
      await log.collector.finish()
    }
    const last = await watched.boot(log)
    await end(last)
    await log.collector.finish()
    const report = await log.verify()
    expect(report).to.deep.include({ isWhole: true, isEnded: true })
    expect(report.findings.map(({ kind }) => kind)).to.deep.equal(['unended', 'unended', 'unended'])
    const records = await log.records()
    expect(count(records, 'boot')).to.equal(4)
    expect(count(records, 'clock')).to.be.above(100)
    expect(records.at(-1)).to.deep.include({ kind: 'shutdown', boot: 3 })
  })

  it('sheds what nobody takes, counts it, and logs again when there is room', async () => {
    const times = 20_000
    const log = await watched.log({ fileBytes: SMALL_FILE_BYTES })
    const guest = await watched.boot(log)
    await guest.server.run(shell(`./set-clock ${times}; read line; ./set-clock 2`))
    // Nobody takes anything, and yet the guest comes to its end.
    await guest.listener.until((listener) => listener.text('stdout').includes(`set ${times} times`))
    for (const path of guest.spec.log?.spool ?? [])
      expect((await stat(path)).size).to.be.within(SMALL_FILE_BYTES, 2 * SMALL_FILE_BYTES)
    await log.collector.take()
    await guest.server.stdin(0, Buffer.from('go on\n'))
    await guest.listener.exited
    const ended = end(guest).then(() => true)
    // Both files may be full again: its last words need room.
    while (!(await Promise.race([ended, log.collector.take()]))) await setImmediate()
    await log.collector.finish()
    const report = await log.verify()
    expect(report).to.deep.include({ isWhole: true, isEnded: true, findings: [] })
    const records = await log.records()
    const shed = shedOf(records, 0)
    expect(shed).to.be.above(1000)
    expect(count(records, 'clock') + shed).to.equal(times + 2)
    expect(records.at(-1)?.kind).to.equal('shutdown')
  })

  it('goes on beside a reader that is slower than the guest: each record is there, or counted', async () => {
    const times = 20_000
    const log = await watched.log({ fileBytes: SMALL_FILE_BYTES })
    const guest = await watched.boot(log)
    await guest.server.run(shell(`./set-clock ${times}`))
    const exited = guest.listener.exited.then(() => true)
    // As a disk that keeps it waiting.
    while (!(await Promise.race([exited, delay(SLOW_MS, false)]))) await log.collector.take()
    const ended = end(guest).then(() => true)
    while (!(await Promise.race([ended, log.collector.take()]))) await setImmediate()
    await log.collector.finish()
    expect(await log.verify()).to.deep.include({ isWhole: true, isEnded: true, findings: [] })
    const records = await log.records()
    expect(count(records, 'clock') + shedOf(records, 0)).to.equal(times)
    expect(count(records, 'clock')).to.be.above(1000)
  })

  it('waits for a full disk to have room, without holding the guest up', async () => {
    await using directory = await temporaryDirectory()
    const times = 1000
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=711', 'tmpfs', directory.path])
    try {
      const log = await watched.log({ directory: directory.path })
      const guest = await watched.boot(log)
      await guest.server.run(shell(`./set-clock ${times}; read line`))
      await guest.listener.until((listener) => listener.text('stdout').includes(`set ${times} times`))
      await execa('mount', ['-o', 'remount,size=8m', directory.path])
      await guest.server.stdin(0, Buffer.from('go on\n'))
      await guest.listener.exited
      await end(guest)
      await log.collector.finish()
      expect(await log.verify()).to.deep.include({ isWhole: true, isEnded: true, findings: [] })
      expect(count(await log.records(), 'clock')).to.equal(times)
    } finally {
      await execa('umount', ['--lazy', directory.path])
    }
  })
})
