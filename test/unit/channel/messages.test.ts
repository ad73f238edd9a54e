import { expect } from 'chai'
import fc from 'fast-check'
import {
  decodeEntryHead,
  decodeErrno,
  decodeExit,
  decodeGuestHello,
  decodePath,
  encodeEntry,
  encodeRun,
  encodeSignal,
  encodeSize
} from '../../../soda-host/virtual-server/channel-messages.ts'
import { ENTRY_BYTES, GUEST_HELLO_BYTES } from '../../../soda-host/virtual-server/frames.ts'
import { codeOf } from '../../helpers/errors.ts'
import { guestHello } from '../../helpers/scripted-guest.ts'

describe('messages of the control channel', () => {
  it('decode a hello, and refuse one that contradicts itself', async () => {
    const hello = decodeGuestHello(guestHello({ commandsDone: 3, stdinReceived: 9, stdinTaken: 4 }))
    expect(hello).to.include({ commandsDone: 3, stdinReceived: 9, stdinTaken: 4, isStarted: false })
    for (const lie of [
      { magic: 1 },
      { version: 2 },
      { stdinReceived: 1, stdinTaken: 2 },
      { outputProduced: 1, outputAcked: 2 },
      { isUploadDone: true, uploadErrno: -1 },
      { isUploadDone: true, uploadErrno: 4096 }
    ])
      expect(await codeOf(() => decodeGuestHello(guestHello(lie))), JSON.stringify(lie)).to.equal(
        'ERR_CHANNEL_FORMAT'
      )
  })

  it('decode any hello of random bytes or refuse it with one code', () => {
    const bytes = fc.uint8Array({ minLength: GUEST_HELLO_BYTES, maxLength: GUEST_HELLO_BYTES })
    fc.assert(
      fc.property(bytes, (random) => {
        const payload = Buffer.from(random)
        guestHello().copy(payload, 0, 0, 6)
        try {
          const hello = decodeGuestHello(payload)
          for (const value of Object.values(hello))
            if (typeof value === 'number') expect(value).to.be.least(0)
        } catch (error) {
          expect(error).to.have.property('code', 'ERR_CHANNEL_FORMAT')
        }
      })
    )
  })

  it('carry an entry there and back', () => {
    const file = { kind: 'file', mode: 0o640, sizeBytes: 2 ** 40, path: 'a/ü' } as const
    const bytes = encodeEntry(file)
    const { pathBytes, ...head } = decodeEntryHead(bytes.subarray(0, ENTRY_BYTES))
    expect({ ...head, path: decodePath(bytes.subarray(ENTRY_BYTES)) }).to.deep.equal(file)
    expect(pathBytes).to.equal(bytes.length - ENTRY_BYTES)
  })

  it('refuse an entry that no honest guest makes', async () => {
    const good = encodeEntry({ kind: 'directory', mode: 0o755, sizeBytes: 0, path: 'd' }).subarray(
      0,
      ENTRY_BYTES
    )
    const broken = (change: (bytes: Buffer) => void): Buffer => {
      const bytes = Buffer.from(good)
      change(bytes)
      return bytes
    }
    for (const bytes of [
      broken((b) => b.writeUInt8(3, 0)),
      broken((b) => b.writeUInt16LE(0o4755, 2)),
      broken((b) => b.writeUInt32LE(0, 4)),
      broken((b) => b.writeUInt32LE(5000, 4)),
      broken((b) => b.writeBigUInt64LE(1n, 8)),
      broken((b) => b.writeBigUInt64LE(2n ** 60n, 8)),
      good.subarray(1)
    ])
      expect(await codeOf(() => decodeEntryHead(bytes))).to.equal('ERR_CHANNEL_FORMAT')
  })

  it('refuse paths that lead elsewhere', async () => {
    for (const path of ['/etc', '..', '../x', 'a/../b', 'a/..', './a', 'a//b', 'a/', '.', 'a\0b'])
      expect(await codeOf(() => decodePath(Buffer.from(path))), path).to.equal('ERR_CHANNEL_FORMAT')
    expect(decodePath(Buffer.from('a..b/...'))).to.equal('a..b/...')
    expect(decodePath(Buffer.of(0x61, 0xff))).to.equal('a\uFFFD')
  })

  it('decode an exit, and refuse kinds and signals that do not exist', async () => {
    expect(decodeExit(Buffer.of(0, 255))).to.deep.equal({ kind: 'status', status: 255 })
    expect(decodeExit(Buffer.of(1, 9))).to.deep.equal({ kind: 'signal', signal: 9 })
    for (const bytes of [Buffer.of(1, 0), Buffer.of(1, 65), Buffer.of(2, 0)])
      expect(await codeOf(() => decodeExit(bytes))).to.equal('ERR_CHANNEL_FORMAT')
  })

  it('refuse what is no errno', async () => {
    expect(decodeErrno(Buffer.of(28, 0, 0, 0))).to.equal(28)
    for (const bytes of [Buffer.of(255, 255, 255, 255), Buffer.of(0, 16, 0, 0), Buffer.of(1)])
      expect(await codeOf(() => decodeErrno(bytes))).to.equal('ERR_CHANNEL_FORMAT')
  })

  it('encode a program, and refuse one that cannot be sent', async () => {
    const bytes = encodeRun({ argv: ['a', 'ü'], env: { K: 'v' }, terminal: { columns: 80, rows: 24 } })
    expect(bytes.toString('latin1')).to.equal('\x01\0\x50\0\x18\0\x02\0\x01\0\0\0a\0\xc3\xbc\0K=v\0')
    for (const program of [
      { argv: [], env: {} },
      { argv: new Array<string>(1025).fill('a'), env: {} },
      { argv: ['a\0b'], env: {} },
      { argv: ['a'], env: { K: '\0' } },
      { argv: ['x'.repeat(256 * 1024)], env: {} }
    ])
      expect(await codeOf(() => encodeRun(program))).to.equal('ERR_HOST_REQUEST')
  })

  it('refuse signals and sizes that do not exist', async () => {
    for (const signal of [0, 65, -1, 1.5, NaN])
      expect(await codeOf(() => encodeSignal(signal))).to.equal('TypeError')
    for (const columns of [-1, 65_536, 1.5])
      expect(await codeOf(() => encodeSize({ columns, rows: 1 }))).to.equal('TypeError')
  })
})
