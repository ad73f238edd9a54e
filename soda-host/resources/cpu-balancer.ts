import { readFileSync } from 'node:fs'

/** A living server, as far as the choice of a CPU needs it. */
export interface PlacedServer {
  hostCpu: number
  cpu: number
}

/**
 * The host CPU for a new server: least promised, then fewest servers, then the lowest number. A guest kernel and
 * its processes hand over on every system call, and across CPUs that costs ten times more, so a server stays on one.
 * @throws TypeError when `cpus` is empty
 */
export function chooseCpu(cpus: readonly number[], servers: readonly PlacedServer[]): number {
  const load = cpus.map((cpu) => {
    const here = servers.filter((server) => server.hostCpu === cpu)
    return { cpu, promised: here.reduce((sum, server) => sum + server.cpu, 0), count: here.length }
  })
  const [best] = load.sort((a, b) => a.promised - b.promised || a.count - b.count || a.cpu - b.cpu)
  if (best === undefined) throw new TypeError('chooseCpu: no CPU to choose from')
  return best.cpu
}

/** `0-2,5` → [0, 1, 2, 5]. @see cpuset(7), list format */
export function parseCpuList(list: string): number[] {
  const cpus: number[] = []
  for (const part of list.trim().split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part)
    if (match === null) continue
    const first = Number(match[1])
    const last = Number(match[2] ?? first)
    for (let cpu = first; cpu <= last; cpu++) cpus.push(cpu)
  }
  return cpus
}

/** The CPUs that this process may run on. */
export function allowedCpus(): number[] {
  const line = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? ''
  return parseCpuList(line)
}
