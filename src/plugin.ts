/**
 * The iShare service, and the only file that joins the features.
 *
 * It follows libp2p's conventions: a factory that takes options and returns a function of the node's components, a
 * `Startable` with `serviceCapabilities` and `serviceDependencies`. A consumer needs nothing but `stateDir`; a peer
 * that provides gives `provider` as well.
 */
import {
  serviceCapabilities,
  serviceDependencies,
  type Connection,
  type PeerId,
  type Startable,
  type Stream
} from '@libp2p/interface'
import type { AddressManager, ConnectionManager, Registrar } from '@libp2p/interface-internal'
import type { KadDHT } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { join } from 'node:path'
import { remoteFactory, type KernelFactory } from '../ifactory/index.ts'
import { discoverer, type DiscoverOptions, type Discovery } from '../idiscover/index.ts'
import {
  dhtAnnouncer,
  offerPublisher,
  offerResponder,
  pageServer,
  type OfferDescription,
  type OfferPublisher,
  type PageServer
} from '../ipublish/index.ts'
import { runClient, runHandler, type RunClient, type RunHandler, type RunHost } from '../irun/index.ts'
import type { Offer, Verified } from './documents/index.ts'
import { dhtKnowsSomebody, onceInDht } from './dht-start.ts'
import { RunError } from './errors.ts'
import { loadOrCreateLogKey, type Identity } from './identity/index.ts'
import { logOpener, readLog, type LogRecord } from '../soda-host/logs/index.ts'

/** A factory that is another peer; `addresses` are multiaddrs. */
export interface FactoryPeer {
  id: string
  addresses: readonly string[]
}

/** What a provider brings. */
export interface ProviderInit {
  /** The machine that runs programs: the client of a SODA host's daemon. */
  host: RunHost
  /** Rules, terms and labels, and what of the machine is offered; the addresses are the node's own. */
  describe(signal: AbortSignal): Promise<Omit<OfferDescription, 'addresses' | 'factories'>>
  /**
   * Factories whose kernels it boots, in the order of preference; the offer names them. One that is another peer is
   * given by its place. @default none: base kernels boot, which seal nothing
   */
  factories?: readonly (KernelFactory | FactoryPeer)[]
  /** Serve the offer's page here. @default no page */
  page?: { host: string; port: number; publicUrl?: string; links?: readonly string[] }
}

export interface IShareInit {
  /** Who this peer is. */
  identity: Identity
  /** Runs and leases are kept below it. */
  stateDir: string
  provider?: ProviderInit
  /** Told what goes wrong in the background. */
  onError?: (error: unknown) => void
}

/** What the service is given by the libp2p node; `dht` is the node's kad-dht service. */
export interface IShareComponents {
  peerId: PeerId
  registrar: Registrar
  connectionManager: ConnectionManager
  addressManager: AddressManager
  dht: KadDHT
}

/** A provider's side at work. */
export interface Provider {
  /** The newest offer, once it has been signed. */
  offer(): Verified<Offer> | undefined
  /** Where its page is served, if it is. */
  readonly pageUrl: string | undefined
  readonly runs: Pick<RunHandler, 'list'>
}

export interface IShare {
  readonly peerId: PeerId
  /** Verified offers from pages, peers and the DHT, as they come. */
  discover(options: DiscoverOptions): AsyncIterable<Discovery>
  /** The consumer's side: submit runs, find them again, bring home what they made. */
  readonly runs: RunClient
  /**
   * What the kernel of a run has alerted to, opened with this peer's log key; with `follow` as it happens, until the run
   * has ended.
   *
   * @throws as `runs.sealedLog`, ERR_LOG_KEY
   */
  alerts(runId: string, options?: { follow?: boolean; signal?: AbortSignal }): AsyncIterable<LogRecord>
  /** Present when the peer provides. */
  readonly provider: Provider | undefined
}

/**
 * A libp2p service.
 *
 * @example
 * ```TypeScript
 * const node = await createLibp2p({ ..., services: { identify: identify(), dht: kadDHT(...), ishare: ishare({ identity, stateDir }) } })
 * for await (const found of node.services.ishare.discover({ dht: true, query: { cpu: 1 } })) console.log(found)
 * ```
 */
export function ishare(init: IShareInit): (components: IShareComponents) => IShare {
  return (components) => new IShareService(components, init)
}

class IShareService implements IShare, Startable {
  readonly [serviceCapabilities]: string[] = ['@ishare/peer']
  readonly [serviceDependencies]: string[] = ['@libp2p/identify', '@libp2p/kad-dht']
  readonly [Symbol.toStringTag] = '@ishare/peer'

  readonly #components: IShareComponents
  readonly #init: IShareInit
  readonly #discoverer
  readonly provider: ProviderSide | undefined
  #runs: RunClient | undefined

  constructor(components: IShareComponents, init: IShareInit) {
    if (!components.peerId.equals(init.identity.peerId))
      throw new TypeError('the identity given to ishare() is not that of the libp2p node')
    this.#components = components
    this.#init = init
    this.#discoverer = discoverer({ openStream: this.#openStream, dht: components.dht })
    if (init.provider !== undefined) {
      const factories = (init.provider.factories ?? []).map((factory) =>
        'issue' in factory ? factory : remoteFactory({ openStream: this.#openStream }, factory)
      )
      this.provider = new ProviderSide(components, init, { ...init.provider, factories })
    }
  }

  get peerId(): PeerId {
    return this.#components.peerId
  }

  /** Opened when it is first used, since a provider has no need of a consumer's store. */
  get runs(): RunClient {
    this.#runs ??= runClient(
      { identity: this.#init.identity, openStream: this.#openStream },
      { stateDir: join(this.#init.stateDir, 'consumer') }
    )
    return this.#runs
  }

  async *discover(options: DiscoverOptions): AsyncIterable<Discovery> {
    if (options.dht === true || options.peers?.some((peer) => !peer.startsWith('/')) === true)
      await dhtKnowsSomebody(this.#components.dht, options.signal)
    yield* this.#discoverer.discover(options)
  }

  async *alerts(
    runId: string,
    options: { follow?: boolean; signal?: AbortSignal } = {}
  ): AsyncGenerator<LogRecord> {
    const opener = await logOpener(await loadOrCreateLogKey(this.#init.stateDir))
    const { serverId } = await this.runs.logFacts(runId)
    for await (const entry of readLog(this.runs.sealedLog(runId, options), { opener, serverId }))
      if (entry.type === 'record' && entry.record.kind === 'alert') yield entry.record
  }

  async start(): Promise<void> {
    await this.provider?.start()
  }

  /** The offer names the node's addresses, which are known only when it listens. */
  async afterStart(): Promise<void> {
    await this.provider?.publish()
  }

  async stop(): Promise<void> {
    try {
      await this.#runs?.close()
    } finally {
      this.#runs = undefined
      await this.provider?.stop()
    }
  }

  #openStream = async (
    peer: string,
    addresses: readonly string[],
    protocol: string,
    signal: AbortSignal
  ): Promise<Stream> => {
    const connection = await this.#connect(peer, addresses, signal)
    try {
      return await connection.newStream(protocol, { signal })
    } catch (error) {
      // A connection may be dead without having said so: the next attempt must not get it again.
      if (error instanceof Error && error.name === 'TimeoutError') connection.abort(error)
      throw error
    }
  }

  async #connect(peer: string, addresses: readonly string[], signal: AbortSignal): Promise<Connection> {
    const peerId = peerIdFromString(peer)
    const { connectionManager } = this.#components
    // With the id at the end a connection to anybody else fails, whoever answers at the address.
    const known = addresses.map((text) => multiaddr(text).decapsulateCode(P2P).encapsulate(`/p2p/${peer}`))
    const connection = await connectionManager.openConnection(known.length > 0 ? known : peerId, { signal })
    if (!connection.remotePeer.equals(peerId))
      throw new RunError(
        'ERR_PROVIDER_DISHONEST',
        `expected peer ${peer}, got ${connection.remotePeer.toString()}`
      )
    return connection
  }
}

/** Code of `/p2p/` in the multicodec table. */
const P2P = 421

class ProviderSide implements Provider, Startable {
  readonly #publisher: OfferPublisher
  readonly #page: PageServer | undefined
  readonly runs: RunHandler

  constructor(
    components: IShareComponents,
    init: IShareInit,
    provider: ProviderInit & { factories: readonly KernelFactory[] }
  ) {
    const onError = init.onError === undefined ? {} : { onError: init.onError }
    const { identity } = init
    this.#page = provider.page === undefined ? undefined : pageServer({ ...provider.page, ...onError })
    this.#publisher = offerPublisher(
      {
        identity,
        describe: async (signal) => ({
          ...(await provider.describe(signal)),
          factories: provider.factories.map(({ id }) => id),
          addresses: components.addressManager.getAddresses().map(String)
        }),
        outlets: [
          offerResponder({ registrar: components.registrar }, onError),
          onceInDht(dhtAnnouncer({ dht: components.dht }, onError), components.dht),
          ...(this.#page === undefined ? [] : [this.#page])
        ]
      },
      onError
    )
    this.runs = runHandler(
      {
        registrar: components.registrar,
        host: provider.host,
        identity,
        offers: this.#publisher,
        factories: provider.factories
      },
      { stateDir: join(init.stateDir, 'provider'), ...onError }
    )
  }

  offer(): Verified<Offer> | undefined {
    return this.#publisher.newest()
  }

  get pageUrl(): string | undefined {
    return this.#page?.url
  }

  /** Runs are taken before anybody can learn of the offer. */
  async start(): Promise<void> {
    await this.runs.start()
  }

  async publish(): Promise<void> {
    await this.#publisher.start()
  }

  async stop(): Promise<void> {
    try {
      await this.#publisher.stop()
    } finally {
      await this.runs.stop()
    }
  }
}
