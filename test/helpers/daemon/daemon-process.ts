import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'

/** A daemon in a process of its own. */
export interface DaemonProcess extends AsyncDisposable {
  readonly child: ChildProcess
  /** Resolves with all that it said on standard error, when it has ended. */
  readonly ended: Promise<string>
  /** End it without a chance to do anything. */
  kill(): Promise<void>
  /** SIGTERM, and wait. @returns exit status */
  terminate(): Promise<number | null>
}

export interface DaemonProcessOptions {
  /** @default 'fake' */
  guests?: 'fake' | 'uml' | 'network'
  /** See the fixture. @default 0: never */
  dieBefore?: number
  /** What to run node with, see {@link asUser}. @default node itself, as we are, with its flags */
  run?: (args: readonly string[]) => readonly [string, ...string[]]
}

function asWeAre(args: readonly string[]): readonly [string, ...string[]] {
  return [process.execPath, ...process.execArgv, ...args]
}

/** Start one and wait until it answers. Rejects with what it said if it ends before. */
export async function startDaemonProcess(
  config: DaemonConfig,
  { guests = 'fake', dieBefore = 0, run = asWeAre }: DaemonProcessOptions = {}
): Promise<DaemonProcess> {
  const script = join(import.meta.dirname, '..', '..', 'fixtures', 'daemon', 'daemon-process.ts')
  const options = ['--disable-warning=ExperimentalWarning']
  const [file, ...args] = run([...options, script, JSON.stringify(config), guests, String(dieBefore)])
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  const said = text(child.stderr)
  const ended = closed.then(() => said)
  const ready = once(createInterface({ input: child.stdout }), 'line').then(() => true)
  const isReady = await Promise.race([ready, ended.then(() => false)])
  if (!isReady && dieBefore === 0) throw new Error(`the daemon ended: ${await said}`)
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await closed
  }
  return {
    child,
    ended,
    kill,
    async terminate() {
      child.kill('SIGTERM')
      await closed
      return child.exitCode
    },
    [Symbol.asyncDispose]: kill
  }
}
