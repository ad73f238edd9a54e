/**
 * Where our own cgroups are: pure reading of /proc/self/mountinfo and /proc/self/cgroup.
 * @see cgroups(7), proc(5)
 */

/** `v1`: one directory per controller; `v2`: one for all. Directories are those of our own current group. */
export interface CgroupLocation {
  v1: Map<V1Controller, string>
  v2: string | undefined
}

export const V1_CONTROLLERS = ['cpu', 'cpuacct', 'memory', 'pids', 'freezer', 'cpuset', 'blkio'] as const
export type V1Controller = (typeof V1_CONTROLLERS)[number]

interface Mount {
  /** The part of the hierarchy that is visible at `point`. */
  root: string
  point: string
  type: string
  options: string[]
}

/** Octal escapes of mountinfo: blank, tab, newline, backslash. */
function unescape(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8))
  )
}

function parseMounts(mountinfo: string): Mount[] {
  const mounts: Mount[] = []
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , root, point] = before.split(' ')
    const [type = '', , options = ''] = after.split(' ')
    if (root === undefined || point === undefined || !type.startsWith('cgroup')) continue
    mounts.push({ root: unescape(root), point: unescape(point), type, options: options.split(',') })
  }
  return mounts
}

/** The directory that stands for `path` of the hierarchy; in a container only a part of it is mounted. */
function directoryOf(mount: Mount, path: string): string {
  const root = mount.root === '/' ? '' : mount.root
  const isBelow = path === root || path.startsWith(`${root}/`)
  const below = isBelow ? path.slice(root.length) : ''
  return below === '/' ? mount.point : mount.point + below
}

/** Both texts come from /proc/self. */
export function locateCgroups(mountinfo: string, selfCgroup: string): CgroupLocation {
  const mounts = parseMounts(mountinfo)
  const location: CgroupLocation = { v1: new Map(), v2: undefined }
  for (const line of selfCgroup.split('\n')) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line)
    if (match === null) continue
    const [, controllers = '', path = '/'] = match
    if (controllers === '') {
      const mount = mounts.find(({ type }) => type === 'cgroup2')
      if (mount !== undefined) location.v2 = directoryOf(mount, path)
      continue
    }
    for (const controller of V1_CONTROLLERS) {
      if (!controllers.split(',').includes(controller)) continue
      const mount = mounts.find(({ type, options }) => type === 'cgroup' && options.includes(controller))
      if (mount !== undefined) location.v1.set(controller, directoryOf(mount, path))
    }
  }
  return location
}
