/** A node that has just started has nobody to ask: what needs the DHT waits a little for a first peer. */
import { setTimeout as delay } from 'node:timers/promises'
import type { KadDHT, SingleKadDHT } from '@libp2p/kad-dht'
import type { OfferOutlet } from '../ipublish/index.ts'

/** How long a look into the DHT waits for a first peer, and how often it looks. */
const WAIT_MS = 10_000
const LOOK_MS = 20

/** Resolves when the routing table has a peer, or after ten seconds without: then it goes on alone. */
export async function dhtKnowsSomebody(dht: KadDHT, signal?: AbortSignal): Promise<void> {
  const { routingTable } = dht as SingleKadDHT
  const giveUpAtMs = performance.now() + WAIT_MS
  while (routingTable.size === 0 && performance.now() < giveUpAtMs)
    await delay(LOOK_MS, undefined, signal === undefined ? {} : { signal })
}

/** The same outlet, which begins its work when the DHT knows somebody, and holds nobody up until then. */
export function onceInDht(outlet: OfferOutlet, dht: KadDHT): OfferOutlet {
  let stopped = new AbortController()
  let starting: Promise<void> | undefined
  const begin = async (signal: AbortSignal): Promise<void> => {
    await dhtKnowsSomebody(dht, signal).catch(() => undefined)
    if (!signal.aborted) await outlet.start()
  }
  return {
    publish: (offer) => outlet.publish(offer),
    start: () => {
      stopped = new AbortController()
      starting = begin(stopped.signal)
    },
    stop: async () => {
      stopped.abort()
      await starting
      await outlet.stop()
    }
  }
}
