import { expect } from 'chai'
import { newestSequence, seenBefore } from '../../../src/documents/index.ts'
import { codeOf } from '../../helpers/errors.ts'

describe('documents: what was seen before', () => {
  it('is refused for as long as it would verify, and forgotten after', async () => {
    const seen = seenBefore()
    seen.take('a', 1000, 0)
    for (const second of [0, 1, 999, 1000, 1059])
      expect(await codeOf(() => seen.take('a', 1000, second * 1000)), `${second}`).to.equal(
        'ERR_DOCUMENT_REPLAYED'
      )
    seen.take('a', 5000, 1_200_000)
  })

  it('keeps a bounded number, and rather refuses new ones than forgets one that still holds', async () => {
    const seen = seenBefore(3)
    for (const key of ['a', 'b', 'c']) seen.take(key, 1000, 0)
    expect(await codeOf(() => seen.take('d', 1000, 0))).to.equal('ERR_DOCUMENT_REPLAYED')
    expect(await codeOf(() => seen.take('a', 1000, 0))).to.equal('ERR_DOCUMENT_REPLAYED')
    seen.take('d', 9000, 2_000_000)
  })

  it('lets sequences only grow, for each peer', async () => {
    const newest = newestSequence()
    expect(newest.note('p', 5)).to.equal(true)
    expect(newest.note('p', 5)).to.equal(false)
    expect(newest.note('q', 1)).to.equal(true)
    expect(newest.note('p', 6)).to.equal(true)
    expect(await codeOf(() => newest.note('p', 5))).to.equal('ERR_DOCUMENT_REPLAYED')
  })

  it('remembers the peers heard of last', async () => {
    const newest = newestSequence(2)
    newest.note('p', 5)
    newest.note('q', 5)
    newest.note('p', 6)
    newest.note('r', 5)
    expect(await codeOf(() => newest.note('p', 5))).to.equal('ERR_DOCUMENT_REPLAYED')
    expect(newest.note('q', 1)).to.equal(true)
  })
})
