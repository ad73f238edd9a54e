import type { AbortOptions, Connection, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import type { RunClientComponents } from './types.ts'

/** The part of libp2p's connection manager (`components.connectionManager`) that is needed. */
interface ConnectionOpener {
  openConnection(peer: PeerId | Multiaddr | Multiaddr[], options?: AbortOptions): Promise<Connection>
}

/**
 * `openStream` for `runClient`, over libp2p: a connection that exists, or one of the addresses, each bound to
 * the peer so that whoever else answers there is turned away by the handshake.
 */
export function libp2pOpenStream(connections: ConnectionOpener): RunClientComponents['openStream'] {
  return async (peer, addresses, protocol, signal) => {
    const peerId = peerIdFromString(peer)
    const bound = addresses.map((address) => {
      const parsed = multiaddr(address)
      return parsed.getComponents().some(({ name }) => name === 'p2p')
        ? parsed
        : parsed.encapsulate(`/p2p/${peer}`)
    })
    const connection = await connections.openConnection(bound.length > 0 ? bound : peerId, { signal })
    if (!connection.remotePeer.equals(peerId))
      throw new Error(`reached ${connection.remotePeer.toString()}, not ${peer}`)
    return connection.newStream(protocol, { signal })
  }
}
