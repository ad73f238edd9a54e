/** Looks every few seconds how busy the servers are, and carries out what the balancer of CPUs decides. */
import { readFile } from 'node:fs/promises'
import {
  cpuTimes,
  rebalance,
  type CpuTime,
  type ObservedCpu,
  type ObservedServer
} from '../resources/cpu-balancer.ts'
import type { Keeper } from './keeper.ts'
import { grantedLimits } from './server-record.ts'

interface Look {
  atMs: number
  cpuSeconds: number
}

/** From a move to the next of the same server: long enough to see what it wants there. */
const REST_MS = 15_000

export class Balancer {
  readonly #cpus: readonly number[]
  #looks = new Map<string, Look>()
  #times: ReadonlyMap<number, CpuTime> = new Map()
  #movedAtMs = new Map<string, number>()

  constructor(cpus: readonly number[]) {
    this.#cpus = cpus
  }

  /** One look, and one move at most. @throws ERR_CGROUP when it could not be made; then the record says so too */
  async look(keepers: readonly Keeper[]): Promise<void> {
    const running = keepers.filter(({ book }) => book.record.state === 'running')
    await Promise.all(running.map(({ guest }) => guest.sampleUsage()))
    const nowMs = Date.now()
    const move = rebalance(
      await this.#observeCpus(),
      running.flatMap((keeper) => this.#observe(keeper, nowMs) ?? [])
    )
    this.#forgetOthers(running, nowMs)
    const keeper = running.find(({ book }) => book.id === move?.id)
    if (move === undefined || keeper === undefined) return
    this.#movedAtMs.set(move.id, nowMs)
    await keeper.guest.moveTo(move.hostCpu)
  }

  async #observeCpus(): Promise<ObservedCpu[]> {
    const before = this.#times
    this.#times = cpuTimes(await readFile('/proc/stat', 'latin1'))
    return this.#cpus.map((hostCpu) => {
      const [then, now] = [before.get(hostCpu), this.#times.get(hostCpu)]
      // Not known yet, or no such CPU any more: neither busy nor with time to spare.
      if (then === undefined || now === undefined || now.total <= then.total) return { hostCpu, idle: 0.5 }
      return { hostCpu, idle: (now.idle - then.idle) / (now.total - then.total) }
    })
  }

  #observe({ book: { record, id } }: Keeper, nowMs: number): ObservedServer | undefined {
    if (record.hostCpu === undefined) return undefined
    const before = this.#looks.get(id)
    const elapsedSeconds = (nowMs - (before?.atMs ?? nowMs)) / 1000
    const used =
      before === undefined || elapsedSeconds <= 0
        ? 0
        : Math.max(0, record.usage.cpuSeconds - before.cpuSeconds) / elapsedSeconds
    const isResting = before === undefined || nowMs - (this.#movedAtMs.get(id) ?? -Infinity) < REST_MS
    return { id, hostCpu: record.hostCpu, cpu: grantedLimits(record).cpu, used, isResting }
  }

  #forgetOthers(running: readonly Keeper[], atMs: number): void {
    this.#looks = new Map(
      running.map(({ book }) => [book.id, { atMs, cpuSeconds: book.record.usage.cpuSeconds }])
    )
    this.#movedAtMs = new Map([...this.#movedAtMs].filter(([id]) => this.#looks.has(id)))
  }
}
