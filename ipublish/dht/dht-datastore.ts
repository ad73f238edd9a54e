/**
 * Bounds what strangers can make this peer store through the DHT.
 *
 * kad-dht has no quotas: anybody may PUT records and provider records as fast as the connection goes, each under
 * a key of an identity made for it. When there is no more room, those nearest to this peer's own place in the
 * key space stay: they are the ones that other peers come here for, and a flood of random keys does not reach
 * them. One peer can be a provider of so many facets only, and a facet has so many providers, of which the ones
 * that have not renewed their record for longest give way. Whatever this peer stores for itself always stays.
 *
 * Invariant: `#entries` lists exactly the DHT's keys in the datastore below, the longest unrenewed first.
 */
import { createHash } from 'node:crypto'
import type { PeerId } from '@libp2p/interface'
import type { Datastore, Key } from 'interface-datastore'
import { fromString as decode } from 'uint8arrays/from-string'
import { offerKey } from '../../src/documents/offer-keys.ts'
import { PublishError } from '../../src/errors.ts'
import { DHT_STORE_LIMITS } from '../defaults.ts'
import type { DhtStoreLimits } from '../types.ts'
import { recordKey } from './offer-record.ts'

export interface DhtDatastoreInit {
  /** The peer whose datastore it is. */
  peerId: PeerId
  /** kad-dht's `datastorePrefix`. @default '/dht' */
  datastorePrefix?: string
  limits?: Partial<DhtStoreLimits>
}

/**
 * A datastore for libp2p in which the part that kad-dht stores for others is bounded; all else goes through.
 *
 * @throws from `put`: ERR_PUBLISH_DHT when there is no room for the record
 */
export function dhtDatastore(inner: Datastore, init: DhtDatastoreInit): Datastore {
  const guard = new DhtStore(inner, init)
  const own: Partial<Datastore> = { put: guard.put.bind(guard), delete: guard.delete.bind(guard) }
  return new Proxy(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(name in own ? own : target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    }
  })
}

interface Entry {
  key: Key
  kind: 'record' | 'provider'
  /** Hash of the facet and the provider's peer id, of a provider record. */
  facet?: string
  provider?: string
  isOwn: boolean
  /** XOR of the hash of the DHT key and that of the peer id, 32 bytes. */
  distance: Buffer
}

class DhtStore {
  readonly #inner: Datastore
  readonly #prefix: string
  readonly #self: string
  readonly #selfHash: Buffer
  readonly #ownRecord: string
  readonly #limits: DhtStoreLimits
  readonly #entries = new Map<string, Entry>()
  #loaded: Promise<void> | undefined

  constructor(inner: Datastore, { peerId, datastorePrefix = '/dht', limits }: DhtDatastoreInit) {
    this.#inner = inner
    this.#prefix = datastorePrefix
    this.#self = peerId.toString()
    this.#selfHash = sha256(peerId.toMultihash().bytes)
    this.#ownRecord = recordKey(datastorePrefix, offerKey(this.#self)).toString()
    this.#limits = { ...DHT_STORE_LIMITS, ...limits }
  }

  async put(...args: Parameters<Datastore['put']>): Promise<Key> {
    const [key, value] = args
    const entry = this.#entryOf(key)
    if (entry === undefined) return this.#inner.put(...args)
    if (value.length > this.#limits.recordBytesMax)
      throw refused(`${value.length} bytes are too long for a record`)
    this.#loaded ??= this.#load()
    await this.#loaded
    const evicted = this.#admit(entry)
    for (const { key } of evicted) await this.#inner.delete(key)
    return this.#inner.put(...args)
  }

  async delete(...args: Parameters<Datastore['delete']>): Promise<void> {
    this.#entries.delete(args[0].toString())
    await this.#inner.delete(...args)
  }

  async #load(): Promise<void> {
    for await (const key of this.#inner.queryKeys({ prefix: `${this.#prefix}/` })) {
      const entry = this.#entryOf(key)
      if (entry !== undefined) this.#entries.set(key.toString(), entry)
    }
  }

  /** Make room and take the entry in. @returns what has to go */
  #admit(entry: Entry): Entry[] {
    const name = entry.key.toString()
    const isKnown = this.#entries.delete(name)
    const evicted = isKnown || entry.isOwn ? [] : this.#makeRoom(entry)
    for (const { key } of evicted) this.#entries.delete(key.toString())
    this.#entries.set(name, entry)
    return evicted
  }

  #makeRoom(entry: Entry): Entry[] {
    const others = [...this.#entries.values()].filter(({ kind, isOwn }) => kind === entry.kind && !isOwn)
    const { recordsMax, providersMax, providersPerFacetMax, facetsPerProviderMax } = this.#limits
    if (entry.kind === 'record') return others.length < recordsMax ? [] : [farthest(others, entry)]
    if (others.filter(({ provider }) => provider === entry.provider).length >= facetsPerProviderMax)
      throw refused(`${entry.provider ?? ''} is a provider of too much`)
    const ofFacet = others.filter(({ facet }) => facet === entry.facet)
    if (ofFacet.length >= providersPerFacetMax) return ofFacet.slice(0, 1)
    return others.length < providersMax ? [] : [farthest(others, entry)]
  }

  /** `PREFIX/record/KEY` or `PREFIX/provider/MULTIHASH/PEER`, both in base32; undefined for all else. */
  #entryOf(key: Key): Entry | undefined {
    const name = key.toString()
    if (!name.startsWith(`${this.#prefix}/`)) return undefined
    const [kind, dhtKey = '', provider] = name.slice(this.#prefix.length + 1).split('/')
    if (kind === 'record')
      return { key, kind, isOwn: name === this.#ownRecord, distance: this.#distance(dhtKey) }
    if (kind !== 'provider' || provider === undefined) return undefined
    const isOwn = provider === this.#self
    return { key, kind, facet: dhtKey, provider, isOwn, distance: this.#distance(dhtKey) }
  }

  #distance(base32: string): Buffer {
    const hash = sha256(decode(base32, 'base32'))
    return Buffer.from(hash.map((byte, index) => byte ^ (this.#selfHash[index] ?? 0)))
  }
}

/** @throws ERR_PUBLISH_DHT when `entry` itself is the farthest */
function farthest(others: readonly Entry[], entry: Entry): Entry {
  const last = others.reduce((far, other) => (other.distance.compare(far.distance) > 0 ? other : far), entry)
  if (last === entry) throw refused('the store is full of records nearer to this peer')
  return last
}

function sha256(data: Uint8Array): Buffer {
  return createHash('sha256').update(data).digest()
}

function refused(reason: string): PublishError {
  return new PublishError('ERR_PUBLISH_DHT', `a record of the DHT was refused: ${reason}`)
}
