import type { GroupKnobs } from './limits.ts'

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
  /** New limits for what runs in it. @throws ERR_CGROUP when the kernel refuses one; the others may be set then */
  limit(knobs: GroupKnobs): Promise<void>
  /**
   * Another limit of memory, for what runs in it. False where the machine has no controller for that.
   * @throws ERR_CGROUP when it uses more than that and does not let go of it (v1); v2 ends it all the same then
   */
  limitMemory(memoryMaxBytes: number): Promise<boolean>
  /**
   * So many bytes a second at most from and to a disk (`254:0`); undefined: as fast as it can. False where the machine has
   * no controller for that.
   * @throws ERR_CGROUP for what is no disk, or a part of one
   */
  limitDisk(device: string, bytesPerSecond: number | undefined): Promise<boolean>
  /** All that is in it, and what it forks, onto one CPU. False where the machine has no controller for that. */
  placeOn(hostCpu: number): Promise<boolean>
  /**
   * Stop everything in it; resolves when nothing runs any more. False where the machine cannot do that to a group.
   * @throws ERR_CGROUP when something does not stop; the group runs on then
   */
  freeze(): Promise<boolean>
  /** Let it go on. A no-op for a group that is not frozen, or gone. False as for `freeze`. */
  thaw(): Promise<boolean>
  /** Pids of all processes in it. */
  processes(): Promise<number[]>
  /** SIGKILL to every process in it, frozen or not; resolves when none is left. @throws ERR_CGROUP when one does not die */
  killAll(): Promise<void>
  /** Remove the empty group. A no-op when it is gone. */
  remove(): Promise<void>
}

export interface Cgroups {
  readonly capability: CgroupCapability
  /** Where the group of `id` is or would be. */
  pathsOf(id: string): string[]
  /** Create (or reuse) the group of `id`, set its limits, and keep it on that CPU if one is given. @throws ERR_CGROUP */
  create(id: string, knobs: GroupKnobs, hostCpu?: number): Promise<ServerCgroup>
  /** A group that was created earlier, perhaps by another process. */
  open(paths: readonly string[]): ServerCgroup
}
