/**
 * Which server runs on which host CPU. Pure, but for the question which CPUs there are.
 *
 * Theory of operation. A guest kernel and its processes hand over on every system call, and across CPUs that costs ten
 * times more, so a server is kept on one, and only whole servers are moved. A new one goes where the least is promised.
 * Servers end, and want more or less than they were promised, so every few seconds one move at most is made:
 * - a CPU on which more is promised than it has gives a server to one that has room for it: guarantees come first;
 * - else a busy CPU gives a server to one with time to spare, if that makes the busiest of both less wanted by a
 *   clear margin, and keeps every guarantee.
 * Invariants: no move makes promises worse; with wants that stay as they are, moves come to an end; a server that
 * has just been moved rests, since what it wants there is not known yet.
 */
import { readFileSync } from 'node:fs'

/** A living server, as far as the choice of a CPU needs it. */
export interface PlacedServer {
  hostCpu: number
  cpu: number
}

/**
 * The host CPU for a new server: least promised, then fewest servers, then the lowest number.
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

/** A server as it ran since the last look. */
export interface ObservedServer extends PlacedServer {
  id: string
  /** CPU seconds in a second. */
  used: number
  /** Moved so recently, or so short-lived, that it stays. */
  isResting: boolean
}

/** A host CPU that servers may be on, since the last look. */
export interface ObservedCpu {
  hostCpu: number
  /** 0..1: time in which nobody at all wanted it, be it a server or anything else on this machine. */
  idle: number
}

export interface Move {
  id: string
  hostCpu: number
}

/** A CPU with less idle time than this has somebody waiting. */
const IDLE_MIN = 0.1
/** Of its fair share, what a server that wants more gets: clocks are coarse. */
const NEARLY = 0.9
/** A move that gains less is not worth its cold caches. */
const GAIN_MIN = 0.2
const ROUNDING = 1e-6

interface Load {
  hostCpu: number
  promised: number
  wanted: number
  /** Of that, what is none of the servers'. */
  others: number
  servers: (ObservedServer & { wanted: number })[]
}

/**
 * The one move that helps most now; undefined when things are well as they are.
 * `cpus`: where servers may be; one that is elsewhere counts for nothing but is brought home.
 */
export function rebalance(
  cpus: readonly ObservedCpu[],
  servers: readonly ObservedServer[]
): Move | undefined {
  const loads = cpus.map((cpu) => loadOf(cpu, servers))
  const numbers = cpus.map(({ hostCpu }) => hostCpu)
  const stray = servers.find((server) => !server.isResting && !numbers.includes(server.hostCpu))
  if (stray !== undefined && loads.length > 0) return { id: stray.id, hostCpu: chooseCpu(numbers, servers) }
  return best(loads, gainOfPromise) ?? best(loads, gainOfUse)
}

/**
 * A server that got all of its share of a busy CPU would take more: how much is not known, a whole CPU at most. What
 * else runs on the machine counts with what it takes.
 */
function loadOf({ hostCpu, idle }: ObservedCpu, all: readonly ObservedServer[]): Load {
  const here = all.filter((server) => server.hostCpu === hostCpu)
  const promised = sum(here.map(({ cpu }) => cpu))
  const used = sum(here.map((server) => server.used))
  const servers = here.map((server) => {
    const isHungry =
      idle < IDLE_MIN && server.used > 0 && server.used >= NEARLY * used * (server.cpu / promised)
    return { ...server, wanted: isHungry ? 1 : Math.min(1, server.used) }
  })
  const others = Math.max(0, 1 - idle - used)
  return { hostCpu, promised, others, wanted: others + sum(servers.map(({ wanted }) => wanted)), servers }
}

type Gain = (from: Load, to: Load, server: Load['servers'][number]) => number

function best(loads: readonly Load[], gainOf: Gain): Move | undefined {
  let found: (Move & { gain: number }) | undefined
  for (const from of loads)
    for (const to of loads)
      for (const server of from.servers) {
        if (from === to || server.isResting) continue
        const gain = gainOf(from, to, server)
        if (gain > (found?.gain ?? 0)) found = { id: server.id, hostCpu: to.hostCpu, gain }
      }
  return found && { id: found.id, hostCpu: found.hostCpu }
}

/** By how much less the more promised of both is overpromised. */
const gainOfPromise: Gain = (from, to, { cpu }) => {
  const gain = excess(from.promised) - Math.max(excess(from.promised - cpu), excess(to.promised + cpu))
  return gain > ROUNDING && excess(to.promised) < excess(from.promised) ? gain : 0
}

/** By how much less the more wanted of both is wanted. */
const gainOfUse: Gain = (from, to, server) => {
  const [left, joined] = [excess(from.promised - server.cpu), excess(to.promised + server.cpu)]
  const [before, beside] = [excess(from.promised), excess(to.promised)]
  // Neither the worst of both promises nor their sum gets worse: else a move for the promises would undo this one.
  if (joined > Math.max(before, beside) + ROUNDING || left + joined > before + beside + ROUNDING) return 0
  if (from.wanted < 1) return 0
  const others = from.servers.filter((each) => each !== server)
  const gain = from.wanted - Math.max(foreseen(from, others), foreseen(to, [...to.servers, server]))
  return gain >= GAIN_MIN ? gain : 0
}

/**
 * How much a CPU will be wanted, at most, as {@link loadOf} will see it when these servers are there. Where they fill
 * it, whoever gets about its share may look hungry though it has all it wants: a move that makes this out of nothing
 * would be made back.
 */
function foreseen({ others }: Load, servers: Load['servers']): number {
  const total = others + sum(servers.map(({ wanted }) => wanted))
  if (total < 1 - IDLE_MIN - ROUNDING) return total
  const promised = sum(servers.map(({ cpu }) => cpu))
  const shareMin = (NEARLY * NEARLY * (1 - others)) / promised
  return (
    others + sum(servers.map(({ cpu, used, wanted }) => (used > 0 && used >= cpu * shareMin ? 1 : wanted)))
  )
}

function excess(promised: number): number {
  return Math.max(0, promised - 1)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
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

/** Time since the machine's start in any unit; only differences say something. */
export interface CpuTime {
  idle: number
  total: number
}

/** By CPU number. @see proc(5), /proc/stat */
export function cpuTimes(stat: string): Map<number, CpuTime> {
  const times = new Map<number, CpuTime>()
  for (const [, cpu, fields = ''] of stat.matchAll(/^cpu(\d+) (.*)$/gm)) {
    // user nice system idle iowait irq softirq steal; guest time is in user time already.
    const ticks = fields.split(' ').map(Number).slice(0, 8)
    times.set(Number(cpu), { idle: (ticks[3] ?? 0) + (ticks[4] ?? 0), total: sum(ticks) })
  }
  return times
}

/** The CPUs that this process may run on. */
export function allowedCpus(): number[] {
  const line = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? ''
  return parseCpuList(line)
}
