import { KIB, MIB } from '../../src/constants.ts'
import type { ServerLimits } from '../virtual-server/types.ts'

/**
 * What the host sets for one virtual server. There is no second place where limits are turned into settings:
 * cgroups, jail, kernel arguments and writable layer all read from here.
 */
export interface HostKnobs extends GroupKnobs {
  /** `mem=` of the guest kernel: all that it may ever use. */
  guestMemoryBytes: number
  /** What of it it may use at first; undefined: all. */
  usableMemoryBytes: number | undefined
  /** Size of the tmpfs that holds the guest's memory. */
  memoryFileSystemBytes: number
  /** Size of the sparse file behind the writable layer. */
  diskBytes: number
  /** Rate and ceiling of the server's class on the switch. */
  outbound: Pick<ServerLimits, 'outboundBitsPerSecond' | 'outboundMaxBitsPerSecond'>
}

/** What is set for the group of a server's processes; all of it may change while they run. */
export interface GroupKnobs {
  /** cgroup v1 `cpu.shares`; 1024 is one CPU. */
  cpuShares: number
  /** In hundredths of a CPU, not rounded: what cgroup v2 makes its `cpu.weight` of. */
  cpuWeight: number
  /** Hard cap, only when asked for: quota per period (`cpu.cfs_quota_us`, `cpu.max`). */
  cpuQuotaMicroseconds: number | undefined
  /** `memory.limit_in_bytes`, `memory.max`: guest memory and what the host spends on top of it. */
  memoryMaxBytes: number
  /** `pids.max`. Every guest process is one host process. */
  hostProcessesMax: number
  /** cgroup v2 `io.weight`, v1 `blkio.bfq.weight`: as much of a busy disk as of a busy CPU. 100 is one CPU. */
  ioWeight: number
}

/** Period of the CPU cap: the kernel's default. @see Documentation/scheduler/sched-bwc.rst */
export const CPU_PERIOD_MICROSECONDS = 100_000

/**
 * Guest kernel and jail beside guest memory. Measured: 8 MiB (the kernel's image as page cache, bubblewrap, tail);
 * the rest is room for caches.
 */
const OVERHEAD_BYTES = 24 * MIB
/** What the host keeps for one guest process: stack, stub, tables. Measured: 74 KiB for one that only sleeps. */
const OVERHEAD_PER_PROCESS_BYTES = 128 * KIB
/** The host's page tables take 8 bytes in 4096 per mapping of a page; most pages are mapped by few processes. */
const PAGE_TABLE_FRACTION = 4 / 512
/** bubblewrap twice, the guest kernel and its helper threads, the console's, guest init, and what it keeps in reserve. */
const HOST_PROCESSES = 32
/** The memory file is rounded up to pages and holds the kernel's own area as well. */
const MEMORY_FILE_SLACK_BYTES = 16 * MIB

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, Math.round(value)))
}

/** The kernel takes no smaller quota. */
const CPU_QUOTA_MICROSECONDS_MIN = 1000

/** A guest kernel alone, with little to run in it. */
const GUEST_MEMORY_MIN_BYTES = 32 * MIB
/** What a guest kernel keeps for its own book on every page that there is, used or not (struct page), and tables. */
const PAGE_BOOK_FRACTION = 1 / 32

/** The least that a guest which was launched for so much memory can be asked to do with. Pure. */
export function memoryFloorBytes(ceilingBytes: number): number {
  return GUEST_MEMORY_MIN_BYTES + Math.ceil((ceilingBytes * PAGE_BOOK_FRACTION) / MIB) * MIB
}

/** In MiB, as guests count. */
function wholeMib(bytes: number): number {
  return Math.ceil(bytes / MIB) * MIB
}

/** Limits as granted → settings of the host; `ceilingBytes`: of memory, while it runs. Pure. */
export function hostKnobs(limits: ServerLimits, ceilingBytes = limits.memoryBytes): HostKnobs {
  const usableBytes = wholeMib(limits.memoryBytes)
  const guestMemoryBytes = Math.max(usableBytes, wholeMib(ceilingBytes))
  return {
    cpuShares: clamp(limits.cpu * 1024, 2, 262_144),
    cpuWeight: limits.cpu * 100,
    cpuQuotaMicroseconds:
      limits.cpuMax === undefined
        ? undefined
        : Math.max(CPU_QUOTA_MICROSECONDS_MIN, Math.round(limits.cpuMax * CPU_PERIOD_MICROSECONDS)),
    memoryMaxBytes: Math.ceil(
      usableBytes * (1 + PAGE_TABLE_FRACTION) +
        OVERHEAD_BYTES +
        limits.processesMax * OVERHEAD_PER_PROCESS_BYTES
    ),
    hostProcessesMax: limits.processesMax + HOST_PROCESSES,
    ioWeight: clamp(limits.cpu * 100, 1, 1000),
    guestMemoryBytes,
    usableMemoryBytes: usableBytes < guestMemoryBytes ? usableBytes : undefined,
    memoryFileSystemBytes: guestMemoryBytes + MEMORY_FILE_SLACK_BYTES,
    diskBytes: limits.diskBytes,
    outbound: {
      ...(limits.outboundBitsPerSecond !== undefined && {
        outboundBitsPerSecond: limits.outboundBitsPerSecond
      }),
      ...(limits.outboundMaxBitsPerSecond !== undefined && {
        outboundMaxBitsPerSecond: limits.outboundMaxBitsPerSecond
      })
    }
  }
}
