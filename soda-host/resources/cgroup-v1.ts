import {
  assertOurs,
  createGroup,
  groupDirectory,
  killUntilEmpty,
  readSetting,
  removeGroup,
  writeSetting
} from './cgroup-files.ts'
import { V1_CONTROLLERS, type V1Controller } from './cgroup-location.ts'
import type { CgroupCapability, Cgroups, CgroupUsage, ServerCgroup } from './cgroup-types.ts'
import { CPU_PERIOD_MICROSECONDS, type HostKnobs } from './limits.ts'

const NANOSECONDS = 1e9

/** cgroup v1: one hierarchy per controller (some may share one). @see Documentation/admin-guide/cgroup-v1/ */
export class CgroupV1 implements Cgroups {
  readonly capability: CgroupCapability
  readonly #parents: ReadonlyMap<V1Controller, string>

  /** `parents`: our own current group per controller, writable. */
  constructor(parents: ReadonlyMap<V1Controller, string>) {
    this.#parents = parents
    const missing = V1_CONTROLLERS.filter((controller) => !parents.has(controller))
    const reason = missing.length === 0 ? '' : `not mounted or not writable on v1: ${missing.join(', ')}`
    this.capability = { version: 1, controllers: [...parents.keys()], missing, reason }
  }

  pathsOf(id: string): string[] {
    return [...new Set([...this.#parents.values()].map((parent) => groupDirectory(parent, id)))]
  }

  async create(id: string, knobs: HostKnobs): Promise<ServerCgroup> {
    const group = this.open(this.pathsOf(id))
    try {
      await Promise.all(group.paths.map((path) => createGroup(path)))
      await this.#limit(id, knobs)
    } catch (error) {
      await group.remove().catch(() => undefined)
      throw error
    }
    return group
  }

  open(paths: readonly string[]): ServerCgroup {
    return new V1Group(paths)
  }

  async #limit(id: string, knobs: HostKnobs): Promise<void> {
    const directory = (controller: V1Controller): string | undefined => {
      const parent = this.#parents.get(controller)
      return parent === undefined ? undefined : groupDirectory(parent, id)
    }
    const [cpu, memory, pids] = [directory('cpu'), directory('memory'), directory('pids')]
    if (cpu !== undefined) {
      await writeSetting(cpu, 'cpu.shares', knobs.cpuShares)
      if (knobs.cpuQuotaMicroseconds !== undefined) {
        await writeSetting(cpu, 'cpu.cfs_period_us', CPU_PERIOD_MICROSECONDS)
        await writeSetting(cpu, 'cpu.cfs_quota_us', knobs.cpuQuotaMicroseconds)
      }
    }
    if (memory !== undefined) await limitMemory(memory, knobs.memoryMaxBytes)
    if (pids !== undefined) await writeSetting(pids, 'pids.max', knobs.hostProcessesMax)
  }
}

async function limitMemory(directory: string, bytes: number): Promise<void> {
  await writeSetting(directory, 'memory.limit_in_bytes', bytes)
  // Memory and swap together, or a server could push its neighbours' pages out. Absent without swap accounting.
  if ((await readSetting(directory, 'memory.memsw.limit_in_bytes')) !== undefined)
    await writeSetting(directory, 'memory.memsw.limit_in_bytes', bytes)
}

class V1Group implements ServerCgroup {
  readonly paths: string[]

  constructor(paths: readonly string[]) {
    for (const path of paths) assertOurs(path)
    this.paths = [...paths]
  }

  async usage(): Promise<CgroupUsage> {
    const nanoseconds = await this.#read('cpuacct.usage')
    const peak = await this.#read('memory.max_usage_in_bytes')
    const events = /^oom_kill (\d+)$/m.exec((await this.#read('memory.oom_control')) ?? '')
    return {
      cpuSeconds: nanoseconds === undefined ? undefined : Number(nanoseconds) / NANOSECONDS,
      memoryPeakBytes: peak === undefined ? undefined : Number(peak),
      outOfMemoryKills: Number(events?.[1] ?? 0)
    }
  }

  async killAll(): Promise<void> {
    // No new process from now on: a fork bomb must not be faster than we are.
    for (const path of this.paths)
      if ((await readSetting(path, 'pids.max')) !== undefined) await writeSetting(path, 'pids.max', 0)
    await Promise.all(this.paths.map((path) => killUntilEmpty(path)))
  }

  async remove(): Promise<void> {
    await Promise.all(this.paths.map((path) => removeGroup(path)))
  }

  /** The first of our directories that has the file: each belongs to one controller. */
  async #read(name: string): Promise<string | undefined> {
    for (const path of this.paths) {
      const text = await readSetting(path, name)
      if (text !== undefined) return text
    }
    return undefined
  }
}
