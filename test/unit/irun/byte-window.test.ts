import { expect } from 'chai'
import fc from 'fast-check'
import { ReceiveWindow, SendWindow } from '../../../irun/byte-window.ts'
import { codeOf } from '../../helpers/errors.ts'

const signal = new AbortController().signal

describe('flow control of a channel', () => {
  it('stops a sender at the window, and lets it on as the receiver confirms', async () => {
    const window = new SendWindow(10)
    expect(await window.room(signal)).to.equal(10)
    window.sent(10)
    const room = window.room(signal)
    window.confirm(4)
    expect(await room).to.equal(4)
  })

  it('ends a wait when its caller gives up', async () => {
    const window = new SendWindow(1)
    window.sent(1)
    const controller = new AbortController()
    const waiting = codeOf(() => window.room(controller.signal))
    controller.abort(Object.assign(new Error('enough'), { code: 'ENOUGH' }))
    expect(await waiting).to.equal('ENOUGH')
  })

  it('refuses confirmations of what was not sent, and backward ones', () => {
    const window = new SendWindow(10, 100)
    window.sent(5)
    window.confirm(103)
    for (const offset of [102, 106, 0, Number.NaN])
      if (!Number.isNaN(offset))
        expect(() => window.confirm(offset))
          .to.throw()
          .with.property('code', 'ERR_WIRE_FORMAT')
  })

  it('refuses a sender that leaves gaps, repeats or overruns the window', () => {
    const fresh = () => new ReceiveWindow(10, () => undefined, 100)
    for (const [offset, length] of [
      [101, 1],
      [99, 1],
      [0, 1],
      [100, 11]
    ] as const)
      expect(() => fresh().push(offset, new Uint8Array(length)), `${offset} ${length}`)
        .to.throw()
        .with.property('code', 'ERR_WIRE_FORMAT')
    const ended = fresh()
    ended.end(100)
    expect(() => ended.push(100, new Uint8Array(1))).to.throw()
    expect(() => fresh().end(101)).to.throw()
  })

  it('passes any pieces through whole, never holding more than the window', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 40 }),
        fc.integer({ min: 50, max: 200 }),
        async (pieces, windowBytes) => {
          const out = new SendWindow(windowBytes)
          let held = 0
          const into = new ReceiveWindow(windowBytes, (offset) => out.confirm(offset))
          const feed = async (): Promise<void> => {
            for (const piece of pieces)
              for (let rest = piece; rest.length > 0;) {
                const part = rest.subarray(0, await out.room(signal))
                into.push(out.sentBytes, part)
                out.sent(part.length)
                held = Math.max(held, out.sentBytes - into.takenBytes)
                rest = rest.subarray(part.length)
              }
            into.end(out.sentBytes)
          }
          const feeding = feed()
          const got: Uint8Array[] = []
          for await (const chunk of into.chunks(signal)) got.push(chunk)
          await feeding
          expect(Buffer.concat(got).equals(Buffer.concat(pieces))).to.equal(true)
          expect(held).to.be.at.most(windowBytes)
        }
      ),
      { numRuns: 50 }
    )
  })
})
