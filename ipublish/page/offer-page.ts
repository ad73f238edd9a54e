import { formatRate, formatSize } from '../../src/config/quantities.ts'
import { SECOND_MS } from '../../src/constants.ts'
import type { Offer, Verified } from '../../src/documents/index.ts'
import { describeRules } from '../../src/rules/index.ts'
import { offerJsonLd } from './json-ld.ts'
import { html, jsonBlock, Markup } from './markup.ts'
import { STYLE } from './style.ts'

export interface OfferPageInit {
  /** Where the page is found. */
  url: string
  /** Where the bare JWS is found, relative to the page. @default 'offer.jws' */
  jwsPath?: string
  /** Other pages to point to. */
  links?: readonly string[]
}

/**
 * An offer as a page: ordinary HTML without scripts, which people can read and any web server can serve, with
 * the JWS in a JSON-LD block.
 */
export function offerPage(offer: Verified<Offer>, { url, jwsPath, links = [] }: OfferPageInit): string {
  const { payload } = offer
  const title = `Lent by a neighbour: ${sliceInWords(payload.slice)}`
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <link rel="ishare" type="application/jose" href="${jwsPath ?? 'offer.jws'}" />
        ${links.map((link) => html`<link rel="ishare" href="${link}" />`)}
        <style>
          ${new Markup(STYLE)}
        </style>
        ${jsonBlock('application/ld+json', offerJsonLd(offer, url))}
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          <p>
            A part of this machine is lent to others under the rules below: their programs run in virtual
            servers with a kernel of their own. The offer is signed; <code>ishare</code> checks that before it
            believes a word of it.
          </p>
          ${[slice(payload), images(payload), rules(payload), terms(payload), usage(payload, url), provider(offer)]}
          ${others(links)}
        </main>
      </body>
    </html> `
  return page.text
}

function sliceInWords({ cpu, memoryBytes, diskBytes }: Offer['slice']): string {
  return `${cpu} CPU, ${formatSize(memoryBytes)} of memory, ${formatSize(diskBytes)} of disk`
}

function slice({ slice, labels }: Offer): Markup {
  return html`<section id="slice">
    <h2>The slice</h2>
    <dl>
      <dt>Architecture</dt>
      <dd>${slice.architecture}</dd>
      <dt>CPU</dt>
      <dd>${slice.cpu}</dd>
      <dt>Memory</dt>
      <dd>${formatSize(slice.memoryBytes)}</dd>
      <dt>Disk</dt>
      <dd>${formatSize(slice.diskBytes)}</dd>
      <dt>Outbound bandwidth</dt>
      <dd>${formatRate(slice.outboundBitsPerSecond)}</dd>
      <dt>Virtual servers</dt>
      <dd>${slice.count} at the same time</dd>
    </dl>
    ${
      labels.length === 0
        ? []
        : html`<ul class="labels">
            ${labels.map((label) => html`<li>${label}</li>`)}
          </ul>`
    }
  </section>`
}

function images({ images }: Offer): Markup {
  if (images.length === 0)
    return html`<section id="images">
      <h2>Images</h2>
      <p>None yet.</p>
    </section>`
  const rows = images.map(
    ({ name, digest, sizeBytes }) =>
      html`<tr>
        <td>${name}</td>
        <td>${formatSize(sizeBytes)}</td>
        <td><code>${digest}</code></td>
      </tr>`
  )
  return html`<section id="images">
    <h2>Images</h2>
    <table>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Size</th>
          <th scope="col">Digest</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </section>`
}

function rules({ rules }: Offer): Markup {
  return html`<section id="rules">
    <h2>Rules that the machine enforces</h2>
    <ul>
      ${describeRules(rules).map((line) => html`<li>${line}</li>`)}
    </ul>
  </section>`
}

function terms({ terms }: Offer): Markup {
  return html`<section id="terms">
    <h2>Terms that you accept by signature</h2>
    <div class="terms" dir="auto">${terms.text}</div>
    <p>Digest: <code>${terms.digest}</code></p>
  </section>`
}

function usage({ images, rules }: Offer, url: string): Markup {
  const image = images[0]?.name ?? 'IMAGE'
  const { cpu, memoryBytes } = rules.perRun
  const size = `--cpu ${cpu} --memory ${formatSize(memoryBytes).replaceAll(/ |iB/g, '')}`
  return html`<section id="usage">
    <h2>How to use it</h2>
    <pre>ishare run --offer ${url} ${size} --image ${image} -- PROGRAM ARGUMENT…</pre>
    <p>
      It shows the rules and terms, asks whether you accept them, runs the program here, and brings its output
      and files home.
    </p>
  </section>`
}

function provider({ payload, digest }: Verified<Offer>): Markup {
  return html`<section id="provider">
    <h2>The provider</h2>
    <dl>
      <dt>Peer id</dt>
      <dd><code>${payload.iss}</code></dd>
      <dt>Addresses</dt>
      <dd>${payload.addresses.map((address) => html`<code>${address}</code><br />`)}</dd>
      <dt>Factories</dt>
      <dd>${payload.factories.map((factory) => html`<code>${factory}</code><br />`)}</dd>
      <dt>Offer</dt>
      <dd><code>${digest}</code></dd>
      <dt>Valid</dt>
      <dd>${time(payload.iat)} to ${time(payload.exp)}</dd>
    </dl>
  </section>`
}

function others(links: readonly string[]): Markup {
  if (links.length === 0) return html``
  const items = links.map((link) => html`<li><a rel="ishare" href="${link}">${link}</a></li>`)
  return html`<nav>
    <h2>Others who lend</h2>
    <ul>
      ${items}
    </ul>
  </nav>`
}

function time(seconds: number): Markup {
  const text = new Date(seconds * SECOND_MS).toISOString()
  return html`<time datetime="${text}">${text.slice(0, 16).replace('T', ' ')} UTC</time>`
}
