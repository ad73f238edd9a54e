import { expect } from 'chai'
import fc from 'fast-check'
import { DETACH_KEYS, detachKeys, DetachWatch } from '../../../src/cli/detach-keys.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const CTRL_P = '\u0010'
const CTRL_Q = '\u0011'

describe('keys that let go of a run', () => {
  it('are written as in Docker', () => {
    expect([...detachKeys(DETACH_KEYS)]).to.deep.equal([0x10, 0x11])
    expect([...detachKeys('ctrl-a,d')]).to.deep.equal([1, 'd'.charCodeAt(0)])
    expect([...detachKeys('ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_')]).to.deep.equal([
      0, 27, 28, 29, 30, 31
    ])
  })

  for (const bad of ['', 'ctrl-', 'ctrl-P', 'ctrl-1', 'ab', 'ctrl-p,', 'ctrl-p,,q', '\u0010', 'é'])
    it(`are refused as ${JSON.stringify(bad)}`, () => {
      expect(() => detachKeys(bad)).to.throw(/expected keys/)
    })

  it('are found wherever what is typed is cut, and what was typed before them is the program’s', () => {
    for (const cut of [0, 1, 2, 3, 4]) {
      const typed = `ab${CTRL_P}${CTRL_Q}`
      const watch = new DetachWatch(detachKeys(DETACH_KEYS))
      const seen = [typed.slice(0, cut), typed.slice(cut)].map((part) => watch.take(bytes(part)))
      expect(seen.map(({ forward }) => Buffer.from(forward).toString()).join('')).to.equal('ab')
      expect(seen.some(({ isDetached }) => isDetached)).to.equal(true)
    }
  })

  it('are held back only until the next key says that they were none', () => {
    const watch = new DetachWatch(detachKeys(DETACH_KEYS))
    expect([...watch.take(bytes(CTRL_P)).forward]).to.deep.equal([])
    expect([...watch.take(bytes('x')).forward]).to.deep.equal([0x10, 'x'.charCodeAt(0)])
    expect([...watch.take(bytes(CTRL_P + CTRL_P)).forward]).to.deep.equal([0x10])
    expect(watch.take(bytes(CTRL_Q)).isDetached).to.equal(true)
  })

  it('lose nothing of what is typed, and let go at their first occurrence (property)', () => {
    const key = fc.constantFrom('a', 'b')
    fc.assert(
      fc.property(
        fc.array(key, { minLength: 1, maxLength: 4 }),
        fc.array(fc.string({ unit: key })),
        (keys, parts) => {
          const watch = new DetachWatch(detachKeys(keys.join(',')))
          const all = parts.join('')
          const at = all.indexOf(keys.join(''))
          let forwarded = ''
          for (const part of parts) {
            const { forward, isDetached } = watch.take(bytes(part))
            forwarded += Buffer.from(forward).toString()
            if (!isDetached) continue
            expect(forwarded).to.equal(all.slice(0, at))
            return
          }
          expect(at).to.equal(-1)
          expect(all.startsWith(forwarded)).to.equal(true)
          expect(all.length - forwarded.length).to.be.lessThan(keys.length)
        }
      )
    )
  })
})
