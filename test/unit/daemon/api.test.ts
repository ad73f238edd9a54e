import { expect } from 'chai'
import fc from 'fast-check'
import * as api from '../../../soda-host/daemon/api.ts'
import { serverSpec } from '../../helpers/daemon/server-spec.ts'

describe('the shape of a server spec', () => {
  const good = serverSpec('true')

  function refused(changes: object): boolean {
    return !api.serverSpec.safeParse({ ...good, ...changes }).success
  }

  it('takes a good one unchanged', () => {
    expect(api.serverSpec.parse(good)).to.deep.equal(good)
  })

  it('refuses ids that could be paths, or too long for a socket', () => {
    for (const id of [
      '',
      'short',
      '../../../../etc/passwd',
      'a/b/c/d/e/f/g/h/i',
      'A'.repeat(20),
      '-'.repeat(20),
      'a'.repeat(65),
      'a'.repeat(15)
    ])
      expect(refused({ id }), id).to.equal(true)
  })

  it('refuses limits that are no numbers, or out of range', () => {
    for (const cpu of [0, -1, 0.01, 65, Number.NaN, Infinity, '1', null])
      expect(refused({ limits: { ...good.limits, cpu } }), String(cpu)).to.equal(true)
    for (const memoryBytes of [0, -1, 1.5, 2 ** 51, 31 * 2 ** 20])
      expect(refused({ limits: { ...good.limits, memoryBytes } }), String(memoryBytes)).to.equal(true)
    expect(refused({ limits: { ...good.limits, processesMax: 0 } })).to.equal(true)
  })

  it('refuses programs of nothing, of too much, and with a NUL', () => {
    for (const program of [
      { argv: [], env: {} },
      { argv: ['a\0b'], env: {} },
      { argv: Array<string>(1025).fill('x'), env: {} },
      { argv: ['x'], env: { 'A=B': '' } },
      { argv: ['x'], env: { '': '' } },
      { argv: ['x'], env: { A: 'b\0' } },
      { argv: ['x'], env: {}, terminal: { columns: 0, rows: 1 } },
      { argv: ['x'], env: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`V${i}`, ''])) }
    ])
      expect(refused({ program }), JSON.stringify(program).slice(0, 60)).to.equal(true)
  })

  it('refuses results that go before the lease ends, and fields that it does not know', () => {
    expect(refused({ keepUntilMs: good.expiresAtMs - 1 })).to.equal(true)
    expect(refused({ isPrivileged: true })).to.equal(true)
  })

  it('never crashes on anything', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(api.serverSpec.safeParse(value).success).to.equal(false)
      })
    )
  })
})

describe('the shape of a query', () => {
  it('takes whole numbers only', () => {
    expect(api.outputQuery.parse({ offset: '12', follow: 'true' })).to.deep.equal({
      offset: 12,
      follow: true
    })
    for (const offset of ['', '-1', '1.5', '1e3', ' 1', '0x10', '9'.repeat(20), 'NaN'])
      expect(api.outputQuery.safeParse({ offset }).success, offset).to.equal(false)
  })
})
