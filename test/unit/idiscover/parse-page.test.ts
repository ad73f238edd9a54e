import { expect } from 'chai'
import { parsePage, type PageContent } from '../../../idiscover/pages/parse-page.ts'
import { errorOf } from '../../helpers/errors.ts'

const url = new URL('https://lab.example/a/page.html')
const parse = (text: string): PageContent => parsePage({ url, mediaType: 'text/html', text })
const block = (value: unknown) => `<script type="application/ld+json">${JSON.stringify(value)}</script>`
const offer = (token: string) => ({
  '@type': 'Offer',
  identifier: { propertyID: 'ishare-offer+jws', value: token }
})

describe('Reading a page', () => {
  it('tokens are found wherever they stand in JSON-LD', () => {
    const content = parse(
      block(offer('a.b.c')) + block({ '@graph': [offer('d.e.f'), { x: [offer('g.h.i')] }] })
    )
    expect(content.tokens).to.deep.equal(['a.b.c', 'd.e.f', 'g.h.i'])
  })

  it('blocks of others and broken ones do no harm', () => {
    const text = `${block({ '@type': 'Recipe' })}<script type="application/ld+json">{"a": </script>${block(null)}`
    expect(parse(text + block(offer('a.b.c'))).tokens).to.deep.equal(['a.b.c'])
  })

  it('what stands in comments, styles and other scripts is not read', () => {
    const hidden = block(offer('a.b.c'))
    const text = `<!-- ${hidden} --><style>${hidden.replaceAll('script', 'x')}</style><textarea>${hidden}</textarea>`
    expect(parse(text)).to.deep.equal({ tokens: [], links: [] })
  })

  it('links of <link> and <a> are made absolute; others are left out', () => {
    const text = `
      <link rel="ishare" href="../other#part"><a rel="nofollow ISHARE" href="http://x.example/">x</a>
      <link rel="stylesheet" href="/style"><link rel="ishare"><link rel="ishare" href="javascript:alert(1)">
      <link rel="ishare" href="http://user:secret@x.example/"><link rel="ishare" href="file:///etc/passwd">`
    expect(parse(text).links.map(String)).to.deep.equal([
      'https://lab.example/other',
      'http://x.example/',
      'https://lab.example/a/page.html'
    ])
  })

  it('the bare copy of an offer that the page holds is not fetched again', () => {
    const link = '<link rel="ishare" type="application/jose" href="offer.jws">'
    expect(parse(link).links).to.have.length(1)
    expect(parse(link + block(offer('a.b.c'))).links).to.have.length(0)
  })

  it('the number of tokens, blocks and links is bounded', () => {
    const many = Array.from({ length: 500 }, (_, count) => count)
    const text =
      many.map((count) => block([offer(`a.b.${count}`), offer(`x.y.${count}`)])).join('') +
      many.map((count) => `<link rel=ishare href=/${count}>`).join('')
    const content = parse(text)
    expect(content.tokens).to.have.length(16)
    expect(content.links).to.have.length(64)
  })

  it('a listing is read, with what is not text left out', () => {
    const text = JSON.stringify({ offers: ['a.b.c', 7, null], links: ['/x', {}, 'mailto:x'] })
    const content = parsePage({ url, mediaType: 'application/json', text })
    expect(content.tokens).to.deep.equal(['a.b.c'])
    expect(content.links.map(String)).to.deep.equal(['https://lab.example/x'])
    for (const odd of ['null', '[]', '7', '{"offers": 3}'])
      expect(parsePage({ url, mediaType: 'application/json', text: odd })).to.deep.equal({
        tokens: [],
        links: []
      })
  })

  for (const [name, text] of [
    ['elements nested too deep', '<div>'.repeat(600)],
    ['JSON nested too deep', `<script type="application/ld+json">${'['.repeat(1000)}</script>`],
    ['a block too long', `<script type="application/ld+json">"${'x'.repeat(300_000)}"</script>`],
    ['another character set', '<meta charset="iso-8859-1">'],
    [
      'another character set, the old way',
      '<meta http-equiv="Content-Type" content="text/html; charset=utf-16">'
    ]
  ] as const)
    it(`${name}: refused`, async () => {
      expect(await errorOf(() => parse(text))).to.have.property('code', 'ERR_PAGE_FORMAT')
    })
})
