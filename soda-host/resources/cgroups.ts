/**
 * One group per virtual server below our own current group, on cgroup v1 or v2 behind one interface.
 *
 * Goal: shares, limits, accounting, and a kill that nobody escapes. Where the machine lets us make no groups the
 * capability says so and why, and servers run without: their uid, pid namespace and memory file still bound them.
 * Attacker: processes in the group; they hold no privilege over it, so they can neither leave nor change it.
 * @see cgroups(7), Documentation/admin-guide/cgroup-v2.rst
 */
import { readFileSync } from 'node:fs'
import { isWritable } from './cgroup-files.ts'
import { CgroupV1 } from './cgroup-v1.ts'
import { CgroupV2 } from './cgroup-v2.ts'
import { locateCgroups, type CgroupLocation } from './cgroup-location.ts'
import type { CgroupCapability, Cgroups, ServerCgroup } from './cgroup-types.ts'

/** `cgroup.procs` of every directory: whoever writes its pid there joins. */
export function joinFiles(group: ServerCgroup): string[] {
  return group.paths.map((path) => `${path}/cgroup.procs`)
}

const NO_GROUP: ServerCgroup = {
  paths: [],
  usage: async () => ({ cpuSeconds: undefined, memoryPeakBytes: undefined, outOfMemoryKills: 0 }),
  limit: async () => undefined,
  limitMemory: async () => false,
  limitDisk: async () => false,
  placeOn: async () => false,
  freeze: async () => false,
  thaw: async () => false,
  processes: async () => [],
  killAll: async () => undefined,
  remove: async () => undefined
}

/** Servers without groups. */
export function noCgroups(reason: string): Cgroups {
  const missing = ['cpu', 'memory', 'pids']
  return {
    capability: { version: 0, controllers: [], missing, reason },
    pathsOf: () => [],
    create: async () => NO_GROUP,
    open: () => NO_GROUP
  }
}

/** Our own groups as the kernel tells them now. */
export function findCgroups(): CgroupLocation {
  return locateCgroups(
    readFileSync('/proc/self/mountinfo', 'utf8'),
    readFileSync('/proc/self/cgroup', 'utf8')
  )
}

type Choice =
  { version: 0; reason: string } | { version: 1; parents: CgroupLocation['v1'] } | { version: 2; own: string }

/** v2 where it has the controllers; on mixed machines these sit on v1. */
function choose(location: CgroupLocation): Choice {
  const writable = new Map([...location.v1].filter(([, directory]) => isWritable(directory)))
  if (writable.has('memory') || writable.has('cpu')) return { version: 1, parents: writable }
  if (location.v2 !== undefined && isWritable(location.v2)) return { version: 2, own: location.v2 }
  if (location.v2 !== undefined) {
    const reason = `${location.v2} is not writable: run as root, or under a systemd unit with Delegate=yes`
    return { version: 0, reason }
  }
  const isMounted = location.v1.size > 0
  const reason = isMounted ? 'our cgroups are not writable: run as root' : 'no cgroup file system is mounted'
  return { version: 0, reason }
}

/**
 * Make ready what this machine lets us use. On v2 this may move the calling process into a leaf of its own,
 * because a group with processes may not pass controllers on to its children.
 */
export async function openCgroups(location: CgroupLocation = findCgroups()): Promise<Cgroups> {
  const choice = choose(location)
  if (choice.version === 0) return noCgroups(choice.reason)
  return choice.version === 1 ? new CgroupV1(choice.parents) : CgroupV2.open(choice.own)
}

/** What {@link openCgroups} would find, without changing anything: on v2, the controllers that are there. */
export async function probeCgroups(location: CgroupLocation): Promise<CgroupCapability> {
  const choice = choose(location)
  if (choice.version === 0) return noCgroups(choice.reason).capability
  return choice.version === 1 ? new CgroupV1(choice.parents).capability : CgroupV2.probe(choice.own)
}
