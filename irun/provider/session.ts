/**
 * One consumer's stream, attached to one run.
 *
 * Six jobs side by side, each waiting for its own thing, until the first one ends: read what the consumer says,
 * tell it the run's state, and its kernel's manifest, send output, feed standard input, send files. None of them can hold up another:
 * bulk data waits in windows, not in the reader. When the session ends the run goes on.
 *
 * The attacker is the consumer: it says anything in any state. What the state machine does not allow is
 * answered with a code and the end of the stream.
 */
import { SECOND_MS } from '../../src/constants.ts'
import { hasCode, RunError, WireError } from '../../src/errors.ts'
import { ReceiveWindow, SendWindow } from '../byte-window.ts'
import { confirmer } from '../confirm.ts'
import type { RunHost } from '../host.ts'
import { FILES_WINDOW_BYTES, OUTPUT_WINDOW_BYTES, STDIN_WINDOW_BYTES } from '../limits.ts'
import {
  CHANNEL_FILES,
  CHANNEL_OUTPUT,
  CHANNEL_RULESET,
  CHANNEL_STAGING,
  CHANNEL_STDIN,
  type ConsumerMessage
} from '../messages.ts'
import { hasReached, isFinal, type RunState } from '../state-machine.ts'
import { Bell, raceJobs, untilAborted } from '../waiting.ts'
import { feedStdin, sendFiles, sendOutput, type ProviderStream } from './channels.ts'
import type { HostedRunTask } from './hosted-run.ts'
import { RulesetIntake } from './ruleset-intake.ts'
import { Staging } from './staging.ts'

/** Answered when something has happened; meanwhile the consumer is heard. Each is under way at most once. */
const LENGTHY: ReadonlySet<ConsumerMessage['type']> = new Set(['stagingEnd', 'collected'])
const HOST_ANSWER_MS = 10 * SECOND_MS

export interface SessionInit {
  stream: ProviderStream
  run: HostedRunTask
  host: RunHost
  /** Where the output starts. */
  outputOffset: number
  /** Where standard input stands at the host. */
  stdinOffset: number
  /** The rules that its kernel takes are there. */
  hasRuleset: boolean
  /** The state that the consumer knows already. */
  toldState: RunState
  /** The last notice that it knows. */
  toldNotice: number
  /** Only watches. */
  isView: boolean
}

export class ProviderSession {
  readonly #init: SessionInit
  readonly #output: SendWindow
  readonly #stdin: ReceiveWindow
  readonly #staging: Staging
  readonly #ruleset: RulesetIntake
  readonly #filesAsked = new Bell()
  /** Aborted by what fails outside the jobs below. */
  readonly #failure = new AbortController()
  #files: SendWindow | undefined

  constructor(init: SessionInit) {
    const { stream, run, host } = init
    this.#init = init
    this.#output = new SendWindow(OUTPUT_WINDOW_BYTES, init.outputOffset)
    this.#stdin = new ReceiveWindow(STDIN_WINDOW_BYTES, confirmer(stream, CHANNEL_STDIN), init.stdinOffset)
    this.#staging = new Staging(run, host, confirmer(stream, CHANNEL_STAGING), abortOf(this.#failure))
    this.#ruleset = new RulesetIntake({
      run,
      host,
      confirm: confirmer(stream, CHANNEL_RULESET),
      fail: abortOf(this.#failure),
      isThere: init.hasRuleset
    })
  }

  /** Resolves when the consumer has closed the stream. */
  async serve(signal: AbortSignal): Promise<void> {
    const { stream, run, host } = this.#init
    try {
      await raceJobs(AbortSignal.any([signal, this.#failure.signal]), [
        (abort) => this.#read(abort),
        (abort) => this.#tellStates(abort),
        (abort) => this.#tellManifest(abort),
        (abort) => sendOutput(stream, run, host, this.#output, abort),
        (abort) => feedStdin(run, host, this.#stdin, abort),
        (abort) => this.#sendFiles(abort)
      ])
    } finally {
      await Promise.all([this.#staging.abort(), this.#ruleset.abort()])
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const { stream } = this.#init
    const controller = new AbortController()
    const abort = AbortSignal.any([signal, controller.signal])
    const beside = new Map<ConsumerMessage['type'], Promise<void>>()
    try {
      for (let frame = await stream.read(abort); frame !== undefined; frame = await stream.read(abort)) {
        if (frame.kind === 'data') this.#takeData(frame.channel, frame.offset, frame.data, abort)
        else if (!LENGTHY.has(frame.message.type)) await this.#handle(frame.message, abort)
        else if (!beside.has(frame.message.type))
          beside.set(frame.message.type, this.#handle(frame.message, abort).catch(abortOf(controller)))
      }
    } finally {
      controller.abort()
      await Promise.allSettled(beside.values())
    }
  }

  #takeData(channel: number, offset: number, data: Uint8Array, signal: AbortSignal): void {
    this.#refuseInView()
    if (channel === CHANNEL_STAGING) this.#staging.push(offset, data, signal)
    else if (channel === CHANNEL_RULESET) this.#ruleset.push(offset, data, signal)
    else if (channel === CHANNEL_STDIN) this.#stdin.push(offset, data)
    else throw new WireError('ERR_WIRE_FORMAT', `a consumer sends nothing on channel ${channel}`)
  }

  async #handle(message: ConsumerMessage, signal: AbortSignal): Promise<void> {
    const { run, host } = this.#init
    const { serverId } = run.record
    if (message.type !== 'taken') this.#refuseInView()
    switch (message.type) {
      case 'taken':
        this.#confirm(message.channel, message.offset)
        break
      case 'stagingEnd':
        await this.#ruleset.complete()
        await this.#staging.end(message.bytes)
        break
      case 'start':
        run.start()
        break
      case 'stdinEnd':
        this.#stdin.end(message.offset)
        break
      case 'signal':
        await whileAlive(host.signal(serverId, message.signal, soon(signal)))
        break
      case 'resize':
        await whileAlive(host.resize(serverId, message.size, soon(signal)))
        break
      case 'cancel':
        run.cancel()
        break
      case 'getFiles':
        this.#require('exited')
        if (this.#files !== undefined) throw new WireError('ERR_WIRE_FORMAT', 'the files are under way')
        this.#files = new SendWindow(FILES_WINDOW_BYTES, message.offset)
        this.#filesAsked.ring()
        break
      case 'getReceipt':
        await this.#sendReceipt(signal)
        break
      case 'collected':
        await this.#settle(signal)
        break
      case 'submit':
      case 'attach':
      case 'stop':
      case 'status':
      case 'list':
        throw new WireError('ERR_WIRE_FORMAT', `${message.type} opens a stream and nothing else`)
    }
  }

  #confirm(channel: number, offset: number): void {
    const window =
      channel === CHANNEL_OUTPUT ? this.#output : channel === CHANNEL_FILES ? this.#files : undefined
    if (window === undefined) throw new WireError('ERR_WIRE_FORMAT', `nothing was sent on channel ${channel}`)
    window.confirm(offset)
  }

  /** Tells every change of state and every notice; of several quick ones only the last. */
  async #tellStates(signal: AbortSignal): Promise<void> {
    const { stream, run } = this.#init
    let { toldState: told, toldNotice } = this.#init
    for (;;) {
      while (run.record.state === told && run.lastNotice === toldNotice) await run.changed(signal)
      told = run.record.state
      toldNotice = run.lastNotice
      await stream.send({ kind: 'message', message: { type: 'state', status: run.status() } }, signal)
    }
  }

  /** Once in every session: a consumer that was away may not have heard. */
  async #tellManifest(signal: AbortSignal): Promise<void> {
    const { stream, run, isView } = this.#init
    while (run.record.manifest === undefined) await run.changed(signal)
    const message = { type: 'manifest', token: run.record.manifest } as const
    if (!isView) await stream.send({ kind: 'message', message }, signal)
    await untilAborted(signal)
  }

  /** The consumer has everything. Answered when the server is gone. */
  async #settle(signal: AbortSignal): Promise<void> {
    const { stream, run } = this.#init
    this.#require('exited')
    run.collect()
    while (!isFinal(run.record.state)) await run.changed(signal)
    await stream.send({ kind: 'message', message: { type: 'settled' } }, signal)
  }

  /** One transfer per session; after a reconnect it goes on in the next one. */
  async #sendFiles(signal: AbortSignal): Promise<void> {
    const { stream, run, host } = this.#init
    while (this.#files === undefined) await this.#filesAsked.wait(signal)
    await sendFiles(stream, run, host, this.#files, signal)
    await untilAborted(signal)
  }

  async #sendReceipt(signal: AbortSignal): Promise<void> {
    this.#require('exited')
    const { receipt } = this.#init.run.record
    if (receipt === undefined) throw new RunError('ERR_RUN_STATE', 'there is no receipt')
    await this.#init.stream.send({ kind: 'message', message: { type: 'receipt', token: receipt } }, signal)
  }

  #require(state: RunState): void {
    const { record } = this.#init.run
    if (!hasReached(record.state, state))
      throw new RunError('ERR_RUN_STATE', `run ${record.runId} is ${record.state}, not yet ${state}`)
  }

  #refuseInView(): void {
    if (this.#init.isView) throw new RunError('ERR_RUN_STATE', 'who only watches says nothing')
  }
}

/** A program that has just ended takes no signals: nobody's fault. */
async function whileAlive(action: Promise<void>): Promise<void> {
  try {
    await action
  } catch (error) {
    if (!hasCode(error, 'ERR_SERVER_STATE') && !hasCode(error, 'ERR_SERVER_UNKNOWN')) throw error
  }
}

function soon(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(HOST_ANSWER_MS)])
}

function abortOf(controller: AbortController): (error: unknown) => void {
  return (error) => {
    controller.abort(error)
  }
}
