/**
 * A libp2p node as iShare peers use it: TCP, Noise, Yamux, identify, ping, and a Kademlia DHT under a protocol
 * name of its own, with the {@link ishare} service on top. Programs that have a libp2p node already add the
 * service to it instead.
 */
import { bootstrap } from '@libp2p/bootstrap'
import { identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { kadDHT, passthroughMapper, type KadDHT } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { MemoryDatastore } from 'datastore-core'
import { createLibp2p } from 'libp2p'
import { factoryService, type FactoryService, type FactoryServiceInit } from '../ifactory/index.ts'
import { dhtDatastore, offerSelector, offerValidator } from '../ipublish/index.ts'
import { HOUR_MS, MIB, MINUTE_MS, PROTOCOL_KAD_DHT } from './constants.ts'
import type { Identity } from './identity/index.ts'
import { ishare, type IShare, type IShareInit } from './plugin.ts'

/** Kademlia's k, alpha and disjoint paths: at these a look-up among strangers takes a third of the defaults' time. */
const DHT_BUCKET_SIZE = 8
const DHT_PARALLEL_QUERIES = 3
const DHT_DISJOINT_PATHS = 2

const CONNECTIONS_MAX = 512
/** New inbound connections per second from one address; several peers may share one. */
const CONNECTIONS_PER_SECOND = 20

/** What one stream of a stranger may hold in our memory. */
const STREAM_WINDOW_BYTES = 4 * MIB

export interface PeerInit {
  identity: Identity
  /** Multiaddrs to listen on; none for a peer that only calls others. */
  listen?: readonly string[]
  /** Multiaddrs, with peer id, of peers to start from. */
  bootstrap?: readonly string[]
  /** Answer other peers' DHT queries. @default true when listening */
  isDhtServer?: boolean
  ishare: Omit<IShareInit, 'identity'>
}

export interface FactoryPeerInit {
  identity: Identity
  listen: readonly string[]
  factory: Omit<FactoryServiceInit, 'identity'>
}

/** Make and start a peer that is a factory and nothing else: others call it, it calls nobody. Stop it with `stop()`. */
export async function createFactoryPeer(init: FactoryPeerInit): Promise<Libp2p<{ factory: FactoryService }>> {
  const { identity, listen, factory } = init
  return createLibp2p({
    ...nodeOptions(identity, listen),
    services: {
      identify: identify(),
      ping: ping(),
      factory: factoryService({ ...factory, identity })
    }
  })
}

/** What all our peers have in common. */
function nodeOptions({ privateKey }: Identity, listen: readonly string[]) {
  return {
    privateKey,
    addresses: { listen: [...listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES } })],
    connectionManager: {
      maxConnections: CONNECTIONS_MAX,
      inboundConnectionThreshold: CONNECTIONS_PER_SECOND
    },
    // The default interval costs ten times the CPU when idle.
    connectionMonitor: { pingInterval: MINUTE_MS }
  }
}

export type Peer = Libp2p<{ dht: KadDHT; ishare: IShare }>

/** Make and start a peer. Stop it with `stop()`. */
export async function createPeer(init: PeerInit): Promise<Peer> {
  const listen = [...(init.listen ?? [])]
  const list = [...(init.bootstrap ?? [])]
  const isServer = init.isDhtServer ?? listen.length > 0
  const datastore = dhtDatastore(new MemoryDatastore(), { peerId: init.identity.peerId })
  return createLibp2p({
    ...nodeOptions(init.identity, listen),
    datastore,
    // Provider addresses are forgotten with the peer store's ages: keep them as long as the records live.
    peerStore: { maxAddressAge: 24 * HOUR_MS, maxPeerAge: 48 * HOUR_MS },
    peerDiscovery: list.length > 0 ? [bootstrap({ list, timeout: 0 })] : [],
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: PROTOCOL_KAD_DHT,
        clientMode: !isServer,
        // Peers on one network are first-class; the default mapper would drop their addresses.
        peerInfoMapper: passthroughMapper,
        allowQueryWithZeroPeers: true,
        kBucketSize: DHT_BUCKET_SIZE,
        alpha: DHT_PARALLEL_QUERIES,
        disjointPaths: DHT_DISJOINT_PATHS,
        validators: { ishare: offerValidator({ datastore }) },
        selectors: { ishare: offerSelector }
      }),
      ishare: ishare({ ...init.ishare, identity: init.identity })
    }
  })
}
