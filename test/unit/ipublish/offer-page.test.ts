import { expect } from 'chai'
import fc from 'fast-check'
import { Parser } from 'htmlparser2'
import { parsePage } from '../../../idiscover/pages/parse-page.ts'
import { offerPage } from '../../../ipublish/index.ts'
import type { Offer, Verified } from '../../../src/documents/index.ts'
import { createIdentity, type Identity } from '../../../src/identity/index.ts'
import { sampleOffer, signed } from '../../helpers/documents.ts'
import { digestOf } from '../../../src/documents/index.ts'

/** The names of all elements, and all text outside of scripts and styles. */
function readPage(html: string): { elements: string[]; text: string } {
  const elements: string[] = []
  let text = ''
  const parser = new Parser({
    onopentagname: (name) => void elements.push(name),
    ontext: (piece) => void (text += piece)
  })
  parser.end(html)
  return { elements, text }
}

describe('The page of an offer', () => {
  let identity: Identity
  let offer: Verified<Offer>
  const url = 'https://lab.example/offer/'

  before(async () => {
    identity = await createIdentity()
    offer = await signed('offer', sampleOffer(identity), identity)
  })

  it('shows people what they need to decide', () => {
    const { text } = readPage(offerPage(offer, { url }))
    for (const expected of [
      '2 CPU, 2 GiB of memory, 8 GiB of disk',
      'tiny',
      'physics',
      'Who: anyone.',
      'Science only. No mining.',
      offer.payload.terms.digest,
      identity.id,
      `ishare run --offer ${url} --cpu 1 --memory 1G --image tiny -- PROGRAM`
    ])
      expect(text).to.include(expected)
  })

  it('carries the JWS, and links of others', () => {
    const page = offerPage(offer, { url, links: ['https://other.example/?a=1&b="2"'] })
    const content = parsePage({ url: new URL(url), mediaType: 'text/html', text: page })
    expect(content.tokens).to.deep.equal([offer.token])
    expect(content.links.map(String)).to.include('https://other.example/?a=1&b=%222%22')
  })

  it('whatever the terms say, they stay text, and the JWS can be read', async () => {
    const plain = readPage(offerPage(offer, { url })).elements
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 200 }),
      fc
        .array(
          fc.constantFrom(
            '</script>',
            '<!--',
            '<script>',
            '-->',
            ']]>',
            '"',
            "'",
            '<',
            '&',
            '&lt;',
            '\u2028',
            'x'
          ),
          {
            minLength: 1
          }
        )
        .map((parts) => parts.join(''))
    )
    await fc.assert(
      fc.asyncProperty(hostile, async (text) => {
        const terms = { text, digest: digestOf(text) }
        const odd = await signed('offer', sampleOffer(identity, { terms }), identity)
        const page = offerPage(odd, { url })
        expect(readPage(page).elements).to.deep.equal(plain)
        const content = parsePage({ url: new URL(url), mediaType: 'text/html', text: page })
        expect(content.tokens).to.deep.equal([odd.token])
      }),
      { numRuns: 100 }
    )
  })
})
