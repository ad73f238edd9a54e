/** What the switch knows of servers and of what they may say to each other. */

export const LINK_PROTOCOLS = ['tcp', 'udp'] as const

/** `from` may open connections to `to`, on one port; replies come back. Server ids. */
export interface Link {
  from: string
  to: string
  protocol: (typeof LINK_PROTOCOLS)[number]
  /** 1..65535 */
  port: number
  /** Milliseconds since 1970; until it is removed if absent. */
  untilMs?: number
  /** What `from` knows `to` by. */
  name?: string
}

/** Whether a server reaches the gateway, and at which of its ports it is reached from there. Judged further there. */
export interface Outside {
  egress: boolean
  ingress: readonly Pick<Link, 'protocol' | 'port'>[]
}

/** What a server may send to the outside, in bits per second. */
export interface OutboundRates {
  /** Guaranteed. @default as fast as it can, where nobody said what all may send together; else nothing */
  outboundBitsPerSecond?: number | undefined
  /**
   * At most, when others leave theirs. 0: nothing goes outside. @default all of the slice; where nobody said how much that
   * is, what is guaranteed
   */
  outboundMaxBitsPerSecond?: number | undefined
}

/** What of a server the switch needs. */
export interface PortSpec extends OutboundRates {
  /** Server id. */
  id: string
  slot: number
  /** @default nothing */
  outside?: Outside
}

/** Where a guest finds its end of the cable. */
export interface PortAttachment {
  ipv4: string
  prefixLength: number
  mac: string
  /** Where packets to the outside go, and who answers for names; absent where the server was granted nothing. */
  gateway?: string
  resolver?: string
  /** Opens the raw socket on descriptor `fd`, then becomes the command that follows it. */
  openSocket: (fd: number) => string[]
}

/** A port as it stands. Bytes and packets are counted from when it was made, as the server sees them. */
export interface PortState {
  id: string
  slot: number
  ipv4: string
  mac: string
  /** Guaranteed, and at most. */
  outboundBitsPerSecond: number
  outboundMaxBitsPerSecond: number
  sentBytes: number
  sentPackets: number
  receivedBytes: number
  receivedPackets: number
}

/** What was refused between two addresses, newest flows only; see ruleset.ts. */
export interface Denial {
  /** Server id, or the address where no server has it. */
  from: string
  to: string
  /**
   * `arp`: it asked for the other's address, which only linked servers are told. `tcp`, `udp`, `icmp` or a number.
   * Absent where all packets that were refused between the two are counted.
   */
  protocol?: string
  port?: number
  packets: number
  bytes: number
}

/** What the launcher of guests needs of a switch. */
export interface GuestNetwork {
  /** In force when this resolves: the guest may boot. */
  addPort(spec: PortSpec): Promise<PortAttachment>
  /** Nothing of it is left; a no-op where there is none. */
  removePort(slot: number): Promise<void>
  /** From now on. A no-op for a server without a port. */
  setOutbound(id: string, rates: OutboundRates): Promise<void>
}
