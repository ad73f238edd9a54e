import { expect } from 'chai'
import fc from 'fast-check'
import { isIShareError } from '../../../src/errors.ts'
import { createLogKey } from '../../../src/identity/index.ts'
import {
  logOpener,
  readLog,
  recordJson,
  verifyLog,
  type LogEntry,
  type LogReaderInit,
  type LogRecord
} from '../../../soda-host/logs/index.ts'
import { FRAME_BYTES_MAX } from '../../../soda-host/logs/frame-layout.ts'
import { FrameScanner } from '../../../soda-host/logs/frame-scanner.ts'
import { parseRecords } from '../../../soda-host/logs/record-parser.ts'
import { requires } from '../../helpers/capabilities.ts'
import { buildHarness, bytesOf, SealScript, twoBoots, type Harness } from '../../helpers/sealer.ts'

async function entriesOf(log: Uint8Array[], init: LogReaderInit): Promise<LogEntry[]> {
  return Array.fromAsync(readLog(log, init))
}

async function recordsOf(log: Uint8Array[], init: LogReaderInit): Promise<LogRecord[]> {
  return (await entriesOf(log, init)).flatMap((entry) => (entry.type === 'record' ? [entry.record] : []))
}

describe('Reader of sealed logs', () => {
  const key = createLogKey()
  const escrow = createLogKey()
  let harness: Harness
  let log: Buffer
  let init: LogReaderInit

  before(async function () {
    requires(this, 'libcrypto')
    this.timeout(60_000)
    harness = buildHarness()
    log = twoBoots([key, escrow]).seal(harness)
    init = { opener: await logOpener(key) }
  })
  after(() => harness.remove())

  it('opens what kernort sealed, in order, over epochs and boots', async () => {
    const records = await recordsOf([log], init)
    expect(records.map(({ boot, number }) => `${boot}.${number}`)).to.deep.equal([
      ...Array.from({ length: 13 }, (_, i) => `0.${i}`),
      ...Array.from({ length: 7 }, (_, i) => `1.${i}`)
    ])
    expect(recordJson(records[0]!)).to.include({
      time: '2023-11-14T22:13:20.000Z',
      kind: 'exec',
      comm: 'sh',
      pid: 7,
      path: '/bin/sh',
      arguments: 'sh\0-c\0echo 0\0'
    })
    const report = await verifyLog([log], init)
    expect(report).to.deep.include({ isWhole: true, findings: [], frames: 14, records: 20, isEnded: true })
  })

  it('opens for every recipient, and for nobody else', async () => {
    expect(await recordsOf([log], { opener: await logOpener(escrow) })).to.have.length(20)
    const stranger = await entriesOf([log], { opener: await logOpener(createLogKey()) })
    expect(stranger.filter(({ type }) => type === 'record')).to.be.empty
  })

  it('reads the same however the bytes come', async () => {
    const whole = await entriesOf([log], init)
    const bytewise = Array.from(log, (byte) => Uint8Array.of(byte))
    expect(await entriesOf(bytewise, init)).to.deep.equal(whole)
  })

  it('cuts a record that is too long, and says so', async () => {
    const script = new SealScript('long', [key]).boot(0).epoch()
    script.record({ kind: 'syslog', tails: [bytesOf('x', 40_000)] }).frame('end')
    const [record] = await recordsOf([script.seal(harness)], init)
    expect(record).to.include({ isCut: true })
    expect(record!.tails['text']!.length).to.be.within(32_000, 32_768)
  })

  it('reads any record of any kind that a guest can make', async () => {
    const tail = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
    await fc.assert(
      fc.asyncProperty(fc.array(tail, { minLength: 1, maxLength: 6 }), async (tails) => {
        const script = new SealScript('any', [key]).boot(0).epoch()
        for (const text of tails) script.record({ kind: 'tty', fields: { direction: 2 }, tails: [text] })
        const records = await recordsOf([script.frame('end').seal(harness)], init)
        expect(records.map(({ tails: { data } }) => data)).to.deep.equal(tails)
      }),
      { numRuns: 20 }
    )
  })

  it('gives records or a typed error for any opened bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        try {
          for (const record of parseRecords(Buffer.from(bytes), 0)) expect(record.number).to.be.a('bigint')
        } catch (error) {
          expect(isIShareError(error) && error.code).to.equal('ERR_LOG_FORMAT')
        }
      }),
      { numRuns: 500 }
    )
  })

  it('never throws on any bytes, and accounts for every one of them', async () => {
    const pieces = fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc.constant(Buffer.from('\x8bKRNTFR\n', 'latin1')),
        fc.nat(log.length).map((at) => log.subarray(at, at + 150)),
        fc.constant(log.subarray(0, 128))
      ),
      { maxLength: 12 }
    )
    await fc.assert(
      fc.asyncProperty(pieces, async (chunks) => {
        const scanner = new FrameScanner()
        const scanned = chunks.flatMap((chunk) => [...scanner.push(chunk)]).concat([...scanner.end()])
        const told = scanned.reduce(
          (sum, one) => sum + ('gap' in one ? one.gap.bytes : one.frame.bytes.length),
          0
        )
        expect(told).to.equal(Buffer.concat(chunks).length)
        await verifyLog(chunks, init)
      }),
      { numRuns: 100 }
    )
  })

  it('finds every frame that is left, whatever single byte is damaged', async () => {
    const records = await recordsOf([log], init)
    for (let at = 0; at < log.length; at += 37) {
      const damaged = Buffer.from(log)
      damaged[at]! ^= 0x40
      const left = await recordsOf([damaged], init)
      expect((await verifyLog([damaged], init)).isWhole, `byte ${at}`).to.equal(false)
      // A frame of two records, or an epoch of three such frames where its beginning is hit.
      expect(left.length, `byte ${at}`).to.be.at.least(records.length - 7)
    }
  }).timeout(60_000)

  it('holds one frame at most, whatever it is fed', () => {
    const scanner = new FrameScanner()
    // A header that claims the longest frame, again and again.
    const header = Buffer.from(log.subarray(0, 128))
    header.writeUInt8(2, 9)
    header.writeUInt32LE(0, 12)
    header.writeUInt32LE(65536, 16)
    for (let i = 0; i < 2000; i++) {
      for (const _scanned of scanner.push(header));
      expect(scanner.bufferedBytes).to.be.below(2 * FRAME_BYTES_MAX + 128)
    }
  })
})
