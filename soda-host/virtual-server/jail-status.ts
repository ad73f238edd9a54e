import { readFile, stat } from 'node:fs/promises'
import { killProcess, processGone, startTimeOf } from './process-identity.ts'
import type { ServerFiles } from './server-files.ts'

/** What bubblewrap writes: the first process of the jail, its pid namespace, and in the end the exit code. */
export interface JailStatus {
  pid: number | undefined
  pidNamespace: number | undefined
  exitCode: number | undefined
}

function numberAt(text: string, key: string): number | undefined {
  const match = new RegExp(`"${key}":\\s*(\\d+)`).exec(text)
  return match === null ? undefined : Number(match[1])
}

/** Reads bubblewrap's status file; all undefined when there is none yet. */
export async function readJailStatus(files: ServerFiles): Promise<JailStatus> {
  const text = await readFile(files.status, 'utf8').catch(() => '')
  return {
    pid: numberAt(text, 'child-pid'),
    pidNamespace: numberAt(text, 'pid-namespace'),
    exitCode: numberAt(text, 'exit-code')
  }
}

/**
 * Kill the jail that the status file tells of, unless its pid belongs to somebody else by now.
 * `thaw`: lets go on what may be frozen, and would not die.
 */
export async function killJail(
  files: ServerFiles,
  thaw: () => Promise<unknown> = async () => undefined
): Promise<void> {
  const { pid, pidNamespace } = await readJailStatus(files)
  const startTime = pid === undefined ? undefined : startTimeOf(pid)
  if (pid === undefined || pidNamespace === undefined || startTime === undefined) return
  // The inode number of the namespace: no other process can be in it.
  const namespace = await stat(`/proc/${pid}/ns/pid`).catch(() => undefined)
  if (namespace?.ino !== pidNamespace) return
  killProcess({ pid, startTime })
  await thaw()
  await processGone({ pid, startTime })
}
