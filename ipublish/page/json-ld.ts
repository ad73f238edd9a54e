import { SECOND_MS } from '../../src/constants.ts'
import type { Offer, Verified } from '../../src/documents/index.ts'

/**
 * The offer in schema.org's words, for search engines. What counts is the JWS in it: everything else is a copy
 * for readers who do not verify.
 *
 * The JWS is the `value` of the `PropertyValue` whose `propertyID` is `ishare-offer+jws`.
 *
 * @see https://schema.org/Offer
 */
export function offerJsonLd({ payload, token }: Verified<Offer>, url: string): Record<string, unknown> {
  const { slice, images, labels, iss } = payload
  return {
    '@context': 'https://schema.org',
    '@type': 'Offer',
    url,
    identifier: property('ishare-offer+jws', token),
    seller: { '@type': 'Organization', identifier: property('libp2p-peer-id', iss) },
    validFrom: dateTime(payload.iat),
    validThrough: dateTime(payload.exp),
    inventoryLevel: { '@type': 'QuantitativeValue', value: slice.count, unitText: 'virtual servers' },
    itemOffered: {
      '@type': 'Service',
      serviceType: 'Virtual server',
      termsOfService: payload.terms.text,
      keywords: labels,
      additionalProperty: [
        property('architecture', slice.architecture),
        property('cpu', slice.cpu, 'CPU'),
        property('memory', slice.memoryBytes, 'byte'),
        property('disk', slice.diskBytes, 'byte'),
        property('outbound-bandwidth', slice.outboundBitsPerSecond, 'bit/s'),
        ...images.map(({ name, digest }) => property('image', `${name} ${digest}`))
      ]
    }
  }
}

function property(id: string, value: string | number, unitText?: string): Record<string, unknown> {
  return {
    '@type': 'PropertyValue',
    propertyID: id,
    value,
    ...(unitText === undefined ? {} : { unitText })
  }
}

function dateTime(seconds: number): string {
  return new Date(seconds * SECOND_MS).toISOString()
}
