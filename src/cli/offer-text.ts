/** An offer in words: what a consumer reads before accepting it. */
import { formatDuration, formatRate } from '../config/index.ts'
import type { Offer, Verified } from '../documents/index.ts'
import { describeRules } from '../rules/index.ts'
import { harmless } from './output.ts'
import { sliceWords } from './options.ts'

/** Facts of one offer, in the order in which they matter. */
export function offerFacts({ payload, digest }: Verified<Offer>): Record<string, unknown> {
  const { slice } = payload
  return {
    offer: digest,
    provider: payload.iss,
    slice: sliceWords(slice, slice.count),
    outbound: formatRate(slice.outboundBitsPerSecond),
    images: payload.images.map((image) => image.name).join(' '),
    labels: payload.labels.join(' '),
    valid: `for ${formatDuration(Math.max(0, payload.exp - Date.now() / 1000))}`,
    addresses: payload.addresses
  }
}

export function offerRulesText({ payload }: Verified<Offer>): string {
  return [
    'Rules, which the machine enforces:',
    ...describeRules(payload.rules).map((line) => `  ${line}`),
    'Terms, which you agree to:',
    ...payload.terms.text
      .trimEnd()
      .split('\n')
      .map((line) => `  ${line}`),
    `  (${payload.terms.digest})`
  ]
    .map(harmless)
    .join('\n')
}
