import { expect } from 'chai'
import fc from 'fast-check'
import { framed, StreamFrames } from '../../../soda-host/switch/gateway/resolver/stream-frames.ts'

describe('messages on a stream', () => {
  it('come out as they went in, however the stream is cut', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 10 })
    fc.assert(
      fc.property(messages, fc.array(fc.nat(400), { maxLength: 50 }), (sent, sizes) => {
        const bytes = Buffer.concat(sent.map(framed))
        const frames = new StreamFrames(600)
        const heard: Buffer[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = 1 + (sizes[i % Math.max(1, sizes.length)] ?? 0)
          heard.push(...(frames.take(bytes.subarray(at, at + size)) ?? []))
          at += size
        }
        expect(heard.map((message) => [...message])).to.deep.equal(sent.map((message) => [...message]))
      })
    )
  })

  it('that are too long end it before they are held', () => {
    expect(new StreamFrames(512).take(Buffer.from([2, 1]))).to.equal(undefined)
    expect(new StreamFrames(512).take(Buffer.from([2, 0]))).to.deep.equal([])
  })
})
