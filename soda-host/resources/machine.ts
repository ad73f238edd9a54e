/** What this machine can and cannot do for virtual servers: the facts behind `ishare doctor`. */
import { execa } from 'execa'
import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { arch, release } from 'node:os'
import { GIB, MIB } from '../../src/constants.ts'
import { findCgroups, probeCgroups } from './cgroups.ts'
import type { CgroupCapability } from './cgroup-types.ts'
import { diskDevice, diskRateFact, diskScheduler, diskShareFact } from './disk-share.ts'
import { countsByNamespace, isHostKernelAtLeast, isUserNamespaceRestricted, setting } from './host-kernel.ts'
import { findProgram } from './host-programs.ts'
import type { FactStatus, MachineFact } from './machine-fact.ts'
import { defaultRoutes, NETWORK_PROGRAMS, networkFacts, PASTA } from './network-facts.ts'

/** Programs that a provider needs, and the Debian package of each. */
const PROGRAMS: readonly [program: string, debianPackage: string][] = [
  ['bwrap', 'bubblewrap'],
  ['setpriv', 'util-linux'],
  ['prlimit', 'util-linux'],
  ['taskset', 'util-linux'],
  ['unshare', 'util-linux'],
  ['mkfs.ext4', 'e2fsprogs'],
  ['mkfifo', 'coreutils']
]

const TRY_TIMEOUT_MS = 10_000
/** Room for one small server and its images. */
const DISK_FREE_BYTES_MIN = 4 * GIB
/** Oldest kernel whose user namespaces and cgroups the jail was tried on (Debian 11). */
const KERNEL_MIN = [5, 10] as const
const TMPFS_MAGIC = 0x01021994

function fact(name: string, status: FactStatus, found: string, advice = ''): MachineFact {
  return { name, status, found, advice }
}

function privileges(isRoot: boolean): MachineFact {
  if (isRoot) return fact('privileges', 'ok', 'root')
  return fact(
    'privileges',
    'warn',
    'not root',
    'servers work; the rows limit-… say what holds, and what would'
  )
}

/** A group that an ordinary user may use. The unit passes controllers on to it. */
const DELEGATE = 'start it by `systemd-run --user --scope -p Delegate=yes`, or as root'

export interface LimitBasis {
  /** Controllers of the cgroups that servers get. */
  controllers: readonly string[]
  isRoot: boolean
  /** The host's kernel counts processes of a uid in each user namespace apart. */
  countsByNamespace: boolean
}

/**
 * What bounds a server on this machine, and what keeps it from what is yours: differs without root, and without
 * cgroups. Pure. @see docs/guides/without-root.md, the same as one table
 */
export function limitFacts({ controllers, isRoot, ...basis }: LimitBasis): MachineFact[] {
  const row = (name: string, isKept: boolean, kept: string, not: string, advice: string): MachineFact =>
    isKept ? fact(name, 'ok', kept) : fact(name, 'warn', not, advice)
  const has = (controller: string): boolean => controllers.includes(controller)
  const counts = isRoot || basis.countsByNamespace
  return [
    row(
      ...(['limit-uid', isRoot, 'a uid of its own for every server'] as const),
      ...(['servers have your uid: out of its jail, one would have your files', 'run as root'] as const)
    ),
    row('limit-cpu', has('cpu'), 'shares by cgroup', 'shares are not kept: all compete alike', DELEGATE),
    row(
      ...(['limit-memory', has('memory'), 'by cgroup'] as const),
      ...(["the guest's own memory only: not what the host spends on it", DELEGATE] as const)
    ),
    row(
      ...([
        'limit-processes',
        has('pids') || counts,
        has('pids') ? 'by cgroup' : 'by a count of its own'
      ] as const),
      ...(["by the guest's own kernel only", DELEGATE] as const)
    ),
    fact('limit-disk', 'ok', 'a file of fixed size for every server')
  ]
}

/** The jail ends a guest kernel that makes a forbidden system call. @see seccomp(2), SECCOMP_RET_KILL_PROCESS */
export function seccompFact(actions: string | undefined): MachineFact {
  if (actions?.split(' ').includes('kill_process') === true)
    return fact('seccomp', 'ok', 'system calls of guest kernels are filtered')
  return fact('seccomp', 'fail', 'the host kernel cannot filter', 'use a kernel with CONFIG_SECCOMP_FILTER')
}

function architecture(): MachineFact {
  if (arch() === 'x64') return fact('architecture', 'ok', 'x86_64')
  return fact('architecture', 'fail', arch(), 'guest kernels are built for x86_64 only')
}

function hostKernel(): MachineFact {
  if (isHostKernelAtLeast(KERNEL_MIN)) return fact('host-kernel', 'ok', release())
  return fact('host-kernel', 'fail', release(), `Linux ${KERNEL_MIN.join('.')} or newer is needed`)
}

/**
 * Guest kernels trace their own children, without any capability: scope 2 forbids that as scope 3 does.
 * @see Documentation/admin-guide/LSM/Yama.rst
 */
export function ptraceFact(scope: string | undefined): MachineFact {
  if (scope === undefined) return fact('ptrace', 'ok', 'no Yama restriction')
  const found = `ptrace_scope ${scope}`
  if (scope === '0' || scope === '1') return fact('ptrace', 'ok', found)
  if (scope === '2')
    return fact('ptrace', 'fail', found, 'guest kernels need ptrace: sysctl kernel.yama.ptrace_scope=1')
  return fact(
    'ptrace',
    'fail',
    found,
    'guest kernels need ptrace: set kernel.yama.ptrace_scope=1 at boot; 3 stays until then'
  )
}

function userNamespaces(): MachineFact {
  const name = 'user-namespaces'
  if (!existsSync('/proc/self/ns/user'))
    return fact(name, 'fail', 'the host kernel has none', 'use a kernel with CONFIG_USER_NS')
  if (setting('/proc/sys/user/max_user_namespaces') === '0')
    return fact(name, 'fail', 'none allowed', 'sysctl user.max_user_namespaces=10000')
  if (setting('/proc/sys/kernel/unprivileged_userns_clone') === '0')
    return fact(name, 'fail', 'forbidden to ordinary uids', 'sysctl kernel.unprivileged_userns_clone=1')
  if (isUserNamespaceRestricted())
    return fact(
      name,
      'warn',
      'restricted by AppArmor',
      'if bubblewrap fails: allow it a profile with `userns`'
    )
  return fact(name, 'ok', 'allowed')
}

function programs(): MachineFact[] {
  return PROGRAMS.map(([program, debianPackage]) => {
    const path = findProgram(program)
    if (path !== undefined) return fact(`program-${program}`, 'ok', path)
    return fact(`program-${program}`, 'fail', 'not installed', `apt-get install ${debianPackage}`)
  })
}

function network(isRoot: boolean): MachineFact[] {
  const outward = defaultRoutes(setting('/proc/net/route') ?? '')
  return networkFacts({
    isRoot,
    outward,
    missing: [...NETWORK_PROGRAMS.keys(), PASTA].filter((program) => findProgram(program) === undefined),
    isForwarding: setting(`/proc/sys/net/ipv4/conf/${outward[0] ?? 'all'}/forwarding`) === '1'
  })
}

/** Builds a small jail for real: what the settings say and what works are two things. */
async function jail(isRoot: boolean): Promise<MachineFact> {
  const options = [
    '--unshare-all',
    '--unshare-user',
    '--cap-drop',
    'ALL',
    '--ro-bind',
    '/',
    '/',
    '--proc',
    '/proc'
  ]
  // As root the jail belongs to another uid from the start, and so must this one.
  const drop = isRoot ? ['--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs'] : []
  // It stands in a namespace that counts processes, where that works.
  const count = countsByNamespace() ? ['unshare', '--user', '--map-current-user', '--'] : []
  const result = await execa('setpriv', [...drop, ...count, 'bwrap', ...options, 'true'], {
    reject: false,
    timeout: TRY_TIMEOUT_MS
  })
  if (result.exitCode === 0) return fact('jail', 'ok', 'bubblewrap builds a jail')
  const advice =
    'see user-namespaces above; inside a container it needs leave to make namespaces and mount /proc'
  return fact('jail', 'fail', `bubblewrap failed: ${result.stderr.split('\n')[0] ?? 'no message'}`, advice)
}

function cgroups(capability: CgroupCapability): MachineFact {
  if (capability.version === 0)
    return fact('cgroups', 'warn', capability.reason, 'the rows limit-… say what is not kept without them')
  const found = `version ${capability.version}: ${capability.controllers.join(', ') || 'no controllers'}`
  if (capability.missing.length === 0) return fact('cgroups', 'ok', found)
  return fact('cgroups', 'warn', found, capability.reason)
}

async function memoryFileSystem(): Promise<MachineFact> {
  const total = /^MemAvailable:\s+(\d+) kB$/m.exec(setting('/proc/meminfo') ?? '')?.[1]
  const available = `${Math.round((Number(total ?? 0) * 1024) / MIB)} MiB available`
  const shm = await statfs('/dev/shm').catch(() => undefined)
  if (shm?.type === TMPFS_MAGIC) return fact('memory', 'ok', available)
  // The jail mounts a tmpfs of its own, so this is a hint only.
  return fact('memory', 'warn', `${available}; /dev/shm is not a tmpfs`, 'mount a tmpfs on /dev/shm')
}

async function diskSpace(directory: string): Promise<MachineFact> {
  const { bavail, bsize } = await statfs(directory)
  const found = `${((bavail * bsize) / GIB).toFixed(1)} GiB free at ${directory}`
  if (bavail * bsize >= DISK_FREE_BYTES_MIN) return fact('disk', 'ok', found)
  return fact('disk', 'warn', found, `free at least ${DISK_FREE_BYTES_MIN / GIB} GiB`)
}

/** CPU features of the host, which guests see too. */
function processor(): MachineFact {
  const info = setting('/proc/cpuinfo') ?? ''
  const model = /^model name\s*:\s*(.*)$/m.exec(info)?.[1] ?? 'unknown model'
  const flags = new Set((/^flags\s*:\s*(.*)$/m.exec(info)?.[1] ?? '').split(' '))
  const known = ['sse4_2', 'aes', 'avx', 'avx2', 'avx512f'].filter((flag) => flags.has(flag))
  return fact('processor', 'ok', `${model}; ${known.join(' ')}`)
}

/**
 * All facts, in the order in which to read them. Changes nothing on the machine.
 * `directory`: where servers will live; it exists.
 */
export async function machineFacts(directory: string): Promise<MachineFact[]> {
  // First and alone: it throws for a directory that is not there, and no child may be running then.
  const disk = await diskSpace(directory)
  const isRoot = process.getuid?.() === 0
  const [tried, memory, groups] = await Promise.all([
    jail(isRoot),
    memoryFileSystem(),
    probeCgroups(findCgroups())
  ])
  const read = [privileges(isRoot), architecture(), processor(), hostKernel(), userNamespaces()]
  const ptrace = ptraceFact(setting('/proc/sys/kernel/yama/ptrace_scope'))
  const seccomp = seccompFact(setting('/proc/sys/kernel/seccomp/actions_avail'))
  const limits = limitFacts({ ...groups, isRoot, countsByNamespace: countsByNamespace() })
  return [
    ...read,
    ptrace,
    seccomp,
    ...programs(),
    tried,
    cgroups(groups),
    ...limits,
    diskShareFact(groups.controllers, diskScheduler(directory)),
    diskRateFact(groups.controllers, diskDevice(directory)),
    ...network(isRoot),
    memory,
    disk
  ]
}
