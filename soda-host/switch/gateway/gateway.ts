/**
 * The gateway of one host: where servers that were granted something outside leave the switch.
 *
 * Theory of operation. A network namespace of our own has the one gateway address on a cable to the switch, an uplink,
 * the reverse firewall (ruleset.ts), and forwards IPv4; the owner's machine has no address on the switch and does not
 * forward between the two. All of it is the kernel's and outlives the daemon; what an uplink needs to be undone is
 * written down before it is made. What this object is told when it is opened (grants) replaces what the sets hold;
 * what names meant, connections, rates and counters stay.
 *
 * Names are answered by a process of ours in the same namespace (resolver/), which lives with the daemon.
 *
 * One change at a time; each change of rules is one nft transaction. What is forbidden comes first when a gateway is
 * made, and the uplink last.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { HostError } from '../../../src/errors.ts'
import { GATEWAY_ADDRESS, PREFIX_LENGTH, switchNamespace } from '../addresses.ts'
import { command } from '../commands.ts'
import { makeNamespace } from '../switch.ts'
import { readDenials, type EgressDenial } from './denials.ts'
import { forbiddenRanges, isForbidden } from './forbidden.ts'
import { grantedNames, type ServerGrants } from './grants.ts'
import { parseIpv4, type Ipv4Range } from './ipv4.ts'
import { Place } from './place.ts'
import { ResolvedBook } from './resolved-book.ts'
import type { Report } from './resolver/messages.ts'
import { namePolicy } from './resolver/names.ts'
import type { LinkedNames } from './resolver/resolver.ts'
import { ResolverKeeper } from './resolver/resolver-keeper.ts'
import * as rules from './ruleset.ts'
import { closeUplink, describeUplink, openUplink } from './uplinks.ts'
import {
  uplinkRecord,
  type Uplink,
  type UplinkChoice,
  type UplinkContext,
  type UplinkRecord
} from './uplink.ts'

export interface GatewayInit {
  /** The host's; it names the gateway. */
  stateDir: string
  uplink: UplinkChoice
  /** Makes an interface of that name in that namespace, with a cable to the switch. */
  attach(port: { namespace: string; interface: string }): Promise<void>
  /** Those of servers that may live. */
  grants: readonly ServerGrants[]
  /** By address of a server: the names that it knows linked servers by. @default none */
  names?: ReadonlyMap<string, LinkedNames>
  /** DNS servers that our resolver asks: IPv4 addresses, which may be in the owner's networks. */
  upstreams: readonly string[]
  /** A server was refused a name. @default nobody is told */
  onNameDenied?: (denial: NameDenial) => void
  /** The owner's machine, as a namespace of that name. @default the daemon's own */
  hostNamespace?: string
}

/** Addresses and ports that names of one server may open at a time. */
const RESOLVED_PER_SERVER_MAX = 512
/** What a name meant stays open for this long after the guest may have forgotten it, in seconds. */
const RESOLVED_GRACE_SECONDS = 60
const RESOLVED_MIN_SECONDS = 30
const RESOLVED_MAX_SECONDS = 300

export type NameDenial = { id: string } & Pick<Report & { kind: 'denied' }, 'name' | 'reason'>

const SETTINGS = `
cd /proc/sys/net
if [ -d ipv6 ]; then echo 1 > ipv6/conf/default/disable_ipv6; echo 1 > ipv6/conf/all/disable_ipv6; fi
for which in default all; do
  echo 0 > ipv4/conf/$which/accept_redirects
  echo 0 > ipv4/conf/$which/send_redirects
  echo 0 > ipv4/conf/$which/accept_source_route
  echo 1 > ipv4/conf/$which/rp_filter
  echo 1 > ipv4/conf/$which/arp_ignore
  echo 2 > ipv4/conf/$which/arp_announce
done
`
/** Connection tracking has its settings only when rules need it. A connection begins with SYN or it is none. */
const FORWARDING = `
echo 0 > /proc/sys/net/netfilter/nf_conntrack_tcp_loose
echo 1 > /proc/sys/net/ipv4/ip_forward
`
const GUEST_SIDE = `
ip addr replace ${GATEWAY_ADDRESS}/${PREFIX_LENGTH} dev ${rules.GUESTS}
ip link set ${rules.GUESTS} up
`

export class Gateway {
  readonly namespace: string
  readonly #place: Place
  readonly #host: Place
  readonly #init: GatewayInit
  readonly #recordPath: string
  readonly #grants = new Map<string, ServerGrants>()
  #forbidden: Ipv4Range[] = []
  readonly #resolver: ResolverKeeper
  readonly #resolved = new ResolvedBook(RESOLVED_PER_SERVER_MAX)
  #uplink: Uplink | undefined
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(init: GatewayInit) {
    this.#init = init
    this.namespace = gatewayNamespace(init.stateDir)
    this.#place = new Place(this.namespace)
    this.#host = new Place(init.hostNamespace)
    this.#recordPath = join(init.stateDir, 'uplink.json')
    for (const grants of init.grants) this.#grants.set(grants.id, grants)
    this.#resolver = new ResolverKeeper({
      namespace: this.namespace,
      admit: (admission) => this.#inTurn(() => this.#admit(admission)),
      denied: ({ client, name, reason }) => {
        const grants = this.#grantsAt(client)
        if (grants !== undefined) init.onNameDenied?.({ id: grants.id, name, reason })
      }
    })
  }

  /** Make it, or take it up where an earlier daemon left it. @throws ERR_SWITCH, ERR_UPLINK */
  static async open(init: GatewayInit): Promise<Gateway> {
    const made = new Gateway(init)
    await made.#open()
    return made
  }

  /** In force when it resolves; connections that an earlier grant let begin are cut if it is another one. */
  setGrants(grants: ServerGrants): Promise<void> {
    return this.#inTurn(() => this.#change(grants.id, grants))
  }

  /** Whatever of the server's runs outside is cut when it resolves. */
  removeGrants(id: string): Promise<void> {
    return this.#inTurn(() => this.#change(id, undefined))
  }

  /** The names by which the server at `client` knows those that it is linked to; in force when it resolves. */
  setNames(client: string, names: LinkedNames): Promise<void> {
    return this.#inTurn(async () => {
      await this.#place.nft(rules.changeNameClient(client, Object.keys(names).length > 0))
      await this.#resolver.setNames(client, names)
    })
  }

  /** Look at the owner's machine again: which addresses and networks it has. */
  refresh(): Promise<void> {
    return this.#inTurn(() => this.#forbid())
  }

  denials(): Promise<EgressDenial[]> {
    return readDenials(this.#place)
  }

  /** Let go: what was granted stays in force, but names are not answered until there is a daemon again. */
  async close(): Promise<void> {
    await this.#resolver.close()
  }

  /** Nothing of it is left, and what the owner's machine gave is given back. */
  remove(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#resolver.close()
      // After a reboot there is a record and no namespace.
      await makeNamespace(this.namespace)
      const record = await this.#readRecord()
      await closeUplink(this.#context, record)
      await command('ip', ['netns', 'delete', this.namespace])
      await rm(this.#recordPath, { force: true })
    })
  }

  get #context(): UplinkContext {
    const { stateDir } = this.#init
    return {
      name: switchNamespace(stateDir),
      gateway: this.#place,
      host: this.#host,
      stateDir: resolve(stateDir)
    }
  }

  async #open(): Promise<void> {
    await makeNamespace(this.namespace)
    await this.#place.script(SETTINGS)
    await this.#place.nft([rules.baseRules()])
    await this.#place.script(FORWARDING)
    await this.#forbid()
    const { upstreams, names = new Map<string, LinkedNames>() } = this.#init
    await this.#place.nft([
      ...rules.replaceUpstreams(upstreams),
      ...rules.replaceGrants([...this.#grants.values()], this.#forbidden),
      ...rules.replaceNameClients([...names.keys()])
    ])
    if (!(await this.#place.hasInterface(rules.GUESTS)))
      await this.#init.attach({ namespace: this.namespace, interface: rules.GUESTS })
    await this.#place.script(GUEST_SIDE)
    await this.#openUplink()
    await this.#configureResolver()
    for (const [client, known] of names) await this.#resolver.setNames(client, known)
  }

  /** The one on record goes on if it is what is wanted now, else it is undone first. */
  async #openUplink(): Promise<void> {
    const choice = this.#init.uplink
    let record = await this.#readRecord()
    if (!isOfChoice(record, choice)) {
      await closeUplink(this.#context, record)
      record = await describeUplink(this.#context, choice)
      await this.#writeRecord(record)
    }
    try {
      this.#uplink = await openUplink(this.#context, record)
    } catch (error) {
      await closeUplink(this.#context, record).catch((leftover: unknown) => {
        throw new AggregateError([error, leftover], 'an uplink failed, and so did its clean-up')
      })
      await rm(this.#recordPath, { force: true })
      throw error
    }
    await this.#writeRecord(this.#uplink.record)
    await this.#forbid()
    await this.#publish()
  }

  /** The address that an uplink has is the owner's as well. */
  async #forbid(): Promise<void> {
    const ranges = await Promise.all([this.#host.ownerRanges(), this.#place.ownerRanges()])
    this.#forbidden = forbiddenRanges(ranges.flat())
    await this.#place.nft(rules.replaceForbidden(this.#forbidden))
    await this.#updateUplink()
    await this.#configureResolver()
  }

  async #change(id: string, after: ServerGrants | undefined): Promise<void> {
    if (after !== undefined) await this.#assertPublishable(after)
    const before = this.#grants.get(id)
    await this.#place.nft(rules.changeGrants(before, after, this.#forbidden))
    if (after === undefined) this.#grants.delete(id)
    else this.#grants.set(id, after)
    this.#resolved.forget(id)
    await this.#publish()
    await this.#configureResolver()
  }

  async #configureResolver(): Promise<void> {
    // Before the uplink stands there is nobody to ask.
    if (this.#uplink === undefined) return
    const clients = [...this.#grants.values()].flatMap(({ address, egress }) => {
      const policy = namePolicy(egress)
      return policy === undefined ? [] : [[address, policy] as const]
    })
    const { upstreams } = this.#init
    await this.#resolver.configure({
      upstreams,
      forbidden: this.#forbidden,
      clients: Object.fromEntries(clients)
    })
  }

  /** What a name means opens the ports that were granted for it, and is judged here once more. */
  async #admit({ client, name, addresses }: Report & { kind: 'admit' }): Promise<string[]> {
    const grants = this.#grantsAt(client)
    const ports = grants === undefined ? undefined : grantedNames(grants.egress).get(name)
    if (grants === undefined || ports === undefined) return []
    const admitted = addresses.filter(({ address }) => !isForbidden(address, this.#forbidden))
    const entries = admitted.flatMap(({ address, ttl }) => {
      const seconds =
        Math.min(RESOLVED_MAX_SECONDS, Math.max(RESOLVED_MIN_SECONDS, ttl)) + RESOLVED_GRACE_SECONDS
      return ports.map(({ protocol, port }) => ({ address, protocol, port, seconds }))
    })
    const kept = this.#resolved.enter(grants.id, entries)
    await this.#place.nft(rules.admitResolved(grants, kept))
    return [...new Set(kept.map(({ address }) => address))]
  }

  #grantsAt(address: string): ServerGrants | undefined {
    return [...this.#grants.values()].find((grants) => grants.address === address)
  }

  async #publish(): Promise<void> {
    const uplink = this.#uplink
    const lines = rules.replacePublished(
      [...this.#grants.values()],
      (address) => uplink?.arriving(address) ?? address
    )
    await this.#place.nft(lines)
    await this.#updateUplink()
  }

  async #updateUplink(): Promise<void> {
    const { upstreams } = this.#init
    await this.#uplink?.update({ forbidden: this.#forbidden, upstreams, grants: [...this.#grants.values()] })
  }

  /** Never on every address that the machine has: on one that it has. */
  async #assertPublishable({ id, inbound }: ServerGrants): Promise<void> {
    if (inbound.length === 0) return
    const kind = this.#uplink?.record.kind
    if (kind !== 'nat' && kind !== 'dedicated')
      throw new HostError('ERR_UPLINK', `the uplink ${kind ?? 'none'} cannot publish ports of server ${id}`)
    const place = kind === 'nat' ? this.#host : this.#place
    const owned = new Set((await place.addresses()).map(({ address }) => address))
    const taken = [...this.#grants.values()]
      .filter((other) => other.id !== id)
      .flatMap((other) => other.inbound.map(placeOf))
    for (const port of inbound) {
      if (!owned.has(port.publishedAddress) || parseIpv4(port.publishedAddress) === undefined)
        throw new HostError('ERR_UPLINK', `${port.publishedAddress} is no address of this machine`)
      if (taken.includes(placeOf(port)))
        throw new HostError('ERR_UPLINK', `${placeOf(port)} is published for another server already`)
    }
  }

  async #readRecord(): Promise<UplinkRecord> {
    const text = await readFile(this.#recordPath, 'utf8').catch(() => undefined)
    return text === undefined ? { kind: 'none' } : uplinkRecord.parse(JSON.parse(text))
  }

  async #writeRecord(record: UplinkRecord): Promise<void> {
    await writeFile(this.#recordPath, JSON.stringify(record), { mode: 0o600, flush: true })
  }

  #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(body)
    this.#turn = turn.catch(() => undefined)
    return turn
  }
}

/** Two daemons have two state directories, and so two gateways. */
export function gatewayNamespace(stateDir: string): string {
  return `${switchNamespace(stateDir)}-gateway`
}

function placeOf({ publishedAddress, publishedPort }: ServerGrants['inbound'][number]): string {
  return `${publishedAddress}:${publishedPort}`
}

function isOfChoice(record: UplinkRecord, choice: UplinkChoice): boolean {
  if (record.kind === 'dedicated' && choice.kind === 'dedicated') return record.interface === choice.interface
  return record.kind === choice.kind
}
