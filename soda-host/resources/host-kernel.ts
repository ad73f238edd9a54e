/** What the host's kernel can do. */
import { readFileSync } from 'node:fs'
import { release } from 'node:os'

/** Since then RLIMIT_NPROC counts the processes of a uid in each user namespace apart. @see user_namespaces(7) */
const COUNTS_BY_NAMESPACE = [5, 14] as const

/** One setting of the kernel, such as `/proc/sys/user/max_user_namespaces`; undefined where there is none. */
export function setting(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** True if the host's kernel is at least this one. `version` is what uname(2) says. */
export function isHostKernelAtLeast(
  [major, minor]: readonly [number, number],
  version: string = release()
): boolean {
  const [hasMajor = 0, hasMinor = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  return hasMajor > major || (hasMajor === major && hasMinor >= minor)
}

/** True where AppArmor lets only programs with a profile for it make user namespaces that are of use. */
export function isUserNamespaceRestricted(): boolean {
  return setting('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1'
}

/** True if processes can be bounded in a user namespace that is made for that, by no program with a profile. */
export function countsByNamespace(): boolean {
  return isHostKernelAtLeast(COUNTS_BY_NAMESPACE) && !isUserNamespaceRestricted()
}
