import { multiaddr } from '@multiformats/multiaddr'
import { DiscoverError } from '../../src/errors.ts'
import { peerIdOf } from '../../src/identity/index.ts'
import { askAndReport, lookUpValue, type OfferLookup } from './offer-lookup.ts'

/** Report the offers of named peers: from the DHT and from themselves, both at once. */
export async function searchPeers(lookup: OfferLookup, named: readonly string[]): Promise<void> {
  await Promise.all(named.map((text) => searchPeer(lookup, text)))
}

async function searchPeer(lookup: OfferLookup, text: string): Promise<void> {
  const source = { kind: 'peer' as const, peer: text }
  try {
    const { peer, addresses } = parsePeer(text)
    const [value, answer] = await Promise.allSettled([
      lookUpValue(lookup, peer, source),
      askAndReport(lookup, peer, addresses, source)
    ])
    const isFound = answer.status === 'fulfilled' || (value.status === 'fulfilled' && value.value)
    if (!isFound) throw answer.reason
  } catch (error) {
    await lookup.report({ error, source })
  }
}

/** @throws ERR_OFFER_NOT_FOUND when it is neither a peer id nor a multiaddr that ends in one */
function parsePeer(text: string): { peer: string; addresses: string[] } {
  try {
    if (!text.startsWith('/')) return { peer: peerIdOf(text).toString(), addresses: [] }
    const last = multiaddr(text).getComponents().at(-1)
    if (last?.name === 'p2p' && last.value !== undefined)
      return { peer: peerIdOf(last.value).toString(), addresses: [text] }
  } catch (error) {
    throw notAPeer(text, error)
  }
  throw notAPeer(text)
}

function notAPeer(text: string, cause?: unknown): DiscoverError {
  const got = JSON.stringify(text.slice(0, 120))
  return new DiscoverError(
    'ERR_OFFER_NOT_FOUND',
    `expected a peer id, or a multiaddr that ends in /p2p/ID, got ${got}`,
    {
      cause
    }
  )
}
