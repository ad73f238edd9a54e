import { join } from 'node:path'
import { noise } from '@libp2p/noise'
import type { Libp2p, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { HostClient } from '../../../soda-host/client/index.ts'
import {
  runClient,
  runHandler,
  type RunClient,
  type RunHandle,
  type RunHandler,
  type RunHost
} from '../../../irun/index.ts'
import type { ConsumerLimits, ProviderLimits } from '../../../irun/limits.ts'
import type { KernelFactory, RunClientComponents, SubmitRequest } from '../../../irun/types.ts'
import { MIB } from '../../../src/constants.ts'
import type { Limits, Offer, PayloadInput, Verified } from '../../../src/documents/index.ts'
import { createIdentity, type Identity } from '../../../src/identity/index.ts'
import { sampleLimits, sampleOffer, signed } from '../documents.ts'
import { fakeRunHost } from '../fake-run-host.ts'
import { temporaryDirectory } from '../temporary.ts'

/** A libp2p node that can be dialled on loopback and speaks nothing yet. */
export interface Node extends AsyncDisposable {
  identity: Identity
  libp2p: Libp2p
  addresses(): string[]
  openStream: RunClientComponents['openStream']
}

export async function startNode(identity?: Identity, port = 0): Promise<Node> {
  const self = identity ?? (await createIdentity())
  const libp2p = await createLibp2p({
    privateKey: self.privateKey,
    addresses: { listen: [`/ip4/127.0.0.1/tcp/${port}`] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: { inboundConnectionThreshold: 1000 }
  })
  return {
    identity: self,
    libp2p,
    addresses: () => libp2p.getMultiaddrs().map(String),
    openStream: (_peer, addresses, protocol, signal): Promise<Stream> =>
      libp2p.dialProtocol(
        addresses.map((text) => multiaddr(text)),
        protocol,
        { signal }
      ),
    [Symbol.asyncDispose]: async () => libp2p.stop()
  }
}

/** As wide as the fake host's slice. */
export const RULES: PayloadInput<'offer'>['rules'] = {
  who: { kind: 'anyone' },
  perRun: sampleLimits({ cpu: 1, memoryBytes: 512 * MIB, diskBytes: 512 * MIB, outputBytesMax: 2048 * MIB }),
  egress: { kind: 'none' },
  concurrentRunsPerPeer: 2,
  mayFreeze: false
}

export interface MarketInit {
  offer?: Partial<PayloadInput<'offer'>>
  providerLimits?: Partial<ProviderLimits>
  consumerLimits?: Partial<ConsumerLimits>
  /** Whose kernels this provider boots. */
  factories?: (provider: Identity) => KernelFactory[]
  /** In place of the fake host. */
  host?: (fake: HostClient) => RunHost
}

/** A provider with a fake host and a consumer, each a real libp2p node in this process. */
export interface Market extends AsyncDisposable {
  directory: string
  provider: Node
  consumer: Node
  host: HostClient
  handler: RunHandler
  client: RunClient
  offer: Verified<Offer>
  /** What the provider did not tell. */
  errors: unknown[]
  request(script: string, changes?: Partial<SubmitRequest>): SubmitRequest
  submit(script: string, changes?: Partial<SubmitRequest>): Promise<RunHandle>
  /** A client on its own store, or on the one of another. */
  newClient(stateDir?: string, node?: Node): RunClient
}

export async function openMarket(init: MarketInit = {}): Promise<Market> {
  await using undo = new AsyncDisposableStack()
  const { path: directory } = undo.use(await temporaryDirectory())
  const { host: fake } = undo.use(await fakeRunHost())
  const provider = undo.use(await startNode())
  const consumer = undo.use(await startNode())
  const { images } = await fake.capacity()
  const factories = init.factories?.(provider.identity) ?? []
  const said = {
    images,
    addresses: provider.addresses(),
    rules: RULES,
    factories: factories.map(({ id }) => id)
  }
  const offer = await signed(
    'offer',
    sampleOffer(provider.identity, { ...said, ...init.offer }),
    provider.identity
  )
  const errors: unknown[] = []
  const handler = runHandler(
    {
      registrar: provider.libp2p,
      host: init.host?.(fake) ?? fake,
      identity: provider.identity,
      offers: { current: () => [offer.token] },
      factories
    },
    {
      stateDir: join(directory, 'provider'),
      onError: (error) => errors.push(error),
      ...(init.providerLimits === undefined ? {} : { limits: init.providerLimits })
    }
  )
  await handler.start()
  undo.defer(() => handler.stop())
  let stack = undo
  function newClient(stateDir = join(directory, 'consumer'), node = consumer): RunClient {
    return stack.use(
      runClient(
        { identity: node.identity, openStream: node.openStream },
        { stateDir, limits: { reconnectMsMin: 20, reconnectMsMax: 200, ...init.consumerLimits } }
      )
    )
  }
  const client = newClient()
  const request: Market['request'] = (script, changes = {}) => ({
    offer,
    limits: smallLimits(),
    image: 'tiny',
    program: { argv: ['sh', '-c', script] },
    ...changes
  })
  const resources = (stack = undo.move())
  return {
    directory,
    provider,
    consumer,
    host: fake,
    handler,
    client,
    offer,
    errors,
    request,
    submit: (script, changes) => client.submit(request(script, changes)),
    newClient,
    [Symbol.asyncDispose]: () => resources.disposeAsync()
  }
}

/** Two of these fit into the fake host's slice. */
export function smallLimits(changes: Partial<Limits> = {}): Limits {
  return sampleLimits({ cpu: 0.25, memoryBytes: 64 * 2 ** 20, diskBytes: 64 * 2 ** 20, ...changes })
}

/** A host with some methods replaced. */
export function hostWith(host: RunHost, replaced: Partial<RunHost>): RunHost {
  return new Proxy(host, {
    get: (target, name: keyof RunHost) => replaced[name] ?? target[name].bind(target)
  })
}
