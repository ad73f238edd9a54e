/**
 * A terminal joined to a run.
 *
 * Output and error go where the program meant them; whatever iShare itself says goes to standard error. Without
 * `-t`, the first Ctrl+C lets go of the run and says how to come back, a second one within two seconds stops the
 * program; with `--sig-proxy` signals are the program's. With `-t` every key belongs to the program but the detach keys,
 * Ctrl+P Ctrl+Q, which let go, as in Docker. A run that is let go of goes on.
 */
import { constants } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { RunError } from '../errors.ts'
import type { RunEvent, RunHandle, RunResult, RunState } from '../../irun/index.ts'
import { DETACH_KEYS, detachKeys, DetachWatch } from './detach-keys.ts'
import { EXIT_OK, exitStatusOfRun } from './exit-status.ts'
import { noticeText } from './notice-text.ts'
import { recordJson, recordText, recordTime, type LogRecord } from '../../soda-host/logs/index.ts'
import { harmless, note, printJson } from './output.ts'
import { Progress } from './progress.ts'

/** How long after a first Ctrl+C a second one still means "stop". */
const SECOND_CTRL_C_MS = 2000
/** What was typed before the keys that let go is on its way for no longer than this. */
const LAST_KEYS_MS = 2000
/** Alerts of a run that has ended are waited for so long. */
const LAST_ALERTS_MS = 2000
/** What can be passed on to the program: each would otherwise end us. */
const PROXIED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const
/** From here on the provider needs nothing of the consumer. */
const AWAY: ReadonlySet<RunState> = new Set(['booting', 'running', 'exited', 'collected', 'receipt'])

export interface SessionOptions {
  /** A terminal was asked for. */
  terminal: boolean
  /** Standard input is passed on. */
  stdin: boolean
  /** One JSON object a line in place of the program's output. */
  json: boolean
  quiet: boolean
  /** What the guest's kernel alerts to, as it happens. */
  alerts?: (signal: AbortSignal) => AsyncIterable<LogRecord>
  /** Let go as soon as the provider has all it needs. */
  detachWhenRunning: boolean
  /** With a terminal: the keys that let go. @default Ctrl+P Ctrl+Q */
  detachKeys?: Uint8Array
  /** Signals that we get are the program's. */
  sigProxy?: boolean
}

/** Follow the run to its end or until the user lets go. @returns the exit status of the command */
export async function runSession(handle: RunHandle, options: SessionOptions): Promise<number> {
  using keys = new Keys(handle, options)
  // A program that draws on the terminal is not drawn over.
  const progress = new Progress(options.quiet || options.json || options.terminal)
  const over = new AbortController()
  const alerting = tellAlerts(options, progress, over.signal)
  try {
    await deliver(handle.events, options, progress, keys)
    const result = await handle.done
    keys.stop()
    summary(result, options)
    return exitStatusOfRun(result)
  } catch (error) {
    if (!keys.detached) throw error
    progress.end()
    if (options.detachWhenRunning) return EXIT_OK
    note(`\nThe run goes on. Come back with:  ishare attach ${handle.runId}`)
    note(`See its output:  ishare logs -f ${handle.runId}    End it:  ishare stop ${handle.runId}`)
    return EXIT_OK
  } finally {
    progress.end()
    // What was sealed last is on its way; a session that was let go of does not wait for it.
    if (!keys.detached) await Promise.race([alerting, delay(LAST_ALERTS_MS, undefined, { ref: false })])
    over.abort()
    await alerting
  }
}

/** Beside whatever the program shows: an alert does not wait. A log that cannot be had does not end the session. */
async function tellAlerts(
  { alerts, json, terminal }: SessionOptions,
  progress: Progress,
  signal: AbortSignal
): Promise<void> {
  if (alerts === undefined) return
  try {
    for await (const record of alerts(signal)) {
      progress.end()
      if (json) printJson({ type: 'alert', ...recordJson(record) })
      else {
        const line = harmless(`ALERT ${recordTime(record)} ${recordText(record)}`).replaceAll('\n', ' ')
        process.stderr.write(terminal && process.stdin.isTTY ? `\r\n${line}\r\n` : `${line}\n`)
      }
    }
  } catch (error) {
    if (!signal.aborted) note(`ishare: alerts are not shown: ${String(error)}`)
  }
}

async function deliver(
  events: AsyncIterable<RunEvent>,
  options: SessionOptions,
  progress: Progress,
  keys: Keys
): Promise<void> {
  for await (const event of events) {
    if (isOutput(event)) {
      if (options.json) {
        printJson({ type: event.type, data: Buffer.from(event.data).toString('base64') })
        continue
      }
      progress.end()
      await writeAll(event.type === 'stdout' ? process.stdout : process.stderr, event.data)
    } else if (options.detachWhenRunning && event.type === 'state' && AWAY.has(event.state))
      await keys.detach()
    else if (options.json) printJson(jsonOf(event))
    else if (event.type === 'notice' && options.terminal && !options.quiet)
      // The terminal may be raw: a line of our own begins and ends at its left side.
      note(`\r\nishare: ${noticeText(event)}\r`)
    else progress.event(event)
  }
}

type OutputEvent = Extract<RunEvent, { data: Uint8Array }>

function isOutput(event: RunEvent): event is OutputEvent {
  return event.type === 'stdout' || event.type === 'stderr'
}

function jsonOf(event: RunEvent): unknown {
  if (event.type === 'connection' && event.status === 'lost')
    return { type: event.type, status: event.status, retryMs: event.retryMs }
  return event
}

/** Resolves when the stream has room again; a reader that went away ends the command as it would `cat`. */
export async function writeAll(stream: NodeJS.WriteStream, data: Uint8Array): Promise<void> {
  if (stream.write(data)) return
  await new Promise<void>((resolve) => stream.once('drain', resolve))
}

const CUT: Record<NonNullable<RunResult['cut']>, string> = {
  'lease-expired': 'the lease ended before the program did',
  stopped: 'the program was stopped before it had ended',
  'output-limit': 'the program printed more than the lease allows; the rest was thrown away'
}

function summary(result: RunResult, { quiet, json }: SessionOptions): void {
  if (json) {
    const { runId, outcome, cut, outDir, files } = result
    printJson({ type: 'result', runId, outcome, cut, outDir, files })
    return
  }
  if (result.cut !== undefined) note(`ishare: ${CUT[result.cut]}`)
  if (result.outcome.kind === 'failed')
    note(`ishare: run ${result.runId} failed on the provider's machine [${result.outcome.code}]`)
  if (result.outcome.kind === 'signal')
    note(`ishare: the program was ended by signal ${result.outcome.signal}`)
  if (quiet) return
  const { files } = result
  if (files.length > 0) note(`${files.length} file${files.length === 1 ? '' : 's'} in ${result.outDir}`)
  note(`Receipt:  ishare receipt ${result.runId}`)
}

/** Everything the user types or resizes, until disposed. */
class Keys implements Disposable {
  readonly #handle: RunHandle
  readonly #undo: (() => void)[] = []
  readonly #watch: DetachWatch
  #interrupts = 0
  #isStopped = false
  detached = false

  constructor(handle: RunHandle, options: SessionOptions) {
    this.#handle = handle
    this.#watch = new DetachWatch(options.detachKeys ?? detachKeys(DETACH_KEYS))
    const raw = options.terminal && process.stdin.isTTY
    if (raw) this.#rawTerminal()
    if (options.sigProxy === true)
      for (const name of PROXIED) this.#on(process, name, () => void this.#signal(name))
    else if (!raw) this.#on(process, 'SIGINT', () => void this.#interrupt())
    if (options.terminal) {
      this.#on(process, 'SIGWINCH', () => void this.#resize())
      if (process.stdout.isTTY) void this.#resize()
    }
    if (options.stdin || raw) void this.#pumpStdin(raw)
  }

  #on(target: NodeJS.Process, name: NodeJS.Signals, listener: () => void): void {
    target.on(name, listener)
    this.#undo.push(() => target.off(name, listener))
  }

  #rawTerminal(): void {
    process.stdin.setRawMode(true)
    this.#undo.push(() => process.stdin.setRawMode(false))
  }

  async #resize(): Promise<void> {
    const { columns, rows } = process.stdout
    await this.#handle.resize({ columns, rows }).catch(() => undefined)
  }

  /** A program that has just ended hears nothing more. */
  async #signal(name: (typeof PROXIED)[number]): Promise<void> {
    await this.#handle.signal(constants.signals[name]).catch(() => undefined)
  }

  async #interrupt(): Promise<void> {
    const nth = ++this.#interrupts
    if (nth === 1) {
      note('\nLetting go of the run; press Ctrl+C again to stop the program.')
      await delay(SECOND_CTRL_C_MS)
      if (this.#interrupts <= nth) await this.detach()
    } else if (nth === 2) {
      note('Stopping the program; its files and its receipt still come. Once more lets go at once.')
      await this.#handle.cancel().catch((error: unknown) => note(`ishare: ${String(error)}`))
    } else await this.detach()
  }

  async detach(): Promise<void> {
    this.detached = true
    await this.#handle.detach()
  }

  async #pumpStdin(raw: boolean): Promise<void> {
    try {
      for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
        const { forward, isDetached } = raw ? this.#watch.take(chunk) : { forward: chunk, isDetached: false }
        if (forward.length > 0) await this.#handle.writeStdin(forward)
        if (!isDetached) continue
        await this.#handle.stdinTaken(AbortSignal.timeout(LAST_KEYS_MS)).catch(() => undefined)
        await this.detach()
        return
      }
      await this.#handle.endStdin()
    } catch (error) {
      // The program, or the handle, may be gone before its input is: that is no failure of the run.
      if (!this.#isStopped && !(error instanceof RunError)) note(`ishare: standard input: ${String(error)}`)
    }
  }

  /** No more input is read; the terminal is as it was. */
  stop(): void {
    this.#isStopped = true
    for (const undo of this.#undo.splice(0)) undo()
    process.stdin.destroy()
  }

  [Symbol.dispose](): void {
    this.stop()
  }
}
