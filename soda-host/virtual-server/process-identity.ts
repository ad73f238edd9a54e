/**
 * Which process is meant, when a pid may have been given to another since: pid and start time together.
 * @see proc(5), /proc/PID/stat field 22
 */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

export interface ProcessIdentity {
  pid: number
  /** Clock ticks since boot, as text: field 22 of /proc/PID/stat. */
  startTime: string
}

/** Fields of /proc/PID/stat from the third on (state is the first), or undefined when there is no such process. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the command in parentheses and may itself hold blanks and parentheses.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/** Start time of a living process; undefined when it is gone. */
export function startTimeOf(pid: number): string | undefined {
  return statFields(pid)?.[19]
}

/** True while a process with this pid runs, whoever it is. A zombie does not. */
export function isRunning(pid: number): boolean {
  const state = statFields(pid)?.[0]
  return state !== undefined && state !== 'Z' && state !== 'X'
}

/** True while the very process is there and not a zombie. */
export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  return isRunning(pid) && startTimeOf(pid) === startTime
}

/**
 * SIGKILL to that process and no other.
 * @returns false when it was gone already
 */
export function killProcess(identity: ProcessIdentity): boolean {
  if (!isAlive(identity)) return false
  try {
    process.kill(identity.pid, 'SIGKILL')
    return true
  } catch {
    return false
  }
}

const POLL_MS = 50

/** Resolves when the process is gone. It need not be our child: a daemon's guests outlive it. */
export async function processGone(identity: ProcessIdentity, signal?: AbortSignal): Promise<void> {
  while (isAlive(identity)) await delay(POLL_MS, undefined, signal && { signal })
}
