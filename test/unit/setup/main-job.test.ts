import { join } from 'node:path'
import { expect } from 'chai'
import { fit, readMagnitudes } from '../../../src/setup/gutenberg-richter.ts'
import { words } from '../../../src/setup/steps.ts'

const CATALOGUE = join(import.meta.dirname, '../../../examples/earthquakes/usgs-week-2018-02.csv')

describe('the main job', () => {
  it('finds the b-value that a catalogue was made from', () => {
    // Magnitudes of an exact Gutenberg-Richter law with b = 1, complete from 2.0, drawn at even quantiles.
    const magnitudes = Array.from({ length: 20_000 }, (_, i) => 1.95 - Math.log10((i + 0.5) / 20_000))
    const { bValue, magnitudeOfCompleteness } = fit(magnitudes)
    expect(magnitudeOfCompleteness).to.equal(2.2)
    expect(bValue).to.be.closeTo(1, 0.02)
  })

  it('reads the networks it is told to from the catalogue, and no others', async () => {
    expect(await readMagnitudes(CATALOGUE, ['nc', 'ci'])).to.have.length(747)
    expect(await readMagnitudes(CATALOGUE, ['zz'])).to.have.length(0)
  })

  it('keeps what is put into a line one argument', () => {
    expect(words`run --out ${'a b'} -- x`).to.deep.equal(['run', '--out', 'a b', '--', 'x'])
  })
})
