import { expect } from 'chai'
import fc from 'fast-check'
import {
  formatDuration,
  formatRate,
  formatSize,
  parseDuration,
  parseRate,
  parseSize
} from '../../../src/config/index.ts'
import { codeOf } from '../../helpers/errors.ts'

describe('config: quantities', () => {
  it('reads sizes in powers of 1024', () => {
    const cases: [string, number][] = [
      ['0', 0],
      ['4096', 4096],
      ['512M', 512 * 1024 ** 2],
      ['512m', 512 * 1024 ** 2],
      ['2G', 2 * 1024 ** 3],
      ['1.5 GiB', 1.5 * 1024 ** 3],
      ['64KB', 65_536],
      [' 1T ', 1024 ** 4]
    ]
    for (const [text, bytes] of cases) expect(parseSize(text), text).to.equal(bytes)
  })

  it('reads rates in powers of 1000', () => {
    expect(parseRate('10M')).to.equal(10_000_000)
    expect(parseRate('1.5 Gbit/s')).to.equal(1_500_000_000)
    expect(parseRate('64000')).to.equal(64_000)
  })

  it('reads durations', () => {
    const cases: [string, number][] = [
      ['90', 90],
      ['90s', 90],
      ['10m', 600],
      ['2h', 7200],
      ['1h30m', 5400],
      ['1h 30m', 5400],
      ['3d', 259_200],
      ['1w 1d 1h 1m 1s', 694_861]
    ]
    for (const [text, seconds] of cases) expect(parseDuration(text), text).to.equal(seconds)
  })

  it('refuses everything else, saying what is expected', async () => {
    const bad = [
      '',
      ' ',
      '-1',
      '1e9',
      'lots',
      '1X',
      'M',
      '0x10',
      '1,5G',
      '9999999P',
      '1'.repeat(100),
      'NaN',
      'Infinity'
    ]
    for (const parse of [parseSize, parseRate, parseDuration])
      for (const text of bad) expect(await codeOf(() => parse(text)), text).to.equal('ERR_CONFIG_VALUE')
    for (const text of ['5m2h', '1h1h', '1.5h', '10 minutes'])
      expect(await codeOf(() => parseDuration(text))).to.equal('ERR_CONFIG_VALUE')
    expect(() => parseSize('lots')).to.throw(/expected a size such as 512M or 2G, got "lots"/)
  })

  it('writes them for people', () => {
    expect([0, 100, 1023, 1024, 1536, 512 * 1024 ** 2, 1024 ** 3 - 1].map(formatSize)).to.deep.equal([
      '0 B',
      '100 B',
      '1023 B',
      '1 KiB',
      '1.5 KiB',
      '512 MiB',
      '1 GiB'
    ])
    expect([0, 64_000, 10_000_000].map(formatRate)).to.deep.equal(['0 bit/s', '64 Kbit/s', '10 Mbit/s'])
    expect([0, 45, 60, 5400, 86_400, 90_061, 3599.7, 604_800].map(formatDuration)).to.deep.equal([
      '0s',
      '45s',
      '1m',
      '1h 30m',
      '1d',
      '1d 1h',
      '1h',
      '7d'
    ])
  })

  it('reads what it wrote, to within the digits shown', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 50 }), (n) => {
        expect(parseSize(formatSize(n))).to.be.closeTo(n, n * 0.05)
        expect(parseRate(formatRate(n))).to.be.closeTo(n, n * 0.05)
        const seconds = n % (400 * 86_400)
        expect(parseDuration(formatDuration(seconds))).to.be.closeTo(seconds, seconds * 0.05)
      })
    )
  })
})
