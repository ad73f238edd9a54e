import { readFile } from 'node:fs/promises'
import type { Slice } from '../resources/admission.ts'
import type { OutsideConfig } from './outside.ts'
import { DAEMON_TIMING, type DaemonTiming } from './limits.ts'

/** @see random(4) */
const BOOT_ID_PATH = '/proc/sys/kernel/random/boot_id'

/** What the owner says about the machine. */
export interface DaemonConfig extends OutsideConfig {
  /** Everything the daemon keeps; made if absent. One daemon at a time. */
  stateDir: string
  /** The Unix socket. Its directory is made (0750) if absent. */
  socketPath: string
  /** Group that may connect: the one of the peer's user. Without it only the daemon's own user may. */
  socketGroup?: number
  /** What of the machine is given away. */
  slice: Slice
  /**
   * Bytes a second that all servers together may read from the disk, and write to it: each gets a part as its CPU is of
   * the slice's. @default as fast as it can
   */
  diskBytesPerSecond?: number
  /** `artifacts.json`, as the factory writes it. */
  artifactsPath: string
  /** Host CPUs that servers are put on. @default those that the daemon may run on */
  cpus?: readonly number[]
  timing?: Partial<DaemonTiming>
  /** Where the kernel tells one boot of this machine from another. @default /proc/sys/kernel/random/boot_id */
  bootIdPath?: string
}

export function timingOf(config: Pick<DaemonConfig, 'timing'>): DaemonTiming {
  return { ...DAEMON_TIMING, ...config.timing }
}

/** Names this boot of the machine. */
export async function hostBootOf({ bootIdPath = BOOT_ID_PATH }: DaemonConfig): Promise<string> {
  return (await readFile(bootIdPath, 'utf8')).trim()
}
