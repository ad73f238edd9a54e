import { appendFile, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { createLogKey } from '../../../src/identity/index.ts'
import { LogError } from '../../../src/errors.ts'
import {
  LogStore,
  NEW_COLLECTOR,
  SpoolCollector,
  logOpener,
  readLogFiles,
  verifyLog,
  type CollectorState,
  type LogAttachment
} from '../../../soda-host/logs/index.ts'
import {
  FRAME_LOOK_WORK_BYTES,
  LOG_BUDGET,
  SPOOL_LOOK_WORK_BYTES,
  type Budget
} from '../../../soda-host/resources/host-work.ts'
import { FRAME_MAGIC } from '../../../soda-host/logs/frame-layout.ts'
import { FrameScanner } from '../../../soda-host/logs/frame-scanner.ts'
import { headAfter } from '../../../soda-host/logs/epoch.ts'
import { requires } from '../../helpers/capabilities.ts'
import { HurriedClock } from '../../helpers/hurried-clock.ts'
import { codeOf } from '../../helpers/errors.ts'
import { buildHarness, bytesOf, twoBoots, type Harness } from '../../helpers/sealer.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const FILE_BYTES = 2000

/** As spool_user.c writes: whole frames to one file until it is full, then to the other if that is empty. */
class SpoolWriter {
  readonly #paths: LogAttachment['spool']
  #active: 0 | 1 = 0

  constructor({ spool }: LogAttachment) {
    this.#paths = spool
  }

  /** @returns false when both files are full */
  async write(frame: Uint8Array): Promise<boolean> {
    if ((await this.#size(this.#active)) >= FILE_BYTES) {
      const next = this.#active === 0 ? 1 : 0
      if ((await this.#size(next)) > 0) return false
      this.#active = next
    }
    await appendFile(this.#paths[this.#active], frame)
    return true
  }

  async #size(file: 0 | 1): Promise<number> {
    return (await stat(this.#paths[file])).size
  }
}

/** Says that it was killed when it is asked to do the step of that number. */
class Mortal {
  readonly #store: LogStore
  #left: number
  saved: CollectorState

  constructor(store: LogStore, saved: CollectorState, left = Infinity) {
    this.#store = store
    this.saved = saved
    this.#left = left
  }

  get end(): number {
    return this.#store.end
  }

  read(from: number, to: number): AsyncGenerator<Uint8Array> {
    return this.#store.read(from, to)
  }

  async sync(): Promise<void> {
    this.#step()
  }

  /** Killed in the middle, it leaves half. */
  async append(bytes: Uint8Array): Promise<void> {
    const half = Math.floor(bytes.length / 2)
    await this.#store.append(bytes.subarray(0, half))
    this.#step()
    await this.#store.append(bytes.subarray(half))
    this.#step()
  }

  save(state: CollectorState): void {
    this.#step()
    this.saved = state
    this.#step()
  }

  #step(): void {
    if (this.#left-- <= 0) throw new LogError('ERR_LOG_ACCESS', 'killed')
  }
}

describe('Collector of a spool', () => {
  const key = createLogKey()
  let harness: Harness
  let frames: Buffer[]
  let second: number
  let whole: Buffer

  before(function () {
    requires(this, 'libcrypto')
    harness = buildHarness()
    const scanner = new FrameScanner()
    whole = twoBoots([key], 'spooled', 6).seal(harness)
    const scanned = [...scanner.push(whole), ...scanner.end()].flatMap((each) =>
      'frame' in each ? [each.frame] : []
    )
    frames = scanned.map(({ bytes }) => bytes)
    second = scanned.findIndex(({ header }) => header.bootNumber === 1)
  })

  after(() => (harness as Harness | undefined)?.remove())

  interface World extends AsyncDisposable {
    log: string
    store: LogStore
    /** By which guests are held to their budget. */
    clock: HurriedClock
    /** What takes over after `state`; dies at step `left`. */
    next(state: CollectorState, left?: number): { collector: SpoolCollector; mortal: Mortal }
    content(): Promise<Buffer>
  }

  async function world(): Promise<World> {
    const resources = new AsyncDisposableStack()
    const { path } = resources.use(await temporaryDirectory())
    const log = join(path, 'log')
    const store = resources.use(await LogStore.open({ directory: log, bytesMax: 1 << 20 }))
    const clock = new HurriedClock()
    return {
      log,
      store,
      clock,
      next(state, left) {
        const mortal = new Mortal(store, state, left)
        const save = (saved: CollectorState): void => mortal.save(saved)
        const init = { store: mortal, directory: join(path, 'spool'), state, save, fileBytes: FILE_BYTES }
        return { collector: new SpoolCollector({ ...init, work: { clock } }), mortal }
      },
      content: async () => Buffer.concat(await Array.fromAsync(store.read(0, store.end))),
      [Symbol.asyncDispose]: () => resources.disposeAsync()
    }
  }

  it('takes every frame of two boots once, and tells the second boot where the first one stood', async () => {
    await using here = await world()
    const { collector } = here.next(NEW_COLLECTOR)
    const first = await collector.begin()
    expect(first).to.deep.include({ bootNumber: 0 })
    expect(first).to.not.have.property('previousHead')
    let writer = new SpoolWriter(first)
    for (const frame of frames.slice(0, second)) while (!(await writer.write(frame))) await collector.take()
    await collector.finish()
    const next = await collector.begin()
    const [last] = new FrameScanner().push(frames[second - 1]!)
    expect(next.bootNumber).to.equal(1)
    expect(next.previousHead).to.equal(last !== undefined && 'frame' in last && headAfter(last.frame))
    writer = new SpoolWriter(next)
    for (const frame of frames.slice(second)) while (!(await writer.write(frame))) await collector.take()
    await collector.finish()
    expect((await here.content()).equals(whole)).to.equal(true)
    const report = await verifyLog(readLogFiles(here.log), { opener: await logOpener(key) })
    expect(report).to.deep.include({ isWhole: true, isEnded: true, findings: [] })
  })

  it('takes every frame once, at whatever step it is killed', async () => {
    for (let step = 0; ; step++) {
      await using here = await world()
      let { collector, mortal } = here.next(NEW_COLLECTOR)
      const writer = new SpoolWriter(await collector.begin())
      ;({ collector, mortal } = here.next(mortal.saved, step))
      const deaths: unknown[] = []
      const attempt = async (action: () => Promise<void>): Promise<void> => {
        try {
          await action()
        } catch (error) {
          deaths.push(error)
          ;({ collector, mortal } = here.next(mortal.saved))
        }
      }
      const take = (): Promise<void> => attempt(() => collector.take())
      for (const frame of frames.slice(0, second)) while (!(await writer.write(frame))) await take()
      await take()
      await attempt(() => collector.finish())
      if (deaths.length > 0) await collector.finish()
      expect((await here.content()).equals(Buffer.concat(frames.slice(0, second))), `step ${step}`).to.equal(
        true
      )
      if (deaths.length === 0) {
        expect(step).to.be.above(10)
        return
      }
    }
  })

  it('goes on with the other file when a file was emptied and filled again before anybody knew', async () => {
    await using here = await world()
    const begun = here.next(NEW_COLLECTOR)
    const writer = new SpoolWriter(await begun.collector.begin())
    const pending = frames.slice(0, second)
    while (await writer.write(pending[0]!)) pending.shift()
    // Dies when the first file was emptied and is to be left.
    const dying = here.next(begun.mortal.saved, 2)
    expect(await codeOf(() => dying.collector.take())).to.equal('ERR_LOG_ACCESS')
    while (pending.length > 0 && (await writer.write(pending[0]!))) pending.shift()
    const { collector } = here.next(dying.mortal.saved)
    for (const frame of pending) while (!(await writer.write(frame))) await collector.take()
    await collector.finish()
    expect((await here.content()).equals(Buffer.concat(frames.slice(0, second)))).to.equal(true)
  })

  it('leaves out what a killed guest had not finished, and nothing else', async () => {
    await using here = await world()
    const { collector } = here.next(NEW_COLLECTOR)
    const attachment = await collector.begin()
    const whole3 = Buffer.concat(frames.slice(0, 3))
    await writeFile(attachment.spool[0], Buffer.concat([whole3, frames[3]!.subarray(0, 200)]))
    await collector.take()
    await collector.finish()
    expect((await here.content()).equals(whole3)).to.equal(true)
    expect((await collector.begin()).bootNumber).to.equal(1)
  })

  /** So long must a guest with one CPU have been made to wait for that, in ms. */
  function heldMs({ perSecond, burst }: Budget, workBytes: number): number {
    return ((workBytes - burst) / perSecond) * 1000 - 1000 / 64
  }

  it('takes from a living guest at the rate of its budget: bytes, what may be frames, and looks', async () => {
    const living = new AbortController().signal
    const floods = [
      { bytes: Buffer.alloc(FILE_BYTES), each: FILE_BYTES + SPOOL_LOOK_WORK_BYTES },
      {
        bytes: Buffer.concat(Array.from({ length: 200 }, () => FRAME_MAGIC)),
        each: 170 * (FRAME_MAGIC.length + FRAME_LOOK_WORK_BYTES) + SPOOL_LOOK_WORK_BYTES
      }
    ]
    for (const { bytes, each } of floods) {
      await using here = await world()
      const { collector } = here.next(NEW_COLLECTOR)
      const { spool } = await collector.begin()
      const rounds = Math.ceil((2 * LOG_BUDGET.burst) / each)
      for (let round = 0; round < rounds; round++) {
        await appendFile(spool[0], bytes)
        await collector.take(living)
      }
      expect(here.clock.now()).to.be.at.least(heldMs(LOG_BUDGET, rounds * each))
    }
  })

  it('loses nothing when it is to leave while something is to be paid for', async () => {
    await using here = await world()
    const { collector } = here.next(NEW_COLLECTOR)
    const { spool } = await collector.begin()
    const leave = new AbortController()
    const taking = (async () => {
      // One look after the other, until there is something to wait for.
      for (;;) await collector.take(leave.signal)
    })().catch((error: unknown) => error)
    await appendFile(spool[0], Buffer.concat(frames.slice(0, 3)))
    leave.abort(new LogError('ERR_LOG_ACCESS', 'leaving'))
    expect(await taking).to.have.property('code', 'ERR_LOG_ACCESS')
    await collector.take()
    await collector.finish()
    expect((await here.content()).equals(Buffer.concat(frames.slice(0, 3)))).to.equal(true)
  })

  it('is not led astray by a guest that writes anything', async () => {
    await using here = await world()
    const { collector } = here.next(NEW_COLLECTOR)
    const { spool } = await collector.begin()
    const forged = Buffer.from(frames[0]!)
    forged.writeUInt32LE(77, 44)
    await appendFile(spool[0], Buffer.concat([bytesOf('no frame', 5000), FRAME_MAGIC, forged, frames[0]!]))
    await collector.take()
    // A file that shrinks, and one that grows beyond all measure.
    await truncate(spool[0], 3)
    await collector.take()
    await truncate(spool[0], 1 << 30)
    await appendFile(spool[0], frames[1]!)
    await collector.take()
    expect((await stat(spool[0])).size).to.equal(0)
    await collector.finish()
    expect(here.store.end).to.be.below(2 << 20)
    expect(await readdir(join(here.log, '..'))).to.deep.equal(['log'])
    const { bootNumber } = await collector.begin()
    expect(bootNumber).to.equal(1)
  })
})
