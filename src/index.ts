/**
 * @packageDocumentation
 *
 * iShare: lend and borrow slices of Linux machines over libp2p.
 *
 * - {@link ishare} is a libp2p service: `createLibp2p({ services: { ishare: ishare(init) } })`.
 * - {@link createPeer} makes a whole node with it.
 * - The SODA host, which runs virtual servers, is a process of its own, reached with {@link hostClient}.
 */
export { createFactoryPeer, createPeer, type FactoryPeerInit, type Peer, type PeerInit } from './peer.ts'
export { factoryService, type FactoryService, type FactoryServiceInit } from '../ifactory/index.ts'
export {
  ishare,
  type IShare,
  type IShareComponents,
  type IShareInit,
  type Provider,
  type FactoryPeer,
  type ProviderInit
} from './plugin.ts'
export * from './errors.ts'
export { createIdentity, loadOrCreateIdentity, type Identity } from './identity/index.ts'
