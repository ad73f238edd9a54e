import type { Limits, Offer } from '../src/documents/index.ts'
import { offeredImage } from '../src/documents/index.ts'
import { evaluate, type RefusalCode } from '../src/rules/index.ts'
import type { OfferQuery } from './types.ts'

/** What a query does not ask for is set to the least that there is. */
const LEAST: Limits = {
  cpu: 0,
  memoryBytes: 0,
  diskBytes: 0,
  processesMax: 0,
  outboundBitsPerSecond: 0,
  outputBytesMax: 0,
  durationSeconds: 1
}

/**
 * Why an offer does not fit, in words for people; empty when it fits. The rules are asked through the same
 * function that the provider will ask.
 *
 * @param nowMs - milliseconds since the epoch
 */
export function mismatches(offer: Offer, query: OfferQuery, nowMs: number): string[] {
  return [
    ...providerReasons(offer, query),
    ...imageReasons(offer, query),
    ...labelReasons(offer, query),
    ...factoryReasons(offer, query),
    ...rulesReasons(offer, query, nowMs)
  ]
}

function providerReasons({ iss }: Offer, { provider }: OfferQuery): string[] {
  return provider === undefined || provider === iss ? [] : [`it is not of ${provider}`]
}

function imageReasons(offer: Offer, { image }: OfferQuery): string[] {
  if (image === undefined || offeredImage(offer, image) !== undefined) return []
  const names = offer.images.map(({ name }) => name).join(', ')
  return [`image ${image} is not offered; there is ${names || 'none'}`]
}

function labelReasons(offer: Offer, { labels = [] }: OfferQuery): string[] {
  return labels.filter((label) => !offer.labels.includes(label)).map((label) => `it has no label ${label}`)
}

function factoryReasons(offer: Offer, { factories }: OfferQuery): string[] {
  if (factories === undefined) return []
  if (offer.factories.length === 0) return ['it names no factory, so that nothing in its kernels watches']
  const isNamed = factories.length === 0 || factories.some((factory) => offer.factories.includes(factory))
  return isNamed
    ? []
    : [`it boots no kernel of ${factories.join(' or ')}; those of ${offer.factories.join(', ')}`]
}

function rulesReasons(offer: Offer, query: OfferQuery, nowMs: number): string[] {
  const { peer, cpu, memoryBytes, diskBytes, durationSeconds, outboundBitsPerSecond } = query
  const asked = { cpu, memoryBytes, diskBytes, durationSeconds, outboundBitsPerSecond }
  const limits = { ...LEAST, ...withoutUndefined(asked) }
  const decision = evaluate(offer.rules, { peer: peer ?? '', limits, runsOfPeer: 0 }, nowMs)
  if (decision.allowed) return []
  const open = openQuestions(query)
  return decision.reasons.filter(({ code }) => !open.has(code)).map(({ message }) => message)
}

/** What cannot be said yet: who will come, and whether the provider believes their token. */
function openQuestions({ peer, hasToken = false }: OfferQuery): Set<RefusalCode> {
  if (peer === undefined) return new Set(['who', 'token'])
  return new Set(hasToken ? ['token'] : [])
}

function withoutUndefined(limits: Partial<Record<keyof Limits, number | undefined>>): Partial<Limits> {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined))
}
