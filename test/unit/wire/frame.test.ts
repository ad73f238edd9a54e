import { expect } from 'chai'
import fc from 'fast-check'
import { DATA_FRAME_BYTES_MAX, MESSAGE_BYTES_MAX } from '../../../src/constants.ts'
import { ByteQueue } from '../../../src/wire/byte-queue.ts'
import { encodeFrame, FrameDecoder, type RawFrame } from '../../../src/wire/frame.ts'
import { JSON_DEPTH_MAX, parseJson } from '../../../src/wire/json.ts'

const frame: fc.Arbitrary<RawFrame> = fc.oneof(
  fc.record({
    kind: fc.constant('message' as const),
    payload: fc.uint8Array({ minLength: 1, maxLength: 300 })
  }),
  fc.record({ kind: fc.constant('ping' as const) }),
  fc.record({
    kind: fc.constant('data' as const),
    channel: fc.integer({ min: 0, max: 15 }),
    offset: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    data: fc.uint8Array({ minLength: 1, maxLength: 300 })
  })
)

function decodeAll(bytes: Uint8Array, cuts: number): RawFrame[] {
  const decoder = new FrameDecoder()
  const frames: RawFrame[] = []
  for (let at = 0; at < bytes.length; at += cuts) {
    decoder.push(bytes.subarray(at, at + cuts))
    for (let next = decoder.next(); next !== undefined; next = decoder.next()) frames.push(next)
  }
  expect(decoder.isBetweenFrames).to.equal(true)
  return frames
}

const plain = (frames: RawFrame[]): unknown =>
  frames.map((each) => {
    if (each.kind === 'message') return { ...each, payload: [...each.payload] }
    return each.kind === 'data' ? { ...each, data: [...each.data] } : each
  })

function header(length: number, type: number): Uint8Array {
  const bytes = Buffer.alloc(5)
  bytes.writeUInt32LE(length, 0)
  bytes.writeUInt8(type, 4)
  return bytes
}

describe('frames', () => {
  it('come out as they went in, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 10 }), fc.integer({ min: 1, max: 400 }), (frames, cuts) => {
        const bytes = Buffer.concat(frames.map((each) => encodeFrame(each)))
        expect(plain(decodeAll(bytes, cuts))).to.deep.equal(plain(frames))
      })
    )
  })

  it('survive any bytes: frames, more wanted, or a typed refusal', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const decoder = new FrameDecoder()
        decoder.push(bytes)
        try {
          while (decoder.next() !== undefined);
        } catch (error) {
          expect(error).to.have.property('code').that.is.oneOf(['ERR_WIRE_SIZE', 'ERR_WIRE_FORMAT'])
        }
      })
    )
  })

  it('are refused by their length, before a byte of them has come', () => {
    for (const [length, type, code] of [
      [MESSAGE_BYTES_MAX + 1, 0, 'ERR_WIRE_SIZE'],
      [0, 0, 'ERR_WIRE_SIZE'],
      [1, 1, 'ERR_WIRE_SIZE'],
      [8, 16, 'ERR_WIRE_SIZE'],
      [DATA_FRAME_BYTES_MAX + 9, 31, 'ERR_WIRE_SIZE'],
      [0xffffffff, 16, 'ERR_WIRE_SIZE'],
      [10, 2, 'ERR_WIRE_FORMAT'],
      [10, 32, 'ERR_WIRE_FORMAT'],
      [10, 255, 'ERR_WIRE_FORMAT']
    ] as const) {
      const decoder = new FrameDecoder()
      decoder.push(header(length, type))
      expect(() => decoder.next(), `${length} ${type}`)
        .to.throw()
        .with.property('code', code)
    }
  })

  it('with an offset beyond what a number holds are refused', () => {
    const bytes = Buffer.alloc(14, 0xff)
    bytes.set(header(9, 16), 0)
    const decoder = new FrameDecoder()
    decoder.push(bytes)
    expect(() => decoder.next())
      .to.throw()
      .with.property('code', 'ERR_WIRE_FORMAT')
  })

  it('larger than allowed are not even made', () => {
    const data = new Uint8Array(DATA_FRAME_BYTES_MAX + 1)
    expect(() => encodeFrame({ kind: 'data', channel: 0, offset: 0, data }))
      .to.throw()
      .with.property('code', 'ERR_WIRE_SIZE')
  })
})

describe('the queue of bytes', () => {
  it('gives what was put in, in any pieces', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 20 })),
        fc.infiniteStream(fc.nat(30)),
        (chunks, sizes) => {
          const queue = new ByteQueue()
          for (const chunk of chunks) queue.push(chunk)
          const out: Uint8Array[] = []
          for (const size of sizes) {
            if (queue.byteLength === 0) break
            out.push(queue.take(Math.min(size + 1, queue.byteLength)))
          }
          expect(Buffer.concat(out).equals(Buffer.concat(chunks))).to.equal(true)
        }
      )
    )
  })
})

describe('JSON of a stranger', () => {
  it('is parsed as JSON.parse would, up to a depth', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), (text) => {
        expect(parseJson(Buffer.from(text))).to.deep.equal(JSON.parse(text))
      })
    )
  })

  it('is refused when it is too deep, not UTF-8 or no JSON', () => {
    const deep = (depth: number): Buffer => Buffer.from('['.repeat(depth) + ']'.repeat(depth))
    expect(parseJson(deep(JSON_DEPTH_MAX))).to.be.an('array')
    expect(parseJson(Buffer.from(`"${'['.repeat(100)}\\"${'{'.repeat(100)}"`))).to.be.a('string')
    for (const bytes of [
      deep(JSON_DEPTH_MAX + 1),
      deep(60_000),
      Buffer.from([0x22, 0xff, 0x22]),
      Buffer.from('{')
    ])
      expect(() => parseJson(bytes))
        .to.throw()
        .with.property('code', 'ERR_WIRE_FORMAT')
  })
})
