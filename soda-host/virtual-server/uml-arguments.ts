import { MIB } from '../../src/constants.ts'
import type { LogAttachment } from '../logs/spool-collector.ts'

/** Where things are, as seen from inside the jail. */
export const JAIL_PATHS = {
  kernel: '/linux',
  initrd: '/initrd',
  image: '/image',
  disk: '/disk',
  /** The guest's memory lives in a file here. */
  memory: '/dev/shm',
  home: '/tmp'
} as const

export interface UmlSpec {
  guestMemoryBytes: number
  /** Processes inside the guest; its init sets the guest kernel's own limit by it. */
  processesMax: number
  /** Inherited listening sockets: of the control channel, and for orders about its memory. */
  channelFd: number
  balloonFd: number
  /** What it may use of its memory from the start; undefined: all. */
  usableMemoryBytes?: number | undefined
  /** Number of this guest among those that have the writable layer; undefined: it is the first and the last. */
  boot?: number
  /** The sealed log, of a kernel that is stamped. */
  log?: GuestLog
  /** Inherited descriptor of the compiled rules that a stamped kernel takes. */
  rulesFd?: number
  /** The cable to the switch; without it the guest has a loopback only. */
  network?: GuestInterface
}

export interface GuestLog extends Omit<LogAttachment, 'spool'> {
  /** Inherited descriptors of the files of its spool. */
  fds: readonly [number, number]
}

export interface GuestInterface {
  /** Inherited raw socket. */
  fd: number
  mac: string
  ipv4: string
  prefixLength: number
  /** Default route and name server; absent where the guest shall have none. */
  gateway?: string
  resolver?: string
}

/**
 * Command line of the guest kernel. Pure.
 *
 * `seccomp=off` asks for ptrace mode: the faster mode lets guest user space write guest kernel memory
 * (arch/um/os-Linux/start_up.c). `ubd0rc` is read-only and shared between servers, so it takes no lock.
 * The console has no input and goes to standard output.
 */
export function umlArguments(spec: UmlSpec): string[] {
  return [
    JAIL_PATHS.kernel,
    `mem=${Math.floor(spec.guestMemoryBytes / MIB)}M`,
    'seccomp=off',
    `initrd=${JAIL_PATHS.initrd}`,
    `ubd0rc=${JAIL_PATHS.image}`,
    `ubd1=${JAIL_PATHS.disk}`,
    'con=null',
    'con0=null,fd:1',
    'quiet',
    `soda_channel.fd=${spec.channelFd}`,
    `soda_balloon.fd=${spec.balloonFd}`,
    ...(spec.usableMemoryBytes === undefined
      ? []
      : [`soda_balloon.usable=${Math.floor(spec.usableMemoryBytes / MIB)}`]),
    `ishare.processes=${spec.processesMax}`,
    ...(spec.boot === undefined ? [] : [`ishare.boot=${spec.boot}`]),
    ...(spec.log === undefined ? [] : logArguments(spec.log)),
    ...(spec.rulesFd === undefined ? [] : [`kernort.rules_fd=${spec.rulesFd}`]),
    ...(spec.network === undefined ? [] : networkArguments(spec.network))
  ]
}

/** What soda-host/kernort/linux/push.c wants to know. A kernel that is not stamped does not look at it. */
function logArguments({ fds, spoolFileBytes, bootNumber, previousHead }: GuestLog): string[] {
  return [
    `kernort.fd=${fds.join(',')}`,
    `kernort.spool=${spoolFileBytes}`,
    `kernort.boot=${bootNumber}`,
    ...(previousHead === undefined ? [] : [`kernort.previous=${previousHead}`])
  ]
}

/** The kernel makes `vec0` of it; guest init gives it its address. */
function networkArguments({ fd, mac, ipv4, prefixLength, gateway, resolver }: GuestInterface): string[] {
  return [
    `vec0:transport=fd,fd=${fd},mac=${mac},mtu=1500`,
    `ishare.ipv4=${ipv4}/${prefixLength}`,
    ...(gateway === undefined ? [] : [`ishare.gateway=${gateway}`]),
    ...(resolver === undefined ? [] : [`ishare.resolver=${resolver}`])
  ]
}
