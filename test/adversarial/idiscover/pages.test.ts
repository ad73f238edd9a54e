/**
 * Attacker: the owner of a web page, or of a name server, that a consumer's discovery comes to.
 * Asset: the consumer's process (memory, time), its inner network, and its belief in offers.
 * Expected: a failure with a code for each bad page, in bounded time and memory; no request to an inner address;
 * the good offers of other sources still come.
 */
import type { ServerResponse } from 'node:http'
import { expect } from 'chai'
import { discoverer, type Discovery, type DiscovererInit } from '../../../idiscover/index.ts'
import { offerPage } from '../../../ipublish/index.ts'
import { PAGE_BYTES_MAX } from '../../../src/constants.ts'
import { verifyDocument } from '../../../src/documents/index.ts'
import { createIdentity, type Identity } from '../../../src/identity/index.ts'
import { signedOffer } from '../../fixtures/offers.ts'
import { nowSeconds } from '../../helpers/documents.ts'
import { gather } from '../../helpers/gather.ts'
import { webSite, type WebSite } from '../../helpers/web-site.ts'

const HTML = { 'content-type': 'text/html; charset=utf-8' }

function discover(urls: string[], init: DiscovererInit = {}): Promise<Discovery[]> {
  return gather(discoverer({}, init).discover({ pages: urls }))
}

/** Codes of failures, kinds of all else. */
function outcome(found: Discovery[]): string[] {
  return found.map((one) =>
    one.kind === 'failure' ? ((one.error as { code?: string }).code ?? '?') : one.kind
  )
}

function page(...tokens: string[]): string {
  const blocks = tokens.map((value) => JSON.stringify({ propertyID: 'ishare-offer+jws', value }))
  return blocks.map((json) => `<script type="application/ld+json">${json}</script>`).join('')
}

/** Sends `chunk` until it has sent `bytes`, or nobody reads any more. @returns how much was taken */
function pour(response: ServerResponse, chunk: Buffer, bytes: number, sent: { bytes: number }): void {
  const more = () => {
    while (sent.bytes < bytes && !response.destroyed) {
      sent.bytes += chunk.length
      if (!response.write(chunk)) {
        response.once('drain', more)
        return
      }
    }
    response.end()
  }
  more()
}

describe('Hostile pages', function () {
  this.timeout(30_000)
  let identity: Identity
  let good: string
  before(async () => {
    identity = await createIdentity()
    good = await signedOffer(identity)
  })

  const site = (answer: (response: ServerResponse) => void): Promise<WebSite> =>
    webSite({ '/': (_request, response) => answer(response) })

  it('a page of 1 GB is given up at the bound', async () => {
    const sent = { bytes: 0 }
    await using lab = await site((response) => {
      response.writeHead(200, HTML)
      pour(response, Buffer.alloc(65_536, 'x'), 2 ** 30, sent)
    })
    expect(outcome(await discover([lab.origin]))).to.deep.equal(['ERR_PAGE_SIZE'])
    // What was on its way in socket buffers comes on top.
    expect(sent.bytes).to.be.lessThan(PAGE_BYTES_MAX + 32 * 2 ** 20)
  })

  it('a page that says it is 1 GB long is not read at all', async () => {
    await using lab = await site((response) => {
      response.writeHead(200, { ...HTML, 'content-length': 2 ** 30 }).flushHeaders()
    })
    expect(outcome(await discover([lab.origin]))).to.deep.equal(['ERR_PAGE_SIZE'])
  })

  it('a page that never ends is given up in time', async () => {
    await using lab = await site((response) => response.writeHead(200, HTML).write('<p>'))
    const limits = { pageTimeoutMs: 200 }
    expect(outcome(await discover([lab.origin], { limits }))).to.deep.equal(['ERR_PAGE_FETCH'])
  })

  it('a server that never answers is given up in time', async () => {
    await using lab = await site(() => undefined)
    const limits = { pageTimeoutMs: 200 }
    expect(outcome(await discover([lab.origin], { limits }))).to.deep.equal(['ERR_PAGE_FETCH'])
  })

  it('a server that breaks off in the middle is a failure', async () => {
    await using lab = await site((response) => {
      response.writeHead(200, { ...HTML, 'content-length': 1000 })
      response.write('<p>', () => response.destroy())
    })
    expect(outcome(await discover([lab.origin]))).to.deep.equal(['ERR_PAGE_FETCH'])
  })

  for (const [name, headers, body] of [
    ['in Latin 1', { 'content-type': 'text/html; charset=iso-8859-1' }, '<p>x'],
    ['with bytes that are not UTF-8', HTML, Buffer.from([0x3c, 0x70, 0x3e, 0xff, 0xfe])],
    ['in UTF-16', { 'content-type': 'text/html' }, Buffer.from('\ufeff<p>ä', 'utf16le')],
    ['that is a picture', { 'content-type': 'image/png' }, 'x'],
    ['without a content type', {}, 'x'],
    ['compressed unasked', { ...HTML, 'content-encoding': 'gzip' }, 'x']
  ] as const)
    it(`a page ${name} is refused`, async () => {
      await using lab = await site((response) => response.writeHead(200, headers).end(body))
      expect(outcome(await discover([lab.origin]))).to.deep.equal(['ERR_PAGE_FORMAT'])
    })

  for (const [name, text] of [
    ['deep nesting', '<div>'],
    ['unclosed formatting', '<p><b>'],
    ['nested tables', '<table><td>'],
    ['nested svg', '<svg>'],
    ['a flood of attributes', '<a b=c '],
    ['a flood of comments', '<!--'],
    ['a flood of links', '<link rel=ishare href=//x>'],
    ['a flood of scripts', '<script type="application/ld+json">{}</script>'],
    ['brackets and quotes', '<script type="application/ld+json">["\\"'],
    ['less-than signs', '<']
  ] as const)
    it(`2 MB of ${name} cost no more than a moment, and the good page beside it is read`, async () => {
      const bad = text.repeat(Math.floor(PAGE_BYTES_MAX / text.length))
      await using lab = await webSite({ '/bad': bad, '/good': page(good) })
      const found = await discover([`${lab.origin}/bad`, `${lab.origin}/good`], {
        limits: { linkDepthMax: 0 }
      })
      expect(outcome(found)).to.include('offer')
    })

  it('JSON of 2 MB of brackets is refused before it is parsed', async () => {
    await using lab = await site((response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end('['.repeat(PAGE_BYTES_MAX))
    )
    expect(outcome(await discover([lab.origin]))).to.deep.equal(['ERR_PAGE_FORMAT'])
  })

  it('forged, foreign, expired and future offers are failures, the good one beside them is found', async () => {
    const other = await createIdentity()
    const now = nowSeconds()
    const [header, , signature] = good.split('.') as [string, string, string]
    const body = Buffer.from(
      JSON.stringify({ ...(await verifyDocument('offer', good)).payload, labels: ['x'] })
    )
    const renamed = Buffer.from(JSON.stringify({ alg: 'EdDSA', typ: 'ishare-offer+jws', kid: other.id }))
    const tokens = [
      `${header}.${body.toString('base64url')}.${signature}`,
      `${renamed.toString('base64url')}.${good.split('.')[1]!}.${signature}`,
      await signedOffer(identity, { iat: now - 7200, exp: now - 3600 }),
      await signedOffer(identity, { iat: now + 3600, exp: now + 7200 }),
      'x'.repeat(70_000),
      'nonsense',
      good
    ]
    await using lab = await webSite({ '/': page(...tokens) })
    expect(outcome(await discover([lab.origin]))).to.deep.equal([
      'ERR_DOCUMENT_SIGNATURE',
      'ERR_DOCUMENT_SIGNATURE',
      'ERR_DOCUMENT_EXPIRED',
      'ERR_DOCUMENT_NOT_YET_VALID',
      'ERR_DOCUMENT_SIZE',
      'ERR_DOCUMENT_FORMAT',
      'offer'
    ])
  })

  it('a replayed older offer is not given after the newer one', async () => {
    const older = await signedOffer(identity, { seq: 1 })
    const newer = await signedOffer(identity, { seq: 2 })
    await using lab = await webSite({ '/': page(newer, older, newer) })
    const found = await discover([lab.origin])
    expect(outcome(found)).to.deep.equal(['offer'])
    expect(found[0]).to.have.nested.property('offer.token', newer)
  })

  it('a redirect to an inner address that the user did not name is refused, and nothing is asked there', async () => {
    await using inner = await webSite({ '/': page(good) })
    for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '0x7f.1', '2130706433']) {
      await using lab = await site((response) =>
        response.writeHead(302, { location: `http://${host}:${inner.port}/` }).end()
      )
      expect(outcome(await discover([lab.origin])), host).to.deep.equal(['ERR_PAGE_ADDRESS'])
    }
    expect(inner.visits).to.deep.equal([])
  })

  it('a link to an inner address is refused too, unless that is allowed', async () => {
    await using inner = await webSite({ '/': page(good) })
    await using lab = await webSite({ '/': `<link rel="ishare" href="${inner.origin}/">` })
    expect(outcome(await discover([lab.origin]))).to.deep.equal(['ERR_PAGE_ADDRESS'])
    expect(inner.visits).to.deep.equal([])
    expect(outcome(await discover([lab.origin], { allowPrivateAddresses: true }))).to.deep.equal(['offer'])
  })

  it('a name that leads inside is refused, unless the user named it', async () => {
    await using inner = await webSite({ '/': page(good) })
    const resolve: NonNullable<DiscovererInit['resolve']> = (_host, callback) =>
      callback(null, [{ address: '127.0.0.1', family: 4 }])
    const named = `http://lab.example:${inner.port}/`
    await using lab = await webSite({ '/': `<link rel="ishare" href="${named}">` })
    expect(outcome(await discover([lab.origin], { resolve }))).to.deep.equal(['ERR_PAGE_ADDRESS'])
    expect(inner.visits).to.deep.equal([])
    expect(outcome(await discover([named], { resolve }))).to.deep.equal(['offer'])
  })

  it('redirects in a circle end', async () => {
    await using lab = await webSite({
      '/': (_request, response) => response.writeHead(301, { location: '/a' }).end(),
      '/a': (_request, response) => response.writeHead(307, { location: '/' }).end()
    })
    expect(outcome(await discover([lab.origin]))).to.deep.equal(['ERR_PAGE_FETCH'])
    expect(lab.visits).to.have.length(6)
  })

  it('a redirect to something that is not the web is refused', async () => {
    for (const location of [
      'file:///etc/passwd',
      'ftp://x.example/',
      'http://u:p@x.example/',
      'http://[',
      ''
    ]) {
      await using lab = await site((response) => response.writeHead(302, { location }).end())
      expect(['ERR_PAGE_ADDRESS', 'ERR_PAGE_FETCH']).to.include(outcome(await discover([lab.origin]))[0])
    }
  })

  it('a web of links without end is followed to the bounds', async () => {
    await using maze = await webSite(
      new Proxy<Record<string, string>>(
        {},
        {
          get: (_target, path) =>
            Array.from({ length: 40 }, (_, n) => `<link rel=ishare href="${String(path)}/${n}">`).join('')
        }
      )
    )
    await discover([`${maze.origin}/m`])
    expect(maze.visits).to.have.length(32)
    await discover([`${maze.origin}/n`], { limits: { pagesMax: 1000, linkDepthMax: 1 } })
    expect(maze.visits).to.have.length(32 + 41)
  })

  it('what is named wrongly is a failure of that name only', async () => {
    await using lab = await webSite({ '/': page(good) })
    const found = await discover(['lab.example', 'ftp://lab.example/', lab.origin, 'http://127.0.0.1:1/'])
    expect(outcome(found).toSorted()).to.deep.equal([
      'ERR_PAGE_ADDRESS',
      'ERR_PAGE_ADDRESS',
      'ERR_PAGE_FETCH',
      'offer'
    ])
  })

  it('a page with nothing to find is said so, its well-known address is looked at', async () => {
    await using empty = await webSite({ '/': '<p>hello' })
    expect(outcome(await discover([empty.origin]))).to.deep.equal(['ERR_OFFER_NOT_FOUND'])
    await using lab = await webSite({
      '/': '<p>hello',
      '/.well-known/ishare': (_request, response) =>
        response
          .writeHead(200, { 'content-type': 'application/json' })
          .end(JSON.stringify({ offers: [good] }))
    })
    expect(outcome(await discover([lab.origin]))).to.deep.equal(['offer'])
  })

  it('pages link to each other: each is visited once', async () => {
    const [a, b] = [await createIdentity(), await createIdentity()]
    const pages: Record<string, string> = {}
    await using lab = await webSite(pages)
    for (const [path, owner] of [
      ['/a', a],
      ['/b', b]
    ] as const)
      pages[path] = offerPage(await verifyDocument('offer', await signedOffer(owner)), {
        url: lab.origin + path,
        links: [`${lab.origin}/a`, `${lab.origin}/b`]
      })
    expect(outcome(await discover([`${lab.origin}/a`]))).to.deep.equal(['offer', 'offer'])
    expect(lab.visits).to.deep.equal(['/a', '/b'])
  })
})
