/**
 * What servers have outside: the port of each on the switch, with the grants of its lease at the gateway; and the
 * names of servers that they are linked to, which the gateway knows too.
 *
 * A server's grants are in force when its port is there and its guest is not yet, and are taken away before the port
 * goes. A name means something while there is a link that gives it, and both ends have a port: then nobody else can
 * have the address. Without an uplink nothing is granted outside, and the gateway is there for names only.
 */
import { HostError } from '../../src/errors.ts'
import { MINUTE_MS } from '../../src/constants.ts'
import { addressesOf, GATEWAY_ADDRESS } from '../switch/addresses.ts'
import { Gateway, ownerNameServers, type ServerGrants, type UplinkChoice } from '../switch/gateway/index.ts'
import type {
  GuestNetwork,
  OutboundRates,
  Outside as PortOutside,
  PortAttachment,
  PortSpec,
  Switch
} from '../switch/index.ts'
import type { Link, OutsideState } from './api.ts'
import type { DaemonLog } from './log.ts'
import type { PublishConfig } from './published-ports.ts'
import { isEnded, type ServerRecord } from './server-record.ts'

/** Between two looks at which networks the owner's machine has. */
const REFRESH_MS = MINUTE_MS / 2
const DENIALS_MAX = 200

export interface OutsideConfig {
  /** @default none: servers reach nothing outside */
  uplink?: UplinkChoice
  /** DNS servers to ask for guests. @default those of this machine */
  nameServers?: readonly string[]
  /** Where inbound ports are published. @default nowhere */
  publish?: PublishConfig
  /** Network namespace that is the owner's machine. @default the daemon's own */
  hostNamespace?: string
}

export interface OutsideInit extends OutsideConfig {
  stateDir: string
}

export interface OutsideComponents {
  network: Switch
  table: { all(): ServerRecord[]; namedLinks(id: string): Link[] }
  log: DaemonLog
}

export class Outside implements GuestNetwork {
  readonly #with: OutsideComponents
  readonly #uplink: UplinkChoice
  /** Slots of those that have a port, by id. */
  readonly #ports = new Map<string, number>()
  readonly #timer: NodeJS.Timeout
  #gateway: Gateway | undefined

  private constructor(uplink: UplinkChoice, components: OutsideComponents) {
    this.#with = components
    this.#uplink = uplink
    for (const { slot, spec } of alive(components)) this.#ports.set(spec.id, slot)
    this.#timer = setInterval(() => void this.#refresh(), REFRESH_MS).unref()
  }

  /** @throws ERR_UPLINK when the uplink that the owner chose cannot be had */
  static async open(init: OutsideInit, components: OutsideComponents): Promise<Outside> {
    const { stateDir, uplink = { kind: 'none' }, publish, hostNamespace } = init
    if (publish !== undefined && uplink.kind !== 'nat' && uplink.kind !== 'dedicated')
      throw new HostError(
        'ERR_UPLINK',
        `ports cannot be published by the uplink ${uplink.kind}: choose nat or dedicated`
      )
    const { network, log } = components
    const base = {
      stateDir,
      attach: (end: Parameters<Switch['attachGateway']>[0]) => network.attachGateway(end),
      ...(hostNamespace !== undefined && { hostNamespace })
    }
    const upstreams = uplink.kind === 'none' ? [] : (init.nameServers ?? (await ownerNameServers()))
    if (uplink.kind !== 'none' && upstreams.length === 0)
      log.warn({}, 'no DNS server is known that guests could be served from')
    const made = new Outside(uplink, components)
    try {
      made.#gateway = await Gateway.open({
        ...base,
        uplink,
        upstreams,
        grants: alive(components).map((record) => made.#grantsOf(record)),
        names: made.#allNames(),
        onNameDenied: (denial) => log.info(denial, 'a name was refused')
      })
    } catch (error) {
      clearInterval(made.#timer)
      if (uplink.kind !== 'none') throw error
      log.warn({ err: error }, 'this machine has no gateway: linked servers have no names')
    }
    return made
  }

  setOutbound(id: string, rates: OutboundRates): Promise<void> {
    return this.#with.network.setOutbound(id, rates)
  }

  async addPort(spec: PortSpec): Promise<PortAttachment> {
    const gateway = this.#gateway
    const record = gateway === undefined ? undefined : this.#record(spec.id)
    if (record === undefined || gateway === undefined) return await this.#with.network.addPort(spec)
    const grants = this.#grantsOf(record)
    const attachment = await this.#with.network.addPort({ ...spec, outside: outsideOf(grants) })
    this.#ports.set(spec.id, spec.slot)
    await gateway.setGrants(grants)
    await this.#namesChanged(spec.id)
    // Replies to those who come in need a way back too.
    const isOutside = grants.egress.kind !== 'none' || grants.inbound.length > 0
    return { ...attachment, resolver: GATEWAY_ADDRESS, ...(isOutside && { gateway: GATEWAY_ADDRESS }) }
  }

  async removePort(slot: number): Promise<void> {
    const [id] = [...this.#ports].find(([, taken]) => taken === slot) ?? []
    if (id !== undefined) {
      this.#ports.delete(id)
      await this.#namesChanged(id)
      await this.#gateway?.setNames(addressesOf(slot).ipv4, {})
      await this.#gateway?.removeGrants(id)
    }
    await this.#with.network.removePort(slot)
  }

  /** Links of that server came, went, or have other names. */
  async linksChanged(from: string): Promise<void> {
    const slot = this.#ports.get(from)
    if (slot === undefined) return
    await this.#gateway?.setNames(addressesOf(slot).ipv4, this.#namesOf(from))
  }

  async state(): Promise<OutsideState> {
    const records = alive(this.#with)
    const names = new Map(records.map(({ slot, spec }) => [addressesOf(slot).ipv4, spec.id]))
    const denials = (await this.#gateway?.denials()) ?? []
    return {
      uplink: this.#uplink.kind,
      servers: records.map((record) => {
        const { id, egress, inbound } = grantsOf(record)
        return { id, egress, published: [...inbound] }
      }),
      denials: denials
        .toSorted((a, b) => b.packets - a.packets)
        .slice(0, DENIALS_MAX)
        .map(({ from, ...rest }) => ({ ...rest, from: names.get(from) ?? from }))
    }
  }

  /** Let go; what servers were granted stays in force. With no server left, nothing of the gateway is left. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    if (this.#ports.size > 0) await this.#gateway?.close()
    else await this.#gateway?.remove()
  }

  /** A server's port came or went: it, and those that know it by a name. */
  async #namesChanged(id: string): Promise<void> {
    const knowing = this.#with.table.namedLinks(id).map(({ from }) => from)
    for (const from of new Set([id, ...knowing])) await this.linksChanged(from)
  }

  #allNames(): Map<string, Record<string, string>> {
    const all = [...this.#ports].map(([id, slot]) => [addressesOf(slot).ipv4, this.#namesOf(id)] as const)
    return new Map(all.filter(([, names]) => Object.keys(names).length > 0))
  }

  /** Of those that it is linked to and that have a port: their addresses. */
  #namesOf(id: string): Record<string, string> {
    const named = this.#with.table.namedLinks(id).filter(({ from }) => from === id)
    return Object.fromEntries(
      named.flatMap(({ to, name }) => {
        const slot = this.#ports.get(to)
        return name === undefined || slot === undefined ? [] : [[name, addressesOf(slot).ipv4]]
      })
    )
  }

  #grantsOf(record: ServerRecord): ServerGrants {
    const grants = grantsOf(record)
    return this.#uplink.kind === 'none' ? { ...grants, egress: { kind: 'none' }, inbound: [] } : grants
  }

  #record(id: string): ServerRecord | undefined {
    return this.#with.table.all().find(({ spec }) => spec.id === id)
  }

  async #refresh(): Promise<void> {
    try {
      await this.#gateway?.refresh()
    } catch (error) {
      this.#with.log.error({ err: error }, 'could not look at the networks of this machine')
    }
  }
}

/** Those whose guests may live. */
function alive({ table }: Pick<OutsideComponents, 'table'>): ServerRecord[] {
  return table.all().filter((record) => record.state !== 'created' && !isEnded(record))
}

function grantsOf({ spec, slot, published }: ServerRecord): ServerGrants {
  const egress = spec.egress ?? { kind: 'none' as const }
  return { id: spec.id, address: addressesOf(slot).ipv4, egress, inbound: published }
}

/** For the switch: what passes between a server's port and the gateway's. */
export function portOutside(record: ServerRecord, { uplink }: OutsideConfig): { outside?: PortOutside } {
  return uplink === undefined || uplink.kind === 'none' ? {} : { outside: outsideOf(grantsOf(record)) }
}

function outsideOf({ egress, inbound }: ServerGrants): PortOutside {
  return {
    egress: egress.kind !== 'none',
    ingress: inbound.map(({ port }) => ({ protocol: 'tcp' as const, port }))
  }
}
