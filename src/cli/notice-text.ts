/** What happened to a run on its machine, in words. The codes are those of the host; a strange one stays a code. */
import type { RunSummary } from '../../irun/index.ts'

type Notice = NonNullable<RunSummary['notice']>

const CAUSES: Record<string, string> = {
  'program-exit': 'the program ended',
  'program-signal': 'the program was ended by a signal',
  'guest-panic': "the virtual server's kernel panicked",
  'guest-killed': 'the virtual server was killed from outside',
  'guest-out-of-memory': 'the host killed the virtual server for want of memory',
  'guest-halted': 'the virtual server powered off',
  'host-rebooted': 'the machine was started again',
  given: 'its kernel did so, and nothing was lost',
  forced: 'its kernel had to end processes for that',
  refused: 'its kernel did not give back what was asked in time; it is ended if it uses more',
  ERR_CHANNEL_CLOSED: 'the virtual server was gone',
  ERR_BOOT_FAILED: 'the virtual server did not boot',
  ERR_BOOT_TIMEOUT: 'the virtual server did not boot in time'
}

const LIMITS: Record<string, string> = {
  'memory-limit': 'the memory of the lease was used up, and a process ended for it',
  'disk-limit': 'the disk of the lease is full',
  'files-limit': 'the disk of the lease takes no more files',
  'processes-limit': 'there are as many processes as the lease allows',
  'output-limit': 'more was printed than the lease allows; the rest is thrown away'
}

const NOTICES: Record<string, string> = {
  ...LIMITS,
  restarting: 'the program is started again',
  'lease-ends': 'the lease ends soon; the program is stopped then',
  'lease-extended': 'the lease goes on for longer',
  'memory-resized': 'the provider has changed how much memory may be used'
}

/** `lease ends` where a clock on the wall helps. */
export function noticeText({ code, cause }: Omit<Notice, 'atMs'>, expiresAtMs?: number): string {
  if (code === 'lease-ends' && expiresAtMs !== undefined)
    return `the lease ends at ${new Date(expiresAtMs).toLocaleTimeString()}; the program is stopped then`
  const what = NOTICES[code] ?? code
  return cause === undefined ? what : `${what}: ${CAUSES[cause] ?? LIMITS[cause] ?? cause}`
}
