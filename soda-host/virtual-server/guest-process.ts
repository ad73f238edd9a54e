import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { open, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { HostError } from '../../src/errors.ts'
import { consoleWritten } from './console-log.ts'
import { hostPath } from '../resources/host-programs.ts'
import { BALLOON_FD, CHANNEL_FD, RULES_FD, STATUS_FD } from './jail.ts'
import { readJailStatus } from './jail-status.ts'
import { startTimeOf, type ProcessIdentity } from './process-identity.ts'
import type { ServerFiles } from './server-files.ts'

const POLL_MS = 2

export interface SpawnSpec {
  command: readonly [string, ...string[]]
  files: ServerFiles
  /** Listening sockets that the guest kernel inherits: of the control channel, and for orders about its memory. */
  channelFd: number
  balloonFd: number
  /** Of a file to be read only; as RULES_FD. */
  rulesFd: number | undefined
  signal: AbortSignal
}

/**
 * Start the chain and wait until the jail stands. The processes are not tied to ours: they live on when we die.
 * @returns the first process of the jail, which takes all of it along when it dies
 * @throws ERR_JAIL with what the jail complained about
 */
export async function spawnGuest({
  command,
  files,
  channelFd,
  balloonFd,
  rulesFd,
  signal
}: SpawnSpec): Promise<ProcessIdentity> {
  await using status = await open(files.status, 'w', 0o600)
  const [file, ...args] = command
  // Not execa: the chain outlives us, and takes descriptors beyond the standard three.
  const chain = spawn(file, args, {
    stdio: inherited({
      [STATUS_FD]: status.fd,
      [CHANNEL_FD]: channelFd,
      [BALLOON_FD]: balloonFd,
      [RULES_FD]: rulesFd
    }),
    detached: true,
    env: { PATH: hostPath() },
    cwd: '/'
  })
  // Our exit must not wait for the guest.
  chain.unref()
  const state: ChainState = { isOver: false, cause: undefined }
  chain.once('exit', () => (state.isOver = true))
  chain.once('error', (cause) => Object.assign(state, { isOver: true, cause }))
  try {
    return await jailStands(files, state, signal)
  } catch (error) {
    killChain(chain)
    throw error
  }
}

/** What the chain finds open: our descriptors by its own numbers; nothing in between. */
function inherited(ours: Record<number, number | undefined>): StdioOptions {
  const length = Math.max(...Object.keys(ours).map(Number)) + 1
  return Array.from({ length }, (_, number) => ours[number] ?? 'ignore')
}

interface ChainState {
  isOver: boolean
  cause: unknown
}

async function jailStands(
  files: ServerFiles,
  state: ChainState,
  signal: AbortSignal
): Promise<ProcessIdentity> {
  for (;;) {
    signal.throwIfAborted()
    const { pid } = await readJailStatus(files)
    const startTime = pid === undefined ? undefined : startTimeOf(pid)
    if (pid !== undefined && startTime !== undefined) return { pid, startTime }
    if (state.isOver) throw await startFailure(files, state.cause)
    await delay(POLL_MS)
  }
}

/** It leads a process group of its own. */
function killChain(chain: ChildProcess): void {
  if (chain.pid === undefined) return
  try {
    process.kill(-chain.pid, 'SIGKILL')
  } catch {
    // Nobody is left of it.
  }
}

/** With the last line that the chain wrote. */
async function startFailure(files: ServerFiles, cause: unknown): Promise<HostError> {
  await consoleWritten(files)
  const text = await readFile(files.consoleLog, 'utf8').catch(() => '')
  const complaint = text.trim().split('\n').at(-1) ?? ''
  return new HostError('ERR_JAIL', `the jail did not start: ${complaint}`, { cause })
}
