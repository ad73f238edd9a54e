import { readFile } from 'node:fs/promises'
import type { ServerCgroup, CgroupUsage } from '../resources/cgroup-types.ts'
import { consoleWritten } from './console-log.ts'
import { readJailStatus } from './jail-status.ts'
import type { ServerFiles } from './server-files.ts'
import type { ServerEnd } from './types.ts'

const DETAIL_CHARACTERS_MAX = 500
/** How shells and bubblewrap tell of a death by SIGKILL. */
const EXIT_CODE_SIGKILL = 137
/** ... and by SIGSYS, which only the system-call filter of the jail sends. */
const EXIT_CODE_SIGSYS = 159

/** Text that a hostile guest wrote, made fit for a log line. */
function printable(text: string): string {
  return text
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, DETAIL_CHARACTERS_MAX)
}

export interface EndFacts {
  /** Set when it was us. */
  killReason: string | undefined
  outOfMemoryKills: number
  exitCode: number | undefined
  console: string
}

/** Why a guest is gone, from what it left. Pure. */
export function endOf({ killReason, outOfMemoryKills, exitCode, console }: EndFacts): ServerEnd {
  if (killReason !== undefined) return { kind: 'killed', detail: printable(killReason) }
  if (outOfMemoryKills > 0) return { kind: 'out-of-memory', detail: 'the host killed it for want of memory' }
  // Before what the console says: that is the guest's word.
  if (exitCode === EXIT_CODE_SIGSYS)
    return { kind: 'killed', detail: 'the guest kernel made a system call that its jail forbids' }
  // The line may begin with a log level.
  const panic = /Kernel panic.*/.exec(console)?.[0]
  if (panic !== undefined) return { kind: 'panic', detail: printable(panic) }
  if (exitCode === 0) return { kind: 'halted', detail: '' }
  // No exit code: bubblewrap itself was killed, or its jail before it stood.
  if (exitCode === EXIT_CODE_SIGKILL || exitCode === undefined)
    return { kind: 'killed', detail: 'killed from outside' }
  const last = printable(console.trim().split('\n').at(-1) ?? '')
  return { kind: 'unknown', detail: `exit code ${exitCode}; last words: ${last}` }
}

/**
 * After the guest's first process has died: gather what it left, make sure that nothing lives on, remove its group.
 * @returns why it ended and the final figures
 */
export async function bury(
  files: ServerFiles,
  group: ServerCgroup,
  killReason: string | undefined
): Promise<{ end: ServerEnd; usage: CgroupUsage }> {
  await consoleWritten(files)
  const usage = await group.usage()
  await group.killAll()
  await group.remove()
  const { exitCode } = await readJailStatus(files)
  const console = await readFile(files.consoleLog, 'latin1').catch(() => '')
  const end = endOf({ killReason, outOfMemoryKills: usage.outOfMemoryKills, exitCode, console })
  return { end, usage }
}
