import { execa } from 'execa'
import { open, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { HostError } from '../../src/errors.ts'
import { hostPath } from '../resources/host-programs.ts'
import { startTimeOf, type ProcessIdentity } from './process-identity.ts'
import type { ServerFiles } from './server-files.ts'

const POLL_MS = 2

/** What bubblewrap writes: the first process of the jail, its pid namespace, and in the end the exit code. */
export interface JailStatus {
  pid: number | undefined
  pidNamespace: number | undefined
  exitCode: number | undefined
}

function numberAt(line: string, key: string): number | undefined {
  const match = new RegExp(`"${key}":\\s*(\\d+)`).exec(line)
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

export interface SpawnSpec {
  command: readonly [string, ...string[]]
  files: ServerFiles
  /** Listening socket that the guest kernel inherits. */
  channelFd: number
  signal: AbortSignal
}

/**
 * Start the chain and wait until the jail stands. The processes are not tied to ours: they live on when we die.
 * @returns the first process of the jail, which takes all of it along when it dies
 * @throws ERR_JAIL with what the jail complained about
 */
export async function spawnGuest({ command, files, channelFd, signal }: SpawnSpec): Promise<ProcessIdentity> {
  await using status = await open(files.status, 'w', 0o600)
  const [file, ...args] = command
  const chain = execa(file, args, {
    // In the order of STATUS_FD and CHANNEL_FD.
    stdio: ['ignore', 'ignore', 'ignore', status.fd, channelFd],
    detached: true,
    cleanup: false,
    reject: false,
    extendEnv: false,
    env: { PATH: hostPath() },
    cwd: '/'
  })
  // Our exit must not wait for the guest.
  chain.unref()
  const state = { isOver: false }
  const over = chain.then(() => (state.isOver = true))
  for (;;) {
    signal.throwIfAborted()
    const { pid } = await readJailStatus(files)
    const startTime = pid === undefined ? undefined : startTimeOf(pid)
    if (pid !== undefined && startTime !== undefined) return { pid, startTime }
    if (state.isOver)
      throw new HostError('ERR_JAIL', `the jail did not start: ${await complaint(files)}`, {
        cause: await chain
      })
    await Promise.race([over, delay(POLL_MS)])
  }
}

/** Last line that the chain wrote. */
async function complaint(files: ServerFiles): Promise<string> {
  const text = await readFile(files.consoleLog, 'utf8').catch(() => '')
  return text.trim().split('\n').at(-1) ?? ''
}
