/**
 * Under which keys an offer is found in the DHT. Provider and consumer must agree on every byte.
 *
 * The offer itself is the value of `/ishare/<peer id>`. Its provider is found through provider records under
 * one key per *facet*: `arch:x86_64`, `size:2`, `label:bio`, `image:debian`. A size class stands for the memory
 * that one run may have; an offer is announced under its own class and all smaller ones, so that a consumer
 * asks for one class only and misses nobody.
 */
import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create as createMultihash } from 'multiformats/hashes/digest'
import { MIB } from '../constants.ts'
import type { Offer } from './offer.ts'

/** First part of the key: what kad-dht's validators and selectors are named by. */
export const OFFER_NAMESPACE = 'ishare'

const SHA2_256 = 0x12
/** Class 0 starts here, each further one at four times as much. */
const SIZE_CLASS_BASE_BYTES = 64 * MIB
const SIZE_CLASS_MAX = 10

/** Key of the offer of a peer in the DHT. */
export function offerKey(peer: string): Uint8Array {
  return Buffer.from(`/${OFFER_NAMESPACE}/${peer}`)
}

/** The peer id in an offer's key; it is not checked to be one. */
export function peerOfOfferKey(key: Uint8Array): string | undefined {
  const prefix = `/${OFFER_NAMESPACE}/`
  const text = Buffer.from(key).toString('latin1')
  return text.startsWith(prefix) ? text.slice(prefix.length) : undefined
}

/** The facets under which an offer is announced. */
export function facetsOf({ slice, rules, images, labels }: Offer): string[] {
  const sizes = Array.from({ length: sizeClass(rules.perRun.memoryBytes) + 1 }, (_, n) => sizeFacet(n))
  const facets = [
    archFacet(slice.architecture),
    ...sizes,
    ...labels.map(labelFacet),
    ...images.flatMap(({ name, digest }) => [imageFacet(name), imageFacet(digest)])
  ]
  return [...new Set(facets)]
}

/** What a consumer looks for; offers that fit are announced under every one of these facets. */
export function facetsFor(wanted: {
  memoryBytes?: number
  labels?: readonly string[]
  image?: string
}): string[] {
  const { memoryBytes = 0, labels = [], image } = wanted
  return [
    ...(image === undefined ? [] : [imageFacet(image)]),
    ...labels.map(labelFacet),
    sizeFacet(sizeClass(memoryBytes)),
    archFacet('x86_64')
  ]
}

/** The content id that stands for a facet in provider records. */
export function facetCid(facet: string): CID {
  const digest = createHash('sha256').update(`/${OFFER_NAMESPACE}/facet/${facet}`).digest()
  return CID.createV1(raw.code, createMultihash(SHA2_256, digest))
}

function sizeClass(memoryBytes: number): number {
  const steps = Math.floor(
    Math.log2(Math.max(memoryBytes, SIZE_CLASS_BASE_BYTES) / SIZE_CLASS_BASE_BYTES) / 2
  )
  return Math.min(steps, SIZE_CLASS_MAX)
}

const archFacet = (architecture: string) => `arch:${architecture}`
const sizeFacet = (sizeClass: number) => `size:${sizeClass}`
const labelFacet = (label: string) => `label:${label}`
const imageFacet = (nameOrDigest: string) => `image:${nameOrDigest}`
