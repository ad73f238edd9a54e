/** What the owner gives away, and what one server is promised of it. */
export interface Slice {
  cpu: number
  memoryBytes: number
  diskBytes: number
  servers: number
}

export interface Shortage {
  limit: keyof Slice
  asked: number
  free: number
}

export type Admission = { isRoom: true } | { isRoom: false; short: Shortage[] }

/** CPU shares are decimal fractions: ten times 0.1 must still fit into 1. */
const CPU_ROUNDING = 1e-6

const LIMITS = ['cpu', 'memoryBytes', 'diskBytes', 'servers'] as const

/** Sum of what has been promised. */
export function promised(servers: readonly Omit<Slice, 'servers'>[]): Slice {
  const sum: Slice = { cpu: 0, memoryBytes: 0, diskBytes: 0, servers: servers.length }
  for (const server of servers) {
    sum.cpu += server.cpu
    sum.memoryBytes += server.memoryBytes
    sum.diskBytes += server.diskBytes
  }
  return sum
}

/**
 * Is there room for one more server? The sum of guarantees never exceeds the owner's slice. Pure.
 * The answer names every limit that is short.
 */
export function admit(
  total: Slice,
  servers: readonly Omit<Slice, 'servers'>[],
  asked: Omit<Slice, 'servers'>
): Admission {
  const used = promised(servers)
  const request: Slice = {
    cpu: asked.cpu,
    memoryBytes: asked.memoryBytes,
    diskBytes: asked.diskBytes,
    servers: 1
  }
  const short: Shortage[] = []
  for (const limit of LIMITS) {
    const free = total[limit] - used[limit]
    const slack = limit === 'cpu' ? CPU_ROUNDING : 0
    // Not `>`: NaN in any place must refuse, not admit.
    if (!(request[limit] >= 0 && request[limit] <= free + slack)) {
      short.push({ limit, asked: request[limit], free: Math.max(0, free) })
    }
  }
  return short.length === 0 ? { isRoom: true } : { isRoom: false, short }
}
