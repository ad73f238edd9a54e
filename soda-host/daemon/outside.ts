/**
 * What servers have outside: the port of each on the switch, with the grants of its lease at the gateway.
 *
 * A server's grants are in force when its port is there and its guest is not yet, and are taken away before the port
 * goes. Without an uplink there is no gateway, and ports are ports.
 */
import { HostError } from '../../src/errors.ts'
import { MINUTE_MS } from '../../src/constants.ts'
import { addressesOf, GATEWAY_ADDRESS } from '../switch/addresses.ts'
import {
  Gateway,
  namePolicy,
  ownerNameServers,
  type ServerGrants,
  type UplinkChoice
} from '../switch/gateway/index.ts'
import type {
  GuestNetwork,
  Outside as PortOutside,
  PortAttachment,
  PortSpec,
  Switch
} from '../switch/index.ts'
import type { OutsideState } from './api.ts'
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
  table: { all(): ServerRecord[] }
  log: DaemonLog
}

export class Outside implements GuestNetwork {
  readonly #with: OutsideComponents
  readonly #gateway: Gateway | undefined
  readonly #uplink: UplinkChoice
  /** By slot: whose grants are in force. */
  readonly #granted = new Map<number, string>()
  readonly #timer: NodeJS.Timeout

  private constructor(uplink: UplinkChoice, gateway: Gateway | undefined, components: OutsideComponents) {
    this.#with = components
    this.#gateway = gateway
    this.#uplink = uplink
    for (const { slot, spec } of alive(components)) this.#granted.set(slot, spec.id)
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
    if (uplink.kind === 'none') {
      await Gateway.removeLeft({ ...base, uplink, grants: [], upstreams: [] })
      return new Outside(uplink, undefined, components)
    }
    const upstreams = init.nameServers ?? (await ownerNameServers())
    if (upstreams.length === 0) log.warn({}, 'no DNS server is known that guests could be served from')
    const gateway = await Gateway.open({
      ...base,
      uplink,
      upstreams,
      grants: alive(components).map(grantsOf),
      onNameDenied: (denial) => log.info(denial, 'a name was refused')
    })
    return new Outside(uplink, gateway, components)
  }

  setOutbound(id: string, outboundBitsPerSecond: number | undefined): Promise<void> {
    return this.#with.network.setOutbound(id, outboundBitsPerSecond)
  }

  async addPort(spec: PortSpec): Promise<PortAttachment> {
    const record = this.#gateway === undefined ? undefined : this.#record(spec.id)
    if (record === undefined || this.#gateway === undefined) return await this.#with.network.addPort(spec)
    const grants = grantsOf(record)
    const attachment = await this.#with.network.addPort({ ...spec, outside: outsideOf(grants) })
    this.#granted.set(spec.slot, spec.id)
    await this.#gateway.setGrants(grants)
    // Replies to those who come in need a way back too.
    if (grants.egress.kind === 'none' && grants.inbound.length === 0) return attachment
    const resolver = namePolicy(grants.egress) === undefined ? {} : { resolver: GATEWAY_ADDRESS }
    return { ...attachment, gateway: GATEWAY_ADDRESS, ...resolver }
  }

  async removePort(slot: number): Promise<void> {
    const id = this.#granted.get(slot)
    if (id !== undefined) await this.#gateway?.removeGrants(id)
    this.#granted.delete(slot)
    await this.#with.network.removePort(slot)
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
    if (alive(this.#with).length > 0) await this.#gateway?.close()
    else await this.#gateway?.remove()
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
