import { expect } from 'chai'
import fc from 'fast-check'
import { effectiveRates, UNLIMITED_BITS_PER_SECOND } from '../../../soda-host/switch/bandwidth.ts'

describe('bandwidth to the outside', () => {
  it('is what is guaranteed, and up to all of the slice what others leave', () => {
    expect(effectiveRates({ outboundBitsPerSecond: 2e6 }, 10e6)).to.deep.equal({ rate: 2e6, ceiling: 10e6 })
    const capped = { outboundBitsPerSecond: 2e6, outboundMaxBitsPerSecond: 3e6 }
    expect(effectiveRates(capped, 10e6)).to.deep.equal({ rate: 2e6, ceiling: 3e6 })
  })

  it('is nothing but what others leave where nothing is guaranteed', () => {
    for (const rates of [{}, { outboundBitsPerSecond: 0 }])
      expect(effectiveRates(rates, 10e6)).to.deep.equal({ rate: 0, ceiling: 10e6 })
  })

  it('is nothing at all with a ceiling of 0, a slice of 0, or a guarantee of 0 and nothing to borrow from', () => {
    const nothing = { rate: 0, ceiling: 0 }
    const guaranteed = { outboundBitsPerSecond: 1e6 }
    expect(effectiveRates({ ...guaranteed, outboundMaxBitsPerSecond: 0 }, 10e6)).to.deep.equal(nothing)
    expect(effectiveRates(guaranteed, 0)).to.deep.equal(nothing)
    expect(effectiveRates({ outboundBitsPerSecond: 0 }, undefined)).to.deep.equal(nothing)
  })

  it('is unbounded only where neither owner nor lease says anything', () => {
    const all = UNLIMITED_BITS_PER_SECOND
    expect(effectiveRates({}, undefined)).to.deep.equal({ rate: all, ceiling: all })
    expect(effectiveRates({ outboundBitsPerSecond: 5 }, undefined)).to.deep.equal({ rate: 5, ceiling: 5 })
  })

  it('never guarantees more than the ceiling, nor lets more through than the slice', () => {
    const amount = fc.option(fc.nat(1e9), { nil: undefined })
    fc.assert(
      fc.property(amount, amount, amount, (guaranteed, most, slice) => {
        const rates = { outboundBitsPerSecond: guaranteed, outboundMaxBitsPerSecond: most }
        const { rate, ceiling } = effectiveRates(rates, slice)
        expect(rate).to.be.within(0, ceiling)
        expect(rate).to.be.at.most(guaranteed ?? UNLIMITED_BITS_PER_SECOND)
        expect(ceiling).to.be.at.most(Math.min(most ?? Infinity, slice ?? UNLIMITED_BITS_PER_SECOND))
      })
    )
  })
})
