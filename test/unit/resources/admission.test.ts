import { expect } from 'chai'
import fc from 'fast-check'
import { admit, promised, type Slice } from '../../../soda-host/resources/admission.ts'

const TOTAL: Slice = { cpu: 2, memoryBytes: 1000, diskBytes: 5000, servers: 3 }
const small = { cpu: 0.5, memoryBytes: 100, diskBytes: 100 }

describe('admission', () => {
  it('admits exactly up to the slice and not beyond', () => {
    expect(admit(TOTAL, [], { cpu: 2, memoryBytes: 1000, diskBytes: 5000 })).to.deep.equal({ isRoom: true })
    expect(admit(TOTAL, [], { cpu: 2, memoryBytes: 1001, diskBytes: 5000 })).to.deep.equal({
      isRoom: false,
      short: [{ limit: 'memoryBytes', asked: 1001, free: 1000 }]
    })
  })

  it('names every limit that is short', () => {
    const answer = admit(TOTAL, [small, small, small], { cpu: 1, memoryBytes: 900, diskBytes: 10_000 })
    expect(answer.isRoom ? [] : answer.short.map(({ limit }) => limit)).to.deep.equal([
      'cpu',
      'memoryBytes',
      'diskBytes',
      'servers'
    ])
  })

  it('guarantees no more bandwidth than the slice has, where it says how much that is', () => {
    const asked = { ...small, outboundBitsPerSecond: 6e6 }
    const total = { ...TOTAL, outboundBitsPerSecond: 10e6 }
    expect(admit(total, [small], asked)).to.deep.equal({ isRoom: true })
    expect(admit(total, [asked], asked)).to.deep.equal({
      isRoom: false,
      short: [{ limit: 'outboundBitsPerSecond', asked: 6e6, free: 4e6 }]
    })
    expect(admit({ ...total, outboundBitsPerSecond: 0 }, [], small)).to.deep.equal({ isRoom: true })
    expect(admit(TOTAL, [asked], asked)).to.deep.equal({ isRoom: true })
    expect(admit(total, [], { ...small, outboundBitsPerSecond: Number.NaN }).isRoom).to.equal(false)
  })

  it('adds decimal fractions without a rounding refusal', () => {
    const tenth = { cpu: 0.1, memoryBytes: 0, diskBytes: 0 }
    const total = { ...TOTAL, cpu: 1, servers: 100 }
    const nine = Array.from({ length: 9 }, () => tenth)
    expect(admit(total, nine, tenth).isRoom).to.equal(true)
    expect(admit(total, [...nine, tenth], tenth).isRoom).to.equal(false)
  })

  for (const wrong of [Number.NaN, -1, Number.POSITIVE_INFINITY])
    it(`never admits ${wrong}`, () => {
      expect(admit(TOTAL, [], { ...small, cpu: wrong }).isRoom).to.equal(false)
      expect(admit(TOTAL, [], { ...small, memoryBytes: wrong }).isRoom).to.equal(false)
    })

  it('never promises more than the slice, whatever is asked in whatever order', () => {
    const request = fc.record({
      cpu: fc.double({ min: 0.05, max: 3, noNaN: true }),
      memoryBytes: fc.nat(1200),
      diskBytes: fc.nat(6000)
    })
    fc.assert(
      fc.property(fc.array(request, { maxLength: 30 }), (requests) => {
        const admitted: typeof requests = []
        for (const asked of requests) if (admit(TOTAL, admitted, asked).isRoom) admitted.push(asked)
        const sum = promised(admitted)
        expect(sum.cpu).to.be.at.most(TOTAL.cpu + 1e-4)
        expect(sum.memoryBytes).to.be.at.most(TOTAL.memoryBytes)
        expect(sum.diskBytes).to.be.at.most(TOTAL.diskBytes)
        expect(sum.servers).to.be.at.most(TOTAL.servers)
      })
    )
  })
})
