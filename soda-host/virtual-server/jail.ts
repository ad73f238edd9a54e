/**
 * The jail of one virtual server, as the chain of commands that builds it. Pure.
 *
 * Goal: the guest kernel, which a hostile guest may have taken over, holds nothing but its own files.
 * Chain: sh (joins the cgroups, as root) → setpriv (own uid, no privilege, none to be gained) → sh (keeper) →
 * unshare (a count of processes) → prlimit (no core dump, bounded files and processes) → taskset (one CPU) → bwrap (own user, mount, pid, net, ipc, uts and
 * cgroup namespaces, system-call filter) → guest kernel. Each step becomes the next by exec, but for two: the keeper
 * waits for the rest, and bubblewrap forks an init for the pid namespace and waits for that.
 * Invariants: whichever process of these dies, all of the guest dies: `--die-with-parent` ties init to bubblewrap and
 * bubblewrap to the keeper, and the end of init is the end of its namespace. (bubblewrap's init alone would wait for
 * every last process, and those that a dead guest kernel had traced may stand still for ever.) The keeper is there
 * so that nothing depends on the daemon's life.
 * Attacker: code that runs as the guest kernel. It finds its own uid, an empty file system of fixed size with five
 * files in it, of which one is writable and cannot grow beyond its size, no procfs, sysfs or device, a network
 * namespace with loopback only, the inherited sockets, the two files of its log's spool, to which it can append,
 * the rules of its tenant, which it can read, and the system calls of syscall-filter/allow-list.ts. What
 * each barrier holds when another falls is in docs/architecture/threat-model.md.
 */
import { JAIL_PATHS } from './uml-arguments.ts'

/** Descriptors that the chain inherits beyond the standard three. */
export const STATUS_FD = 3
export const CHANNEL_FD = 4
export const BALLOON_FD = 5
/** Opened by the chain itself: see port-socket.ts of the switch. */
export const NETWORK_FD = 6
/** The spool of the sealed log, opened by the first sh, with our rights. */
export const LOG_FDS = [7, 8] as const

/** The system-call filter: opened by the first sh, read and closed by bubblewrap. One digit: sh knows no others. */
const FILTER_FD = 9

/**
 * The compiled rules, where there are any: opened by us, to be read only. Beyond what sh can name, so that it stays open in
 * the keeper and at the console too.
 */
export const RULES_FD = 10

/** uid and gid of the server in slot 0. Far above what distributions and user namespaces hand out by default. */
const UID_BASE = 2_000_000
const SLOT_MAX = 99_999
/** What the guest's home (`~/.uml`) may hold. */
const HOME_BYTES = 1024 * 1024
/**
 * No core dump, and for programs that take them by a pipe neither: those run as root, and do not care for a limit of 0.
 * @see fs/coredump.c
 */
const CORE_BYTES_MAX = 1
/** Descriptors of one process. A guest kernel needs about 20. */
const DESCRIPTORS_MAX = 256
/** What is kept of the console: its end, where a panic stands. */
const CONSOLE_TAIL_BYTES = 64 * 1024

/** The uid of a slot. @throws TypeError for a slot that is no small non-negative integer */
export function uidOfSlot(slot: number): number {
  if (!Number.isInteger(slot) || slot < 0 || slot > SLOT_MAX)
    throw new TypeError(`slot: expected an integer 0..${SLOT_MAX}, got ${slot}`)
  return UID_BASE + slot
}

export interface JailSpec {
  /** Undefined: keep our own (we are not root). */
  uid: number | undefined
  hostCpu: number
  /** Undefined: not to be bounded here, because the processes of others would count too. */
  hostProcessesMax: number | undefined
  /** In a user namespace made for that: processes of others do not count, even if they have the same uid. */
  isCountedApart: boolean
  memoryFileSystemBytes: number
  diskBytes: number
  kernelPath: string
  initrdPath: string
  imagePath: string
  diskPath: string
  /** What the guest may know of the processor: the head of /proc/cpuinfo. */
  cpuinfoPath: string
  /** Guest kernel and its arguments. */
  command: readonly string[]
}

/** Waits for the rest, holding nothing of it but the console. */
const KEEPER = `"$@" & exec ${[STATUS_FD, CHANNEL_FD, BALLOON_FD, NETWORK_FD, ...LOG_FDS, FILTER_FD].map((fd) => `${fd}>&-`).join(' ')}; wait $!`

function privilegeDrop(uid: number | undefined): string[] {
  const none = ['--no-new-privs', '--inh-caps=-all']
  if (uid === undefined) return ['setpriv', ...none]
  return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--bounding-set=-all', ...none]
}

/** setpriv and what follows it. */
export function jailCommand(spec: JailSpec): string[] {
  // The memory file and the disk are the only files that can grow.
  const fileBytesMax = Math.max(spec.diskBytes, spec.memoryFileSystemBytes)
  return [
    ...privilegeDrop(spec.uid),
    ...['/bin/sh', '-c', KEEPER, 'soda-keeper'],
    ...ownCount(spec),
    ...[
      'prlimit',
      `--core=${CORE_BYTES_MAX}`,
      `--fsize=${fileBytesMax}`,
      '--memlock=0',
      `--nofile=${DESCRIPTORS_MAX}`
    ],
    ...['--msgqueue=0', '--nice=0', '--rtprio=0', ...processBound(spec), '--'],
    ...['taskset', '--cpu-list', String(spec.hostCpu)],
    ...bubblewrap(spec),
    ...spec.command
  ]
}

/** A second bound beside the cgroup's, or the only one where there is none. */
function processBound({ hostProcessesMax }: JailSpec): string[] {
  return hostProcessesMax === undefined ? [] : [`--nproc=${hostProcessesMax}`]
}

/**
 * RLIMIT_NPROC counts the processes of a uid in a user namespace (Linux 5.14). The uid need not be the server's own: it
 * may be the daemon's, or that of the same slot of another daemon. A namespace around the jail makes the count its
 * own; the one of the jail itself comes too late for it.
 */
function ownCount({ isCountedApart }: JailSpec): string[] {
  return isCountedApart ? ['unshare', '--user', '--map-current-user', '--'] : []
}

function bubblewrap(spec: JailSpec): string[] {
  return [
    ...['bwrap', '--unshare-all', '--unshare-user', '--disable-userns', '--new-session', '--die-with-parent'],
    ...['--cap-drop', 'ALL', '--seccomp', String(FILTER_FD)],
    ...['--json-status-fd', String(STATUS_FD)],
    ...['--clearenv', '--setenv', 'HOME', JAIL_PATHS.home, '--setenv', 'TMPDIR', JAIL_PATHS.memory],
    ...['--setenv', 'PATH', '/', '--hostname', 'guest', '--chdir', '/'],
    ...['--perms', '0700', '--size', String(spec.memoryFileSystemBytes), '--tmpfs', JAIL_PATHS.memory],
    ...['--perms', '0700', '--size', String(HOME_BYTES), '--tmpfs', JAIL_PATHS.home],
    // No procfs: a guest kernel asks it two things only, which processor this is and which file it was started from.
    ...['--ro-bind', spec.cpuinfoPath, '/proc/cpuinfo', '--symlink', JAIL_PATHS.kernel, '/proc/self/exe'],
    ...['--ro-bind', spec.kernelPath, JAIL_PATHS.kernel],
    ...['--ro-bind', spec.initrdPath, JAIL_PATHS.initrd],
    ...['--ro-bind', spec.imagePath, JAIL_PATHS.image],
    ...['--bind', spec.diskPath, JAIL_PATHS.disk],
    // bubblewrap's own root is a tmpfs without bound: nothing may be written there.
    ...['--remount-ro', '/', '--']
  ]
}

export interface LaunchScriptSpec {
  /** `cgroup.procs` files to join. */
  joinFiles: readonly string[]
  consolePipe: string
  consoleLog: string
  consolePid: string
  /** The compiled system-call filter. */
  filter: string
  /** Files of the spool of the sealed log. */
  spool?: readonly [string, string]
  jail: readonly string[]
}

/**
 * The console goes through a pipe to `tail`, which keeps a bounded end of it: a file that the guest kernel wrote
 * itself could fill the host's disk. It holds none of our other descriptors and ends when the guest does.
 */
const SCRIPT = `set -eu
umask 077
pipe=$1 log=$2 pid=$3 filter=$4 spool=$5 more=$6
shift 6
exec 2> "$log"
while [ "$1" != -- ]; do echo $$ > "$1"; shift; done
shift
mkfifo -- "$pipe"
tail -c ${CONSOLE_TAIL_BYTES} < "$pipe" > "$log" ${STATUS_FD}>&- ${CHANNEL_FD}>&- ${BALLOON_FD}>&- &
echo $! > "$pid"
exec ${FILTER_FD}< "$filter"
[ -z "$spool" ] || exec ${LOG_FDS[0]}>> "$spool" ${LOG_FDS[1]}>> "$more"
exec > "$pipe" 2>&1
rm -f -- "$pipe"
exec "$@"`

/** The whole chain, from sh on. */
export function launchCommand(spec: LaunchScriptSpec): [string, ...string[]] {
  const { spool = ['', ''] } = spec
  const paths = [spec.consolePipe, spec.consoleLog, spec.consolePid, spec.filter, ...spool]
  return ['/bin/sh', '-c', SCRIPT, 'soda-server', ...paths, ...spec.joinFiles, '--', ...spec.jail]
}
