import { Command } from 'commander'
import { constants } from 'node:os'
import type { RunExec } from '../../../irun/index.ts'
import { withConsumer } from '../consumer.ts'
import { EXIT_RUN_FAILED, exitStatusOfRun, failureLines } from '../exit-status.ts'
import { networkOptions } from '../options.ts'
import { resolveRun, RUN_ARGUMENT } from '../run-argument.ts'
import { writeAll } from '../run-session.ts'

interface Flags {
  terminal?: boolean
  input: boolean
}

export function execCommand(): Command {
  const command = new Command('exec')
    .description('run another program in the virtual server of a run; it ends when you leave')
    .argument('<run>', RUN_ARGUMENT)
    .argument('<program...>', 'program and arguments, after --')
    .option('-t, --terminal', 'give it a terminal')
    .option('-n, --no-input', 'do not pass standard input on')
  return networkOptions(command).action(async (wanted: string, argv: string[], flags: Flags) => {
    try {
      await exec(wanted, argv, flags)
    } catch (error) {
      for (const line of failureLines(error)) console.error(line)
      process.exitCode = EXIT_RUN_FAILED
    }
  })
}

async function exec(wanted: string, argv: string[], flags: Flags): Promise<void> {
  await withConsumer({ ...flags }, async (peer) => {
    const { runs } = peer.services.ishare
    const { runId } = resolveRun(runs, wanted)
    await using session = await runs.exec(runId, {
      argv,
      ...(flags.terminal === true && { terminal: terminalSize() })
    })
    using _keys = new ExecKeys(session, flags)
    for await (const { stream, data } of session.output) await writeAll(process[stream], data)
    process.exitCode = exitStatusOfRun({ outcome: await session.exited })
  })
}

function terminalSize(): { columns: number; rows: number } {
  const { isTTY, columns, rows } = process.stdout
  return isTTY ? { columns, rows } : { columns: 80, rows: 24 }
}

/** Whatever the user types, interrupts or resizes goes to the program, until disposed. */
class ExecKeys implements Disposable {
  readonly #session: RunExec
  readonly #undo: (() => void)[] = []

  constructor(session: RunExec, { terminal = false, input }: Flags) {
    this.#session = session
    const isRaw = terminal && process.stdin.isTTY
    if (isRaw) {
      process.stdin.setRawMode(true)
      this.#undo.push(() => process.stdin.setRawMode(false))
    }
    this.#on('SIGINT', () => session.signal(constants.signals.SIGINT))
    this.#on('SIGTERM', () => session.signal(constants.signals.SIGTERM))
    if (terminal) this.#on('SIGWINCH', () => session.resize(terminalSize()))
    if (input || isRaw) void this.#pump()
    else void session.endStdin().catch(() => undefined)
  }

  /** A program that has just ended hears nothing more. */
  #on(name: 'SIGINT' | 'SIGTERM' | 'SIGWINCH', listener: () => Promise<void>): void {
    const handler = (): void => void listener().catch(() => undefined)
    process.on(name, handler)
    this.#undo.push(() => process.off(name, handler))
  }

  async #pump(): Promise<void> {
    try {
      for await (const chunk of process.stdin as AsyncIterable<Buffer>) await this.#session.writeStdin(chunk)
      await this.#session.endStdin()
    } catch {
      // The program is gone before its input: its exit says so.
    }
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo.splice(0)) undo()
    process.stdin.destroy()
  }
}
