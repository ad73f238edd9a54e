import { once } from 'node:events'
import { identify } from '@libp2p/identify'
import type { Libp2p, PeerId, Stream } from '@libp2p/interface'
import { kadDHT, passthroughMapper, type KadDHT } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { MemoryDatastore } from 'datastore-core'
import type { Datastore } from 'interface-datastore'
import { createLibp2p } from 'libp2p'
import { offerSelector, offerValidator } from '../../ipublish/index.ts'
import { MINUTE_MS, PROTOCOL_KAD_DHT } from '../../src/constants.ts'
import { createIdentity, type Identity } from '../../src/identity/index.ts'

/** A real libp2p node on loopback, with the DHT as iShare peers have it. */
export interface TestNode extends AsyncDisposable {
  identity: Identity
  libp2p: Libp2p<{ dht: KadDHT }>
  dht: KadDHT
  datastore: Datastore
  /** Multiaddrs with peer id. */
  addresses(): string[]
  openStream(
    peer: string,
    addresses: readonly string[],
    protocol: string,
    signal: AbortSignal
  ): Promise<Stream>
}

export interface TestNodeInit {
  identity?: Identity
  datastore?: Datastore
  /** Listen, and answer DHT queries. @default true */
  isServer?: boolean
}

export async function startNode(init: TestNodeInit = {}): Promise<TestNode> {
  const identity = init.identity ?? (await createIdentity())
  const datastore = init.datastore ?? new MemoryDatastore()
  const isServer = init.isServer ?? true
  const libp2p = await createLibp2p({
    privateKey: identity.privateKey,
    datastore,
    addresses: { listen: isServer ? ['/ip4/127.0.0.1/tcp/0'] : [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    // All nodes share one address: the default lets five new connections a second in.
    connectionManager: { inboundConnectionThreshold: 1000 },
    connectionMonitor: { pingInterval: MINUTE_MS },
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: PROTOCOL_KAD_DHT,
        clientMode: !isServer,
        peerInfoMapper: passthroughMapper,
        allowQueryWithZeroPeers: true,
        kBucketSize: 8,
        alpha: 3,
        disjointPaths: 2,
        validators: { ishare: offerValidator({ datastore }) },
        selectors: { ishare: offerSelector }
      })
    }
  })
  const { dht } = libp2p.services
  return {
    identity,
    libp2p,
    dht,
    datastore,
    addresses: () => libp2p.getMultiaddrs().map(String),
    openStream(peer, addresses, protocol, signal) {
      const target = addresses.length > 0 ? addresses.map((text) => multiaddr(text)) : peerIdFromString(peer)
      return libp2p.dialProtocol(target, protocol, { signal })
    },
    [Symbol.asyncDispose]: async () => libp2p.stop()
  }
}

/** So many nodes, each of which has the first one in its routing table. */
export async function startNodes(count: number): Promise<TestNode[] & AsyncDisposable> {
  const nodes = await Promise.all(Array.from({ length: count }, () => startNode()))
  const [first, ...others] = nodes
  if (first !== undefined) for (const node of others) await join(node, first)
  return Object.assign(nodes, {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
    }
  })
}

/** Connect, and wait until both have each other in their routing tables (servers only). */
export async function join(node: TestNode, other: TestNode): Promise<void> {
  const known = [routed(node, other)]
  if (node.dht.getMode() === 'server') known.push(routed(other, node))
  await node.libp2p.dial(other.libp2p.getMultiaddrs())
  await Promise.all(known)
}

async function routed({ dht }: TestNode, { libp2p: { peerId } }: TestNode): Promise<void> {
  const { routingTable } = dht as unknown as { routingTable: RoutingTable }
  using stopped = new DisposableStack()
  const over = new AbortController()
  stopped.defer(() => over.abort())
  while (true) {
    // Listening begins before looking, lest the peer comes in between.
    const added = once(routingTable, 'peer:add', over).catch(() => undefined)
    if ((await routingTable.find(peerId)) !== undefined) return
    await added
  }
}

interface RoutingTable extends EventTarget {
  find(peer: PeerId): Promise<PeerId | undefined>
}
