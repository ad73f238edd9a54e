import { Gateway, type GatewayInit } from '../../../soda-host/switch/gateway/gateway.ts'
import type { ServerGrants } from '../../../soda-host/switch/gateway/grants.ts'
import { addressesOf } from '../../../soda-host/switch/addresses.ts'
import { temporaryDirectory } from '../temporary.ts'
import type { World } from './world.ts'

export interface OpenedGateway extends AsyncDisposable {
  gateway: Gateway
  stateDir: string
  /** As a daemon would that comes after a kill. */
  reopen(changes?: Partial<GatewayInit>): Promise<Gateway>
}

/** A gateway of the world's, removed with all it made. */
export async function openGateway(world: World, init: Partial<GatewayInit> = {}): Promise<OpenedGateway> {
  const directory = await temporaryDirectory()
  const base: GatewayInit = {
    stateDir: directory.path,
    uplink: { kind: 'nat' },
    attach: (port) => world.attach(port),
    grants: [],
    upstreams: [],
    hostNamespace: world.host,
    ...init
  }
  const opened = {
    stateDir: directory.path,
    gateway: await Gateway.open(base).catch(async (error: unknown) => {
      await directory[Symbol.asyncDispose]()
      throw error
    }),
    reopen: async (changes: Partial<GatewayInit> = {}) => {
      // The resolver of one that is killed goes with it.
      await opened.gateway.close()
      opened.gateway = await Gateway.open({ ...base, ...changes })
      return opened.gateway
    },
    [Symbol.asyncDispose]: async () => {
      await opened.gateway.remove()
      await directory[Symbol.asyncDispose]()
    }
  }
  return opened
}

export function granted(
  slot: number,
  egress: ServerGrants['egress'],
  inbound: ServerGrants['inbound'] = []
): ServerGrants {
  return { id: `server-${slot}-abcdefgh`, address: addressesOf(slot).ipv4, egress, inbound }
}

export const INTERNET = { kind: 'internet' } as const
