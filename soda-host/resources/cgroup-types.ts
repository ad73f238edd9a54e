import type { HostKnobs } from './limits.ts'

/** `version` 0: no groups can be made here. `missing`: what cannot be enforced or counted. */
export interface CgroupCapability {
  version: 0 | 1 | 2
  controllers: string[]
  missing: string[]
  /** For people: why something is missing. Empty when all is there. */
  reason: string
}

export interface CgroupUsage {
  cpuSeconds: number | undefined
  memoryPeakBytes: number | undefined
  /** How often the kernel killed a process of the group for want of memory. */
  outOfMemoryKills: number
}

export interface ServerCgroup {
  /** Directories, to be written down for a later `open`. */
  readonly paths: string[]
  usage(): Promise<CgroupUsage>
  /** SIGKILL to every process in it; resolves when none is left. @throws ERR_CGROUP when one does not die */
  killAll(): Promise<void>
  /** Remove the empty group. A no-op when it is gone. */
  remove(): Promise<void>
}

export interface Cgroups {
  readonly capability: CgroupCapability
  /** Where the group of `id` is or would be. */
  pathsOf(id: string): string[]
  /** Create (or reuse) the group of `id` and set its limits. @throws ERR_CGROUP */
  create(id: string, knobs: HostKnobs): Promise<ServerCgroup>
  /** A group that was created earlier, perhaps by another process. */
  open(paths: readonly string[]): ServerCgroup
}
