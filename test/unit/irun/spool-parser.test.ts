import { expect } from 'chai'
import fc from 'fast-check'
import { SpoolParser } from '../../../irun/consumer/spool-parser.ts'
import type { RunOutput } from '../../../irun/index.ts'

interface Piece {
  stream: 1 | 2
  data: Uint8Array
}

function spoolOf(pieces: Piece[]): Buffer {
  return Buffer.concat(
    pieces.flatMap(({ stream, data }) => {
      const header = Buffer.alloc(5)
      header.writeUInt32LE(data.length, 0)
      header.writeUInt8(stream, 4)
      return [header, data]
    })
  )
}

function joined(output: RunOutput[], stream: 'stdout' | 'stderr'): Buffer {
  return Buffer.concat(output.flatMap((piece) => (piece.stream === stream ? [piece.data] : [])))
}

const pieces = fc.array(
  fc.record({
    stream: fc.constantFrom<1 | 2>(1, 2),
    data: fc.uint8Array({ minLength: 1, maxLength: 30 })
  })
)

describe('the reader of a spool', () => {
  it('reads the same however the spool is cut, and goes on from a clone', () => {
    fc.assert(
      fc.property(pieces, fc.integer({ min: 1, max: 40 }), (frames, step) => {
        const spool = spoolOf(frames)
        let parser = new SpoolParser()
        const output: RunOutput[] = []
        for (let at = 0; at < spool.length; at += step) {
          parser = parser.clone()
          output.push(...parser.push(spool.subarray(at, at + step)))
        }
        for (const [stream, number] of [
          ['stdout', 1],
          ['stderr', 2]
        ] as const) {
          const data = Buffer.concat(
            frames.filter((frame) => frame.stream === number).map((frame) => frame.data)
          )
          expect(joined(output, stream).equals(data)).to.equal(true)
        }
        expect(parser.isWhole).to.equal(true)
        expect(parser.dataBytes).to.equal(frames.reduce((sum, { data }) => sum + data.length, 0))
      })
    )
  })

  it('refuses frames of no length and of unknown streams', () => {
    for (const header of [
      [0, 0, 0, 0, 1],
      [1, 0, 0, 0, 0],
      [1, 0, 0, 0, 3]
    ])
      expect(() => new SpoolParser().push(Uint8Array.from(header)))
        .to.throw()
        .with.property('code', 'ERR_PROVIDER_DISHONEST')
  })

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          new SpoolParser().push(bytes)
        } catch (error) {
          expect(error).to.have.property('code', 'ERR_PROVIDER_DISHONEST')
        }
      })
    )
  })
})
