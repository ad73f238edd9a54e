import {
  assertOurs,
  createGroup,
  groupDirectory,
  isWritable,
  killUntilEmpty,
  processesOf,
  readSetting,
  removeGroup,
  settled,
  writeSetting
} from './cgroup-files.ts'
import { V1_CONTROLLERS, type V1Controller } from './cgroup-location.ts'
import type { CgroupCapability, Cgroups, CgroupUsage, ServerCgroup } from './cgroup-types.ts'
import { CPU_PERIOD_MICROSECONDS, type GroupKnobs } from './limits.ts'

const NANOSECONDS = 1e9
/** Good to have: without them servers are placed and frozen by other means, and share the disk as it comes. */
const OPTIONAL: readonly V1Controller[] = ['cpuset', 'blkio']
const NO_QUOTA = -1
const NO_RATE = 0

/** cgroup v1: one hierarchy per controller (some may share one). @see Documentation/admin-guide/cgroup-v1/ */
export class CgroupV1 implements Cgroups {
  readonly capability: CgroupCapability
  readonly #parents: ReadonlyMap<V1Controller, string>

  /** `parents`: our own current group per controller, writable. */
  constructor(parents: ReadonlyMap<V1Controller, string>) {
    this.#parents = parents
    const missing = V1_CONTROLLERS.filter((name) => !parents.has(name) && !OPTIONAL.includes(name))
    const reason = missing.length === 0 ? '' : `not mounted or not writable on v1: ${missing.join(', ')}`
    this.capability = { version: 1, controllers: [...parents.keys()], missing, reason }
  }

  pathsOf(id: string): string[] {
    return [...new Set([...this.#parents.values()].map((parent) => groupDirectory(parent, id)))]
  }

  async create(id: string, knobs: GroupKnobs, hostCpu?: number): Promise<ServerCgroup> {
    const group = this.open(this.pathsOf(id))
    try {
      await Promise.all(group.paths.map((path) => createGroup(path)))
      await this.#openCpuset(id)
      await group.limit(knobs)
      if (hostCpu !== undefined) await group.placeOn(hostCpu)
    } catch (error) {
      await group.remove().catch(() => undefined)
      throw error
    }
    return group
  }

  open(paths: readonly string[]): ServerCgroup {
    return new V1Group(paths)
  }

  /** A new cpuset has neither CPUs nor memory nodes, and nobody may join it. */
  async #openCpuset(id: string): Promise<void> {
    const parent = this.#parents.get('cpuset')
    if (parent === undefined) return
    for (const name of ['cpuset.cpus', 'cpuset.mems'])
      await writeSetting(groupDirectory(parent, id), name, ((await readSetting(parent, name)) ?? '').trim())
  }
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

  async limit(knobs: GroupKnobs): Promise<void> {
    await this.#write('cpu.shares', knobs.cpuShares)
    // A quota that never was needs no lifting.
    if (knobs.cpuQuotaMicroseconds !== undefined || Number(await this.#read('cpu.cfs_quota_us')) > 0) {
      await this.#write('cpu.cfs_period_us', CPU_PERIOD_MICROSECONDS)
      await this.#write('cpu.cfs_quota_us', knobs.cpuQuotaMicroseconds ?? NO_QUOTA)
    }
    await this.limitMemory(knobs.memoryMaxBytes)
    await this.#write('pids.max', knobs.hostProcessesMax)
    await this.#write('blkio.bfq.weight', knobs.ioWeight)
  }

  /** Memory and swap together, or a server could push its neighbours' pages out. Absent without swap accounting. */
  async limitMemory(bytes: number): Promise<boolean> {
    const names = ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes']
    const before = await this.#read('memory.limit_in_bytes')
    // Never the sum below the part: what grows begins with the sum.
    if (bytes > Number(before)) names.reverse()
    for (const name of names) await this.#write(name, bytes)
    return before !== undefined
  }

  async limitDisk(device: string, bytesPerSecond: number | undefined): Promise<boolean> {
    let isLimited = false
    for (const way of ['read', 'write'])
      isLimited = await this.#write(
        `blkio.throttle.${way}_bps_device`,
        `${device} ${bytesPerSecond ?? NO_RATE}`
      )
    return isLimited
  }

  async placeOn(hostCpu: number): Promise<boolean> {
    return this.#write('cpuset.cpus', hostCpu)
  }

  async freeze(): Promise<boolean> {
    if (!(await this.#write('freezer.state', 'FROZEN'))) return false
    // FREEZING is told for as long as one task runs. Only a write asks the tasks again, and one that had been on its way
    // into the wait for a vfork was passed over: no signal wakes it there, and a guest kernel starts processes so.
    await settled(
      async () => {
        if ((await this.#read('freezer.state'))?.trim() !== 'FREEZING') return true
        return !(await this.#write('freezer.state', 'FROZEN'))
      },
      () => this.thaw(),
      `processes in ${this.paths.join(' ')} do not freeze`
    )
    return true
  }

  async thaw(): Promise<boolean> {
    return this.#write('freezer.state', 'THAWED')
  }

  async processes(): Promise<number[]> {
    for (const path of this.paths) return processesOf(path)
    return []
  }

  async killAll(): Promise<void> {
    // No new process from now on: a fork bomb must not be faster than we are.
    for (const path of this.paths)
      if ((await readSetting(path, 'pids.max')) !== undefined) await writeSetting(path, 'pids.max', 0)
    // What is frozen here dies only when it runs again: killed first, it does not run for long.
    const dead = Promise.all(this.paths.map((path) => killUntilEmpty(path)))
    await this.thaw().catch(() => false)
    await dead
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

  /** Into the directory that has the file. False where none has. */
  async #write(name: string, value: string | number): Promise<boolean> {
    for (const path of this.paths)
      if (isWritable(`${path}/${name}`)) {
        await writeSetting(path, name, value)
        return true
      }
    return false
  }
}
