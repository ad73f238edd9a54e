import { once } from 'node:events'
import { connect } from 'node:net'
import { expect } from 'chai'
import { pageServer, type PageServer } from '../../../ipublish/index.ts'
import type { Offer, Verified } from '../../../src/documents/index.ts'
import { createIdentity } from '../../../src/identity/index.ts'
import { sampleOffer, signed } from '../../helpers/documents.ts'
import { codeOf } from '../../helpers/errors.ts'

describe('The page server', () => {
  let offer: Verified<Offer>
  let server: PageServer
  let url: string

  before(async () => {
    const identity = await createIdentity()
    offer = await signed('offer', sampleOffer(identity), identity)
  })
  beforeEach(async () => {
    server = pageServer({ links: ['https://other.example/'] })
    await server.start()
    url = server.url!
  })
  afterEach(async () => {
    await server.stop()
  })

  it('has nothing to show before there is an offer', async () => {
    expect((await fetch(url)).status).to.equal(503)
  })

  it('serves the page, the bare token and the listing, with no room for scripts', async () => {
    server.publish(offer)
    const page = await fetch(url)
    expect(page.headers.get('content-type')).to.equal('text/html; charset=utf-8')
    expect(page.headers.get('content-security-policy')).to.match(/^default-src 'none'; style-src 'sha256-/)
    expect(page.headers.get('x-content-type-options')).to.equal('nosniff')
    expect(await page.text()).to.include(offer.token)
    expect(await (await fetch(`${url}offer.jws`)).text()).to.equal(offer.token)
    expect(await (await fetch(`${url}.well-known/ishare`)).json()).to.deep.equal({
      offers: [offer.token],
      links: ['https://other.example/']
    })
  })

  it('says that nothing has changed to those who know the page, until it changes', async () => {
    server.publish(offer)
    const etag = (await fetch(url)).headers.get('etag')!
    const again = await fetch(url, { headers: { 'if-none-match': `"x", W/${etag}` } })
    expect([again.status, await again.text()]).to.deep.equal([304, ''])
    const identity = await createIdentity()
    server.publish(await signed('offer', sampleOffer(identity), identity))
    expect((await fetch(url, { headers: { 'if-none-match': etag } })).status).to.equal(200)
  })

  it('answers HEAD without a body, other methods and paths not at all', async () => {
    server.publish(offer)
    const head = await fetch(url, { method: 'HEAD' })
    expect([head.status, await head.text()]).to.deep.equal([200, ''])
    expect(Number(head.headers.get('content-length'))).to.be.greaterThan(1000)
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const response = await fetch(url, { method })
      expect([response.status, response.headers.get('allow')]).to.deep.equal([405, 'GET, HEAD'])
    }
    for (const path of ['x', '..%2f..%2fetc/passwd', '.well-known/', 'offer.jws/'])
      expect((await fetch(url + path)).status).to.equal(404)
  })

  it('does not wait for bodies, nor read headers without end', async () => {
    server.publish(offer)
    const { port } = new URL(url)
    for (const [request, status] of [
      ['GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n', '200'],
      [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, '431'],
      ['nonsense\r\n\r\n', '400']
    ]) {
      const socket = connect(Number(port), '127.0.0.1')
      socket.write(request!)
      let answer = ''
      socket.on('data', (data: Buffer) => (answer += data.toString()))
      await once(socket, 'close')
      expect(answer).to.match(new RegExp(`^HTTP/1.1 ${status}`))
    }
  })

  it('a port that is taken is said at once', async () => {
    const second = pageServer({ port: Number(new URL(url).port) })
    expect(await codeOf(() => second.start())).to.equal('ERR_PUBLISH_PAGE')
    await second.stop()
  })

  it('links and a public address that are no web addresses are refused', async () => {
    expect(await codeOf(() => pageServer({ links: ['javascript:alert(1)'] }))).to.equal('ERR_PUBLISH_PAGE')
    expect(await codeOf(() => pageServer({ publicUrl: 'lab.example' }))).to.equal('ERR_PUBLISH_PAGE')
  })
})
