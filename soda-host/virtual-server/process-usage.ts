import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { ServerUsage } from './types.ts'

/** USER_HZ: fixed at 100 on x86. @see proc(5), times(2) */
const TICKS_PER_SECOND = 100

function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`)
  } catch {
    return undefined
  }
}

function usageOf(pid: number): ServerUsage {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // utime, stime and those of children that were waited for: fields 14 to 17, counted from the state (3).
    const ticks = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15)
      .map(Number)
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return {
      cpuSeconds: ticks.reduce((sum, tick) => sum + tick, 0) / TICKS_PER_SECOND,
      memoryPeakBytes: Number(peak ?? 0) * 1024
    }
  } catch {
    return { cpuSeconds: 0, memoryPeakBytes: 0 }
  }
}

/** Pids, as we see them, of everything in the pid namespace of `pid`. */
export function namespaceProcesses(pid: number): number[] {
  const namespace = namespaceOf(String(pid))
  if (namespace === undefined) return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && namespaceOf(name) === namespace)
    .map(Number)
}

/**
 * Usage of everything in the pid namespace of `pid`, where no cgroup counts it. CPU time is a lower bound; the peak
 * is that of the largest process, which is the guest kernel with the guest's memory in it.
 */
export function namespaceUsage(pid: number): ServerUsage {
  const sum: ServerUsage = { cpuSeconds: 0, memoryPeakBytes: 0 }
  for (const each of namespaceProcesses(pid)) {
    const usage = usageOf(each)
    sum.cpuSeconds += usage.cpuSeconds
    sum.memoryPeakBytes = Math.max(sum.memoryPeakBytes, usage.memoryPeakBytes)
  }
  return sum
}
