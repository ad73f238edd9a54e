import { expect } from 'chai'
import fc from 'fast-check'
import {
  encodeHeader,
  FRAME_HEADER_BYTES,
  type Frame,
  FrameDecoder,
  FrameType,
  GUEST_FRAMES,
  HOST_FRAMES,
  PAYLOAD_BYTES_MAX
} from '../../../soda-host/virtual-server/frames.ts'
import { codeOf } from '../../helpers/errors.ts'

const position = fc.oneof(fc.nat(), fc.maxSafeNat())

/** Frames as an honest guest may send them. */
const guestFrame: fc.Arbitrary<Frame> = fc
  .constantFrom(...GUEST_FRAMES.entries())
  .chain(([type, [min, max]]) =>
    fc.record({
      type: fc.constant(type as FrameType),
      sequence: position,
      position,
      payload: fc.uint8Array({ minLength: min, maxLength: Math.min(max, 2000) })
    })
  )

function encode({ type, sequence, position, payload }: Frame): Buffer {
  return Buffer.concat([encodeHeader(type, payload.length, sequence, position), payload])
}

/** `bytes` cut at random places. */
function split(bytes: Buffer, cuts: number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b)
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end))
}

function decodeAll(chunks: Iterable<Uint8Array>, allowed = GUEST_FRAMES): Frame[] {
  const decoder = new FrameDecoder(allowed)
  const frames: Frame[] = []
  for (const chunk of chunks)
    for (const { payload, ...head } of decoder.push(chunk))
      frames.push({ ...head, payload: Uint8Array.from(payload) })
  return frames
}

describe('frames of the control channel', () => {
  it('come out as they went in, however the stream is split', () => {
    const frames = fc.array(guestFrame, { maxLength: 20 })
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { maxLength: 40 }), (sent, cuts) => {
        expect(decodeAll(split(Buffer.concat(sent.map(encode)), cuts))).to.deep.equal(sent)
      })
    )
  })

  it('come out byte by byte', () => {
    const sent: Frame = { type: FrameType.stdout, sequence: 0, position: 5, payload: Buffer.from('abc') }
    const bytes = encode(sent)
    expect(decodeAll([...bytes].map((byte) => Buffer.of(byte)))).to.deep.equal([
      { ...sent, payload: Uint8Array.from(sent.payload) }
    ])
  })

  it('are decoded or refused with one code, whatever the bytes', () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 10 })
    fc.assert(
      fc.property(chunks, (garbage) => {
        try {
          decodeAll(garbage)
        } catch (error) {
          expect(error).to.have.property('code', 'ERR_CHANNEL_FORMAT')
        }
      })
    )
  })

  it('longer than the limit are refused before their payload comes', async () => {
    for (const length of [PAYLOAD_BYTES_MAX + 1, 2 ** 31, 2 ** 32 - 1])
      expect(await codeOf(() => decodeAll([encodeHeader(FrameType.stdout, length)]))).to.equal(
        'ERR_CHANNEL_FORMAT'
      )
    expect(decodeAll([encodeHeader(FrameType.stdout, PAYLOAD_BYTES_MAX)])).to.deep.equal([])
  })

  it('of the other side are refused', async () => {
    const hostOnly = [...HOST_FRAMES.keys()].filter((type) => !GUEST_FRAMES.has(type))
    expect(hostOnly).to.have.length.above(5)
    for (const type of hostOnly) {
      const [length = 0] = HOST_FRAMES.get(type) ?? []
      const bytes = encode({
        type: type as FrameType,
        sequence: 1,
        position: 0,
        payload: Buffer.alloc(length)
      })
      expect(await codeOf(() => decodeAll([bytes]))).to.equal('ERR_CHANNEL_FORMAT')
      expect(decodeAll([bytes], HOST_FRAMES)).to.have.length(1)
    }
  })

  it('with an empty payload where data belongs are refused', async () => {
    for (const type of [FrameType.stdout, FrameType.stderr, FrameType.download])
      expect(await codeOf(() => decodeAll([encodeHeader(type, 0)]))).to.equal('ERR_CHANNEL_FORMAT')
  })

  it('with counters beyond 2^53 or a reserved field are refused', async () => {
    for (const [offset, value] of [
      [8, 2n ** 53n],
      [16, 2n ** 64n - 1n]
    ] as const) {
      const header = encodeHeader(FrameType.commandAck, 0)
      header.writeBigUInt64LE(value, offset)
      expect(await codeOf(() => decodeAll([header]))).to.equal('ERR_CHANNEL_FORMAT')
    }
    const header = encodeHeader(FrameType.commandAck, 0)
    header.writeUInt16LE(1, 6)
    expect(await codeOf(() => decodeAll([header]))).to.equal('ERR_CHANNEL_FORMAT')
  })

  it('have a header of the documented size', () => {
    expect(encodeHeader(FrameType.exit, 2, 3, 4)).to.have.length(FRAME_HEADER_BYTES)
    expect(encodeHeader(FrameType.exit, 2, 3, 4).toString('hex')).to.equal(
      '02000000420000000300000000000000' + '0400000000000000'
    )
  })
})
