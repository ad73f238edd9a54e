/** What the owner gives away, and what one server is promised of it. */
export interface Slice {
  cpu: number
  memoryBytes: number
  diskBytes: number
  servers: number
  /** To the outside; absent: nobody said how much there is, and nothing is counted. */
  outboundBitsPerSecond?: number
}

/** What a server asks for; no bandwidth is none. */
type Asked = Omit<Slice, 'servers'>

export interface Shortage {
  limit: keyof Slice
  asked: number
  free: number
}

export type Admission = { isRoom: true } | { isRoom: false; short: Shortage[] }

/** CPU shares are decimal fractions: ten times 0.1 must still fit into 1. */
const CPU_ROUNDING = 1e-6

const LIMITS = ['cpu', 'memoryBytes', 'diskBytes', 'servers', 'outboundBitsPerSecond'] as const

/** Sum of what has been promised. */
export function promised(servers: readonly Asked[]): Required<Slice> {
  const sum = { cpu: 0, memoryBytes: 0, diskBytes: 0, servers: servers.length, outboundBitsPerSecond: 0 }
  for (const server of servers) {
    sum.cpu += server.cpu
    sum.memoryBytes += server.memoryBytes
    sum.diskBytes += server.diskBytes
    sum.outboundBitsPerSecond += server.outboundBitsPerSecond ?? 0
  }
  return sum
}

/**
 * Is there room for one more server? The sum of guarantees never exceeds the owner's slice. Pure.
 * The answer names every limit that is short.
 */
export function admit(total: Slice, servers: readonly Asked[], asked: Asked): Admission {
  const used = promised(servers)
  const request = promised([asked])
  const short: Shortage[] = []
  for (const limit of LIMITS) {
    const given = total[limit]
    if (given === undefined) continue
    const free = given - used[limit]
    const slack = limit === 'cpu' ? CPU_ROUNDING : 0
    // Not `>`: NaN in any place must refuse, not admit.
    if (!(request[limit] >= 0 && request[limit] <= free + slack)) {
      short.push({ limit, asked: request[limit], free: Math.max(0, free) })
    }
  }
  return short.length === 0 ? { isRoom: true } : { isRoom: false, short }
}
