/** A peer for the length of one command, and the offers that it finds. */
import { loadOrCreateIdentity } from '../identity/index.ts'
import { mkdir } from 'node:fs/promises'
import { createPeer, type Peer } from '../peer.ts'
import { readConfig, type Config } from '../config/index.ts'
import { IShareError } from '../errors.ts'
import type { Offer, Verified } from '../documents/index.ts'
import type { DiscoverOptions, Discovery, OfferQuery } from '../../idiscover/index.ts'
import { failureLines } from './exit-status.ts'
import { note } from './output.ts'

/** Start a consumer's peer, use it, stop it. It calls others and listens to nobody. */
export async function withConsumer<T>(
  flags: Record<string, unknown>,
  use: (peer: Peer, config: Config) => Promise<T>
): Promise<T> {
  const config = await readConfig({ flags })
  await mkdir(config.stateDir, { recursive: true, mode: 0o700 })
  const identity = await loadOrCreateIdentity(config.stateDir)
  const peer = await createPeer({
    identity,
    bootstrap: config.bootstrap,
    ishare: { stateDir: config.stateDir }
  })
  try {
    return await use(peer, config)
  } finally {
    await peer.stop()
  }
}

/**
 * An offer's place as a user gives it: a page's URL, a multiaddr, a peer id; or nothing, for the whole DHT. A named
 * peer's offer is looked up in the DHT too, but nobody else's is taken in its place.
 */
export function sourcesOf(places: readonly string[], config: Pick<Config, 'bootstrap'>): DiscoverOptions {
  const pages = places.filter((place) => /^https?:\/\//.test(place))
  const peers = places.filter((place) => !pages.includes(place))
  return { pages, peers, dht: config.bootstrap.length > 0 && places.length === 0 }
}

/** The first offer that fits; says on standard error why others did not. @throws ERR_OFFER_NOT_FOUND */
export async function firstOffer(
  peer: Peer,
  options: DiscoverOptions,
  query: OfferQuery
): Promise<Verified<Offer>> {
  const missed: string[] = []
  for await (const found of peer.services.ishare.discover({ ...options, query })) {
    if (found.kind === 'offer') return found.offer
    missed.push(...whyNot(found))
  }
  const where = options.dht === true || (options.pages?.length ?? 0) + (options.peers?.length ?? 0) > 0
  const advice = where
    ? 'ask for less, or look elsewhere with --offer'
    : 'say where to look: --offer with a page or a peer, or --bootstrap with a peer to start from'
  for (const line of missed) note(`  ${line}`)
  throw new IShareError('ERR_OFFER_NOT_FOUND', `no offer fits; ${advice}`)
}

/** Why a discovery is of no use, in lines. */
export function whyNot(found: Exclude<Discovery, { kind: 'offer' }>): string[] {
  if (found.kind === 'near-miss')
    return found.reasons.map((reason) => `${found.offer.payload.iss.slice(-8)}: ${reason}`)
  return failureLines(found.error)
}
