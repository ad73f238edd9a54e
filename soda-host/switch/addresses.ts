/** Names and addresses on the switch. Pure. */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'

/** Every server's address is in here; so is the gateway's, and nothing else ever is. */
export const NETWORK = '10.83.0.0/16'
export const PREFIX_LENGTH = 16
export const GATEWAY_ADDRESS = '10.83.0.1'
export const GATEWAY_INTERFACE = 'gw0'
export const BRIDGE = 'br0'
/** Where what servers send is shaped. */
export const SHAPER = 'ifb0'
/** The guest's end of a port, in a namespace of its own. */
export const GUEST_END = 'g'

const ADDRESSES_PER_BLOCK = 250
export const SLOTS_MAX = 254 * ADDRESSES_PER_BLOCK

/** Two daemons have two state directories, and so two switches. */
export function switchNamespace(stateDir: string): string {
  return `soda-${createHash('sha256').update(resolve(stateDir)).digest('hex').slice(0, 8)}`
}

/** The namespace that holds the guest's end of a port, and nothing else. */
export function portNamespace(namespace: string, slot: number): string {
  return `${namespace}-${slot}`
}

export interface PortAddresses {
  /** The end on the bridge. */
  interface: string
  ipv4: string
  mac: string
}

/** What the server in a slot gets. @throws TypeError for a slot that the network has no address for */
export function addressesOf(slot: number): PortAddresses {
  if (!Number.isInteger(slot) || slot < 0 || slot >= SLOTS_MAX)
    throw new TypeError(`slot: expected an integer 0..${SLOTS_MAX - 1}, got ${slot}`)
  const ipv4 = `10.83.${1 + Math.floor(slot / ADDRESSES_PER_BLOCK)}.${1 + (slot % ADDRESSES_PER_BLOCK)}`
  return { interface: `p${slot}`, ipv4, mac: macOf(ipv4) }
}

/** A locally administered address that carries the IPv4 address. */
export function macOf(ipv4: string): string {
  const bytes = ipv4.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))
  return ['02', '53', ...bytes].join(':')
}

/** The slot that an address belongs to, or undefined. */
export function slotOf(ipv4: string): number | undefined {
  const match = /^10\.83\.(\d{1,3})\.(\d{1,3})$/.exec(ipv4)
  if (match === null) return undefined
  const [block, host] = [Number(match[1]) - 1, Number(match[2]) - 1]
  if (block < 0 || host < 0 || host >= ADDRESSES_PER_BLOCK) return undefined
  const slot = block * ADDRESSES_PER_BLOCK + host
  return slot < SLOTS_MAX ? slot : undefined
}
