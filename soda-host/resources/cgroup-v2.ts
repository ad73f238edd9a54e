/**
 * cgroup v2: one hierarchy. Theory of operation: a group may either hold processes or pass controllers on to its
 * children ("no internal processes"; the root is exempt). Our own group holds us, so before the first server we move
 * ourselves into a leaf next to the servers' groups, and only then pass the controllers on. If others share our
 * group (a login session), the kernel says EBUSY: then groups still kill and count, but do not limit.
 * @see Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint"
 */
import { basename, dirname, join } from 'node:path'
import {
  assertOurs,
  createGroup,
  groupDirectory,
  killUntilEmpty,
  readSetting,
  removeGroup,
  writeSetting
} from './cgroup-files.ts'
import type { CgroupCapability, Cgroups, CgroupUsage, ServerCgroup } from './cgroup-types.ts'
import { CPU_PERIOD_MICROSECONDS, type HostKnobs } from './limits.ts'

const WANTED = ['cpu', 'memory', 'pids']
const LEAF = 'soda-host'
const MICROSECONDS = 1e6

async function words(directory: string, name: string): Promise<string[]> {
  return ((await readSetting(directory, name)) ?? '').split(/\s+/).filter(Boolean)
}

/** Pass what is wanted and not passed on yet; true when all of it is now. */
async function passOn(directory: string, controllers: readonly string[]): Promise<boolean> {
  const passed = await words(directory, 'cgroup.subtree_control')
  try {
    for (const controller of controllers.filter((name) => !passed.includes(name)))
      await writeSetting(directory, 'cgroup.subtree_control', `+${controller}`)
    return true
  } catch {
    return false
  }
}

async function enableControllers(directory: string): Promise<string[]> {
  const available = (await words(directory, 'cgroup.controllers')).filter((name) => WANTED.includes(name))
  if (available.length > 0 && !(await passOn(directory, available))) {
    const leaf = join(directory, LEAF)
    await createGroup(leaf)
    await writeSetting(leaf, 'cgroup.procs', process.pid)
    await passOn(directory, available)
  }
  const passed = await words(directory, 'cgroup.subtree_control')
  return WANTED.filter((name) => passed.includes(name))
}

function capabilityOf(parent: string, controllers: string[]): CgroupCapability {
  const missing = WANTED.filter((name) => !controllers.includes(name))
  const advice = 'run under a systemd unit or scope with Delegate=yes'
  const reason = missing.length === 0 ? '' : `${parent} cannot pass on ${missing.join(', ')}: ${advice}`
  return { version: 2, controllers, missing, reason }
}

export class CgroupV2 implements Cgroups {
  readonly capability: CgroupCapability
  readonly #parent: string

  private constructor(parent: string, controllers: string[]) {
    this.#parent = parent
    this.capability = capabilityOf(parent, controllers)
  }

  /** `own`: our own current group, writable. */
  static async open(own: string): Promise<CgroupV2> {
    // A daemon that was started by an earlier one stands in its leaf already.
    const parent = basename(own) === LEAF ? dirname(own) : own
    return new CgroupV2(parent, await enableControllers(parent))
  }

  /** Capability as far as it can be told without changing anything. */
  static async probe(own: string): Promise<CgroupCapability> {
    const available = await words(own, 'cgroup.controllers')
    return capabilityOf(
      own,
      WANTED.filter((name) => available.includes(name))
    )
  }

  pathsOf(id: string): string[] {
    return [groupDirectory(this.#parent, id)]
  }

  async create(id: string, knobs: HostKnobs): Promise<ServerCgroup> {
    const path = groupDirectory(this.#parent, id)
    const group = this.open([path])
    try {
      await createGroup(path)
      for (const [controller, name, value] of settings(knobs)) {
        if (!this.capability.controllers.includes(controller)) continue
        // memory.swap.max is absent where the kernel does no swap accounting.
        if (name === 'memory.swap.max' && (await readSetting(path, name)) === undefined) continue
        await writeSetting(path, name, value)
      }
    } catch (error) {
      await group.remove().catch(() => undefined)
      throw error
    }
    return group
  }

  open(paths: readonly string[]): ServerCgroup {
    return new V2Group(paths)
  }
}

/** Rows of controller, file and value. Pure. */
function settings(knobs: HostKnobs): [string, string, string | number][] {
  const rows: [string, string, string | number][] = [
    ['cpu', 'cpu.weight', knobs.cpuWeight],
    ['memory', 'memory.max', knobs.memoryMaxBytes],
    ['memory', 'memory.swap.max', 0],
    // A guest that lost one of its processes to the OOM killer is of no use: all of it goes.
    ['memory', 'memory.oom.group', 1],
    ['pids', 'pids.max', knobs.hostProcessesMax]
  ]
  if (knobs.cpuQuotaMicroseconds !== undefined)
    rows.push(['cpu', 'cpu.max', `${knobs.cpuQuotaMicroseconds} ${CPU_PERIOD_MICROSECONDS}`])
  return rows
}

class V2Group implements ServerCgroup {
  readonly paths: string[]

  constructor(paths: readonly string[]) {
    for (const path of paths) assertOurs(path)
    this.paths = [...paths]
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
}
