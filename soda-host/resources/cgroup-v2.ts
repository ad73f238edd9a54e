/**
 * cgroup v2: one hierarchy. Theory of operation: a group may either hold processes or pass controllers on to its
 * children ("no internal processes"; the root is exempt). Our own group holds us, so for it to become the parent of
 * the servers' groups we move ourselves into a leaf beside them. Where others share our group (a login session) the
 * kernel says EBUSY; then the nearest group above that we may use becomes the parent, as container engines do.
 * Where there is none, groups still kill and count, but do not limit.
 *
 * Weights are whole numbers from 1 to 10,000, and 100 is what a group has that nobody gave one. Beside groups of others
 * 100 is one CPU. Where only we and our servers are, nothing but the proportions counts: so many are given for a CPU that
 * the whole machine comes to 10,000, and the share of a small server is not rounded away.
 * @see Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint"
 */
import { existsSync } from 'node:fs'
import { readdir, rmdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import {
  assertOurs,
  createGroup,
  groupDirectory,
  isOurs,
  isWritable,
  killUntilEmpty,
  processesOf,
  readSetting,
  removeGroup,
  settled,
  writeSetting
} from './cgroup-files.ts'
import type { CgroupCapability, Cgroups, CgroupUsage, ServerCgroup } from './cgroup-types.ts'
import { CPU_PERIOD_MICROSECONDS, type GroupKnobs } from './limits.ts'

const WANTED = ['cpu', 'memory', 'pids']
/** Good to have, and passed on where that is possible; nothing is reported missing without them. */
const OPTIONAL = ['cpuset', 'io']
const LEAF = 'soda-host'
const MICROSECONDS = 1e6
const WEIGHT_DEFAULT = 100
const WEIGHT_MAX = 10_000

async function words(directory: string, name: string): Promise<string[]> {
  return ((await readSetting(directory, name)) ?? '').split(/\s+/).filter(Boolean)
}

/** Controllers of `wanted` that children of the group get. */
async function passedOn(directory: string, wanted: readonly string[]): Promise<string[]> {
  const passed = await words(directory, 'cgroup.subtree_control')
  return wanted.filter((name) => passed.includes(name))
}

/** Pass on what is there and wanted; true when that is all of it. */
async function passOn(directory: string, wanted: readonly string[]): Promise<boolean> {
  const available = await words(directory, 'cgroup.controllers')
  const passed = await passedOn(directory, wanted)
  try {
    for (const controller of wanted)
      if (available.includes(controller) && !passed.includes(controller))
        await writeSetting(directory, 'cgroup.subtree_control', `+${controller}`)
  } catch {
    return false
  }
  return (await passedOn(directory, wanted)).length === wanted.length
}

/** Make room in our own group; undone when others stay in it. */
async function passOnFromLeaf(own: string, wanted: readonly string[]): Promise<boolean> {
  const leaf = join(own, LEAF)
  try {
    await createGroup(leaf)
    await writeSetting(leaf, 'cgroup.procs', process.pid)
    if (await passOn(own, wanted)) return true
    await writeSetting(own, 'cgroup.procs', process.pid)
    await rmdir(leaf)
  } catch {
    // No leave to move, or controllers stand between us and the way back. Nothing is lost: groups work from there.
  }
  return false
}

/** Groups above that may be ours to use, nearest first. */
function* ancestors(directory: string): Generator<string> {
  for (
    let above = dirname(directory);
    existsSync(join(above, 'cgroup.subtree_control'));
    above = dirname(above)
  )
    yield above
}

/** The group below which servers get theirs. */
async function chooseParent(own: string, wanted: readonly string[]): Promise<string> {
  if (await passOn(own, wanted)) return own
  const available = await words(own, 'cgroup.controllers')
  if (wanted.some((name) => available.includes(name)) && (await passOnFromLeaf(own, wanted))) return own
  for (const above of ancestors(own)) if (await passOn(above, wanted)) return above
  return own
}

/** By how much more than the default a CPU may weigh below `parent`. */
async function weightScale(parent: string): Promise<number> {
  const children = (await readdir(parent, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  if (!children.every(({ name }) => isOurs(name) || name === LEAF)) return 1
  return Math.max(1, WEIGHT_MAX / WEIGHT_DEFAULT / availableParallelism())
}

function wholeWeight(weight: number): number {
  return Math.min(WEIGHT_MAX, Math.max(1, Math.round(weight)))
}

function capabilityOf(parent: string, controllers: string[], wanted: readonly string[]): CgroupCapability {
  const missing = wanted.filter((name) => !controllers.includes(name))
  const advice = 'run as root, or under a systemd unit or scope with Delegate=yes'
  const reason = missing.length === 0 ? '' : `${parent} cannot pass on ${missing.join(', ')}: ${advice}`
  return { version: 2, controllers, missing, reason }
}

export class CgroupV2 implements Cgroups {
  readonly capability: CgroupCapability
  readonly #parent: string
  readonly #weightScale: number

  private constructor(parent: string, weightScale: number, capability: CgroupCapability) {
    this.#parent = parent
    this.#weightScale = weightScale
    this.capability = capability
  }

  /** `own`: our own current group, writable. `wanted`: controllers, for tests on machines that lack ours. */
  static async open(own: string, wanted: readonly string[] = WANTED): Promise<CgroupV2> {
    // A daemon that was started by an earlier one stands in its leaf already.
    const parent = await chooseParent(basename(own) === LEAF ? dirname(own) : own, wanted)
    for (const controller of OPTIONAL) await passOn(parent, [controller])
    const controllers = await passedOn(parent, [...wanted, ...OPTIONAL])
    const scale = await weightScale(parent)
    // We are one of those that share.
    const ownWeight = join(parent, LEAF, 'cpu.weight')
    if (isWritable(ownWeight))
      await writeSetting(dirname(ownWeight), 'cpu.weight', wholeWeight(scale * WEIGHT_DEFAULT))
    return new CgroupV2(parent, scale, capabilityOf(parent, controllers, wanted))
  }

  /** Capability as far as it can be told without changing anything: what our group or one above it has. */
  static async probe(own: string): Promise<CgroupCapability> {
    let available = await words(own, 'cgroup.controllers')
    for (const above of ancestors(own)) {
      const there = await words(above, 'cgroup.controllers')
      if (isWritable(above) && there.length > available.length) available = there
    }
    const controllers = WANTED.filter((name) => available.includes(name))
    return capabilityOf(own, controllers, WANTED)
  }

  pathsOf(id: string): string[] {
    return [groupDirectory(this.#parent, id)]
  }

  async create(id: string, knobs: GroupKnobs, hostCpu?: number): Promise<ServerCgroup> {
    const path = groupDirectory(this.#parent, id)
    const group = this.open([path])
    try {
      await createGroup(path)
      await group.limit(knobs)
      if (hostCpu !== undefined) await group.placeOn(hostCpu)
    } catch (error) {
      await group.remove().catch(() => undefined)
      throw error
    }
    return group
  }

  open(paths: readonly string[]): ServerCgroup {
    return new V2Group(paths, this.#weightScale)
  }
}

/** Rows of file and value; a file is absent where its controller is not passed on. Pure. */
function settings(knobs: GroupKnobs, weightScale: number): [string, string | number][] {
  return [
    ['cpu.weight', wholeWeight(knobs.cpuWeight * weightScale)],
    ['cpu.max', `${knobs.cpuQuotaMicroseconds ?? 'max'} ${CPU_PERIOD_MICROSECONDS}`],
    ['memory.max', knobs.memoryMaxBytes],
    // Absent also where the kernel does no swap accounting.
    ['memory.swap.max', 0],
    // A guest that lost one of its processes to the OOM killer is of no use: all of it goes.
    ['memory.oom.group', 1],
    ['pids.max', knobs.hostProcessesMax],
    ['io.weight', knobs.ioWeight]
  ]
}

class V2Group implements ServerCgroup {
  readonly paths: string[]
  readonly #weightScale: number

  constructor(paths: readonly string[], weightScale: number) {
    for (const path of paths) assertOurs(path)
    this.paths = [...paths]
    this.#weightScale = weightScale
  }

  async usage(): Promise<CgroupUsage> {
    const [path = ''] = this.paths
    const microseconds = /^usage_usec (\d+)$/m.exec((await readSetting(path, 'cpu.stat')) ?? '')?.[1]
    // memory.peak came with Linux 5.19; before it the present use is the best there is.
    const peak = (await readSetting(path, 'memory.peak')) ?? (await readSetting(path, 'memory.current'))
    const events = /^oom_kill (\d+)$/m.exec((await readSetting(path, 'memory.events')) ?? '')
    return {
      cpuSeconds: microseconds === undefined ? undefined : Number(microseconds) / MICROSECONDS,
      memoryPeakBytes: peak === undefined ? undefined : Number(peak),
      outOfMemoryKills: Number(events?.[1] ?? 0)
    }
  }

  async limit(knobs: GroupKnobs): Promise<void> {
    for (const [name, value] of settings(knobs, this.#weightScale)) await this.#write(name, value)
  }

  async limitMemory(bytes: number): Promise<boolean> {
    return this.#write('memory.max', bytes)
  }

  async limitDisk(device: string, bytesPerSecond: number | undefined): Promise<boolean> {
    const rate = bytesPerSecond ?? 'max'
    return this.#write('io.max', `${device} rbps=${rate} wbps=${rate}`)
  }

  async placeOn(hostCpu: number): Promise<boolean> {
    return this.#write('cpuset.cpus', hostCpu)
  }

  /** Works without any controller; came with Linux 5.2. */
  async freeze(): Promise<boolean> {
    const [path = ''] = this.paths
    if (!(await this.#write('cgroup.freeze', 1))) return false
    await settled(
      async () => !/^frozen 0$/m.test((await readSetting(path, 'cgroup.events')) ?? ''),
      () => this.thaw(),
      `processes in ${path} do not freeze`
    )
    return true
  }

  async thaw(): Promise<boolean> {
    return this.#write('cgroup.freeze', 0)
  }

  async processes(): Promise<number[]> {
    return processesOf(this.paths[0] ?? '')
  }

  async killAll(): Promise<void> {
    for (const path of this.paths) {
      // cgroup.kill came with Linux 5.14; it also catches what forks meanwhile.
      if ((await readSetting(path, 'cgroup.procs')) === undefined) continue
      await writeSetting(path, 'cgroup.kill', 1).catch(() => undefined)
      await killUntilEmpty(path)
    }
  }

  async remove(): Promise<void> {
    for (const path of this.paths) await removeGroup(path)
  }

  /** False where there is no such file. */
  async #write(name: string, value: string | number): Promise<boolean> {
    const [path = ''] = this.paths
    if (!isWritable(join(path, name))) return false
    await writeSetting(path, name, value)
    return true
  }
}
