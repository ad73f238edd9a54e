/**
 * Attacker: the landlord, who stores the log, has every file (the kernel image with the tenant's public keys, the
 * log, older copies of it, logs of other servers), and can run kernort's own sealing code.
 * Asset: what the log says, and that it is all of it.
 * Expected: nothing opens without the tenant's key; whatever is cut out, dropped, moved, repeated, spliced in or
 * sealed anew is told, at its place, and every record that is given out is one that the guest wrote, once.
 */
import { expect } from 'chai'
import fc from 'fast-check'
import { createLogKey } from '../../../src/identity/index.ts'
import {
  logOpener,
  parseAnchor,
  readLog,
  verifyLog,
  anchorText,
  type LogReaderInit,
  type LogReport
} from '../../../soda-host/logs/index.ts'
import { FrameScanner } from '../../../soda-host/logs/frame-scanner.ts'
import { requires } from '../../helpers/capabilities.ts'
import { buildHarness, bytesOf, SealScript, twoBoots, type Harness } from '../../helpers/sealer.ts'

/** Frames of `twoBoots`: epoch 0 is 0..3, epoch 1 is 4..7, the end of boot 0 is 8, boot 1 is 9..13. */
const SECOND_EPOCH = 4
const FIRST_END = 8
const SECOND_BOOT = 9

function framesOf(log: Buffer): Buffer[] {
  const scanner = new FrameScanner()
  return [...scanner.push(log), ...scanner.end()].flatMap((one) => ('frame' in one ? [one.frame.bytes] : []))
}

function kindsOf({ findings }: LogReport): string[] {
  return findings.map(({ kind }) => kind)
}

describe('A landlord with every file, against a sealed log', () => {
  const key = createLogKey()
  let harness: Harness
  let init: LogReaderInit
  let frames: Buffer[]
  let genuine: Map<string, string>

  async function recordTexts(log: Buffer, reader: LogReaderInit = init): Promise<Map<string, string>> {
    const texts = new Map<string, string>()
    for await (const entry of readLog([log], reader)) {
      if (entry.type !== 'record') continue
      const { boot, number } = entry.record
      const name = `${boot}.${number}`
      expect(texts.has(name), `${name} twice`).to.equal(false)
      texts.set(
        name,
        JSON.stringify(entry.record, (_key, value: unknown) =>
          typeof value === 'bigint' ? String(value) : value
        )
      )
    }
    return texts
  }

  /** What the reader says of a log, once it is sure that it gives out nothing but what the guest wrote. */
  async function verdict(parts: readonly Buffer[], reader: LogReaderInit = init): Promise<LogReport> {
    const log = Buffer.concat(parts)
    for (const [name, text] of await recordTexts(log, reader)) expect(text).to.equal(genuine.get(name))
    return verifyLog([log], reader)
  }

  before(async function () {
    requires(this, 'libcrypto')
    this.timeout(60_000)
    harness = buildHarness()
    init = { opener: await logOpener(key) }
    const log = twoBoots([key]).seal(harness)
    frames = framesOf(log)
    genuine = await recordTexts(log)
    expect(genuine.size).to.equal(20)
  })
  after(() => harness.remove())

  it('reads nothing: no text of a record stands in the log, and no other key opens it', async () => {
    const log = Buffer.concat(frames)
    for (const text of ['/bin/sh', 'echo', 'line 1', 'init']) expect(log.includes(text)).to.equal(false)
    const stranger = { opener: await logOpener(createLogKey()) }
    expect(await recordTexts(log, stranger)).to.be.empty
    expect(kindsOf(await verifyLog([log], stranger))).to.include('not-for-key')
  })

  it('drops any one frame: told, with its number', async () => {
    for (let i = 0; i < frames.length - 1; i++) {
      const report = await verdict(frames.toSpliced(i, 1))
      expect(report.isWhole, `frame ${i}`).to.equal(false)
      if (i !== FIRST_END) expect(kindsOf(report), `frame ${i}`).to.include('missing')
    }
  })

  it('drops the last frames of a boot: told by the boot that follows', async () => {
    expect(kindsOf(await verdict(frames.toSpliced(FIRST_END, 1)))).to.deep.equal(['unended', 'broken-chain'])
    expect(kindsOf(await verdict(frames.toSpliced(6, 3)))).to.include('broken-chain')
  })

  it('cuts the tail at any byte: told, against a head that the tenant knows', async () => {
    const whole = await verdict(frames)
    const anchor = parseAnchor(anchorText(whole.head!))!
    const log = Buffer.concat(frames)
    for (let at = 0; at < log.length; at += 131) {
      const report = await verdict([log.subarray(0, at)], { ...init, anchors: [anchor] })
      expect(report.isWhole, `cut at ${at}`).to.equal(false)
      expect(report.isEnded && report.frames === frames.length).to.equal(false)
    }
    expect((await verdict(frames, { ...init, anchors: [anchor] })).isWhole).to.equal(true)
  })

  it('drops a whole boot, or the beginning of the log: told', async () => {
    expect(kindsOf(await verdict(frames.slice(SECOND_BOOT)))).to.include('missing')
    expect(kindsOf(await verdict(frames.slice(3)))).to.include('missing')
  })

  it('gives up the beginning of the log, as retention does: no loss if the head before it is known', async () => {
    const head = anchorText((await verdict(frames.slice(0, SECOND_EPOCH))).head!)
    const anchors = [parseAnchor(head)!]
    expect((await verdict(frames.slice(SECOND_EPOCH), { ...init, anchors })).isWhole).to.equal(true)
  })

  it('swaps any two frames: told', async () => {
    for (let i = 0; i < frames.length; i++)
      for (let j = i + 1; j < frames.length; j++) {
        const swapped = frames.with(i, frames[j]!).with(j, frames[i]!)
        expect((await verdict(swapped)).isWhole, `${i} and ${j}`).to.equal(false)
      }
  }).timeout(60_000)

  it('repeats a frame, an epoch or an older boot: told, and its records are not given out again', async () => {
    expect(kindsOf(await verdict(frames.toSpliced(3, 0, frames[2]!)))).to.deep.equal(['repeated'])
    const olderEpoch = await verdict([...frames.slice(0, 8), ...frames.slice(0, 4), ...frames.slice(8)])
    expect(new Set(kindsOf(olderEpoch))).to.include('repeated')
    const olderBoot = await verdict([...frames, ...frames.slice(0, SECOND_BOOT)])
    expect(new Set(kindsOf(olderBoot))).to.include('repeated')
  })

  it('puts an older boot in the place of a newer one: told', async () => {
    const older = await verdict([...frames.slice(0, SECOND_BOOT), ...frames.slice(0, SECOND_BOOT)])
    expect(kindsOf(older)).to.include('repeated')
  })

  it('splices the log of another server of the same tenant: told, and none of it is given out', async () => {
    const other = framesOf(twoBoots([key], 'another').seal(harness))
    const spliced = await verdict([...frames.slice(0, 6), ...other.slice(6, 8), ...frames.slice(6)])
    expect(kindsOf(spliced)).to.deep.equal(['foreign', 'foreign'])
    const whole = { ...init, serverId: bytesOf('two boots', 16).toString('hex') }
    expect(await recordTexts(Buffer.concat(other), whole)).to.be.empty
  })

  it('seals epochs of its own to the same tenant, behind genuine ones: told, and none of it is given out', async () => {
    const [last] = [...new FrameScanner().push(frames[SECOND_EPOCH - 1]!)]
    for (const epoch of [1, 2]) {
      const script = new SealScript('forged', [key]).boot(0, 'two boots')
      script.forgeBehind('frame' in last! ? last.frame : expect.fail('no frame'), epoch)
      script
        .epoch()
        .record({ kind: 'klog', tails: ['forged'] })
        .frame('end')
      const forged = framesOf(script.seal(harness))
      const report = await verdict([...frames.slice(0, SECOND_EPOCH), ...forged])
      expect(kindsOf(report), `epoch ${epoch}`).to.include('unlinked')
    }
  })

  it('seals the whole log anew: told, against any head that the tenant knows', async () => {
    const anchors = [(await verdict(frames.slice(0, 1))).head!]
    const anew = twoBoots([key], 'anew', 3, 'two boots').seal(harness)
    expect((await verifyLog([anew], init)).isWhole).to.equal(true)
    expect(kindsOf(await verifyLog([anew], { ...init, anchors }))).to.deep.equal(['anchor'])
  })

  it('changes any bit: told, and what is given out stays genuine', async () => {
    const log = Buffer.concat(frames)
    await fc.assert(
      fc.asyncProperty(fc.nat(log.length - 1), fc.nat(7), async (at, bit) => {
        const changed = Buffer.from(log)
        changed[at]! ^= 1 << bit
        expect((await verdict([changed])).isWhole, `bit ${bit} of byte ${at}`).to.equal(false)
      }),
      { numRuns: 300 }
    )
  }).timeout(60_000)

  it('cuts, moves and repeats at random: told, unless nothing was changed', async () => {
    const log = Buffer.concat(frames)
    const slice = fc
      .tuple(fc.nat(log.length), fc.nat(log.length))
      .map(([a, b]) => log.subarray(Math.min(a, b), Math.max(a, b)))
    await fc.assert(
      fc.asyncProperty(fc.array(slice, { maxLength: 5 }), async (parts) => {
        const changed = Buffer.concat(parts)
        const report = await verdict([changed], {
          ...init,
          anchors: [{ bootNumber: 1, frameNumber: 4n, head: '0'.repeat(64) }]
        })
        expect(report.isWhole).to.equal(false)
      }),
      { numRuns: 100 }
    )
  }).timeout(60_000)

  it('without a key sees order and chain, and what they tell', async () => {
    expect((await verifyLog(frames, {})).isWhole).to.equal(true)
    expect(kindsOf(await verifyLog(frames.toSpliced(5, 1), {}))).to.include('missing')
    expect(kindsOf(await verifyLog(frames.toSpliced(FIRST_END, 1), {}))).to.include('broken-chain')
  })
})
