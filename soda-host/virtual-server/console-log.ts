import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { isRunning } from './process-identity.ts'
import type { ServerFiles } from './server-files.ts'

const PATIENCE_MS = 2000
const POLL_MS = 5

/** The console's keeper writes the log when the last of the guest has closed the pipe. */
export async function consoleWritten(files: ServerFiles): Promise<void> {
  const pid = Number(await readFile(files.consolePid, 'utf8').catch(() => '0'))
  if (!(pid > 0)) return
  for (let waitedMs = 0; waitedMs < PATIENCE_MS && isRunning(pid); waitedMs += POLL_MS) await delay(POLL_MS)
}
