/**
 * One stream to the provider, attached to one run: says where the run stands here, learns where it stands there,
 * and does the next thing, until the run is settled or the stream breaks. Jobs side by side: read what the
 * provider says; feed standard input; confirm output as it is taken; and the steps in their order.
 *
 * The attacker is the provider: it says anything, at any time, or nothing. Documents and states are checked by
 * AttachedRun, output by OutputCopy, files by FileTree; here nothing is waited for without an end.
 */
import { randomBytes } from 'node:crypto'
import { RunError, WireError } from '../../src/errors.ts'
import type { FramedStream } from '../../src/wire/index.ts'
import { SendWindow } from '../byte-window.ts'
import { confirmer } from '../confirm.ts'
import {
  CONFIRM_BYTES,
  OUTPUT_WINDOW_BYTES,
  STAGING_WINDOW_BYTES,
  STDIN_WINDOW_BYTES,
  type ConsumerLimits
} from '../limits.ts'
import {
  CHANNEL_FILES,
  CHANNEL_OUTPUT,
  CHANNEL_RULESET,
  CHANNEL_STAGING,
  CHANNEL_STDIN,
  type ConsumerMessage,
  type MessageOf,
  type ProviderMessage,
  type RunStatus
} from '../messages.ts'
import { sendData } from '../send-data.ts'
import { hasReached, isFinal, type RunState } from '../state-machine.ts'
import { Bell, raceJobs, untilAborted } from '../waiting.ts'
import type { AttachedRun } from './attached-run.ts'
import { FilesDownload } from './files-download.ts'
import { packInputs } from './inputs.ts'
import { forgetRuleset, keptRuleset } from './ruleset-file.ts'
import { ProviderError, StalledError } from './session-errors.ts'

export type ConsumerStream = FramedStream<ProviderMessage, ConsumerMessage>

export interface SessionInit {
  limits: ConsumerLimits
  /** Only watches the output. */
  isView: boolean
  /** What is missing of the sealed log, before the provider may forget it. */
  bringLog: (signal: AbortSignal) => Promise<void>
}

export class ConsumerSession {
  readonly #run: AttachedRun
  readonly #stream: ConsumerStream
  readonly #limits: ConsumerLimits
  readonly #isView: boolean
  readonly #bringLog: (signal: AbortSignal) => Promise<void>
  readonly #heard = new Bell()
  readonly #staging = new SendWindow(STAGING_WINDOW_BYTES)
  readonly #ruleset = new SendWindow(STAGING_WINDOW_BYTES)
  #stdin = new SendWindow(STDIN_WINDOW_BYTES)
  /** Output that the provider was told is taken. */
  #confirmedOutput: number
  #status: RunStatus | undefined
  #heardAtMs = Date.now()
  #isOutputEnded = false
  #isSettled = false
  #receipt: string | undefined
  #manifest: string | undefined
  #download: FilesDownload | undefined
  #filesEnd: number | undefined

  constructor(run: AttachedRun, stream: ConsumerStream, { limits, isView, bringLog }: SessionInit) {
    this.#run = run
    this.#stream = stream
    this.#limits = limits
    this.#isView = isView
    this.#bringLog = bringLog
    this.#confirmedOutput = run.copy.byteLength
  }

  /** Obtain the lease, or find the run again. @throws ERR_RUN_REFUSED with reasons, and what `serve` throws */
  async open(signal: AbortSignal): Promise<void> {
    const { record, copy } = this.#run
    const requestId = randomBytes(12).toString('base64url')
    const { acceptance, program, runId } = record
    await this.#say(
      record.lease === undefined
        ? { type: 'submit', requestId, acceptance, program }
        : { type: 'attach', requestId, runId, outputOffset: copy.byteLength, view: this.#isView }
    )
    const answer = await this.#readAnswer(
      AbortSignal.any([signal, AbortSignal.timeout(this.#limits.answerMs)])
    )
    if (answer.requestId !== requestId) throw new WireError('ERR_WIRE_FORMAT', 'an answer to another request')
    if (answer.type === 'refused') {
      // They will be shown: words of a stranger, which must not speak to a terminal.
      const reasons = answer.reasons.map((reason) => reason.replaceAll(/\p{C}/gu, '\u{fffd}'))
      this.#run.advance('refuse', { failure: { code: answer.code, reasons } })
      throw new RunError('ERR_RUN_REFUSED', `the provider refuses: ${answer.code}`, reasons)
    }
    if (answer.type === 'leased' && record.lease === undefined) await this.#run.takeLease(answer.lease)
    this.#takeStatus(answer.status)
    const { takenBytes } = answer.status.stdin ?? { takenBytes: 0 }
    if (!this.#isView) this.#run.stdin.resume(takenBytes)
    this.#stdin = new SendWindow(STDIN_WINDOW_BYTES, takenBytes)
  }

  /** Resolves when the run is settled; for a view, when the output has ended. */
  async serve(signal: AbortSignal): Promise<void> {
    try {
      await raceJobs(signal, [
        (abort) => this.#read(abort),
        (abort) => this.#confirmOutput(abort),
        (abort) => this.#feedStdin(abort),
        (abort) => this.#takeSteps(abort)
      ])
    } finally {
      await this.#download?.close()
    }
  }

  async signal(signalNumber: number): Promise<void> {
    await this.#say({ type: 'signal', signal: signalNumber })
  }

  async resize(size: { columns: number; rows: number }): Promise<void> {
    await this.#say({ type: 'resize', size })
  }

  async cancel(): Promise<void> {
    await this.#say({ type: 'cancel' })
  }

  async #say(message: ConsumerMessage): Promise<void> {
    await this.#stream.send({ kind: 'message', message })
  }

  async #readAnswer(
    signal: AbortSignal
  ): Promise<MessageOf<ProviderMessage, 'leased' | 'attached' | 'refused'>> {
    const frame = await this.#stream.read(signal)
    if (frame === undefined) throw new WireError('ERR_WIRE_CLOSED', 'the provider closed the stream')
    if (frame.kind === 'message') {
      const { message } = frame
      if (message.type === 'error') throw new ProviderError(message.code)
      if (message.type === 'leased' || message.type === 'attached' || message.type === 'refused')
        return message
    }
    throw new WireError('ERR_WIRE_FORMAT', 'not an answer')
  }

  async #read(signal: AbortSignal): Promise<void> {
    for (
      let frame = await this.#stream.read(signal);
      frame !== undefined;
      frame = await this.#stream.read(signal)
    ) {
      this.#heardAtMs = Date.now()
      if (frame.kind === 'message') this.#take(frame.message)
      else if (frame.channel === CHANNEL_OUTPUT) await this.#takeOutput(frame.offset, frame.data)
      else if (frame.channel === CHANNEL_FILES && this.#download !== undefined)
        await this.#download.append(frame.offset, frame.data)
      else throw new WireError('ERR_WIRE_FORMAT', `a provider sends nothing on channel ${frame.channel}`)
      this.#heard.ring()
    }
    throw new WireError('ERR_WIRE_CLOSED', 'the provider closed the stream')
  }

  async #takeOutput(offset: number, data: Uint8Array): Promise<void> {
    if (offset + data.byteLength - this.#confirmedOutput > OUTPUT_WINDOW_BYTES)
      throw new RunError(
        'ERR_PROVIDER_DISHONEST',
        `the output runs more than ${OUTPUT_WINDOW_BYTES} bytes ahead`
      )
    await this.#run.copy.append(offset, data)
  }

  #take(message: ProviderMessage): void {
    switch (message.type) {
      case 'state':
        this.#takeStatus(message.status)
        break
      case 'taken':
        this.#confirm(message.channel, message.offset)
        break
      case 'outputEnd':
        if (message.offset !== this.#run.copy.byteLength)
          throw new RunError('ERR_PROVIDER_DISHONEST', 'the output ends where it does not')
        this.#isOutputEnded = true
        this.#learn()
        break
      case 'filesEnd':
        this.#filesEnd = message.bytes
        break
      case 'receipt':
        this.#receipt = message.token
        break
      case 'manifest':
        this.#manifest = message.token
        break
      case 'settled':
        this.#isSettled = true
        break
      case 'error':
        throw new ProviderError(message.code)
      case 'leased':
      case 'attached':
      case 'refused':
      case 'stopped':
      case 'status':
      case 'listed':
        throw new WireError('ERR_WIRE_FORMAT', `${message.type} was not asked for`)
    }
  }

  #confirm(channel: number, offset: number): void {
    if (channel === CHANNEL_STAGING) {
      this.#staging.confirm(offset)
      this.#run.emit({ type: 'progress', phase: 'staging', bytes: offset })
    } else if (channel === CHANNEL_STDIN) {
      this.#stdin.confirm(offset)
      this.#run.stdin.confirm(offset)
    } else if (channel === CHANNEL_RULESET) this.#ruleset.confirm(offset)
    else throw new WireError('ERR_WIRE_FORMAT', `nothing was sent on channel ${channel}`)
  }

  #takeStatus(status: RunStatus): void {
    if (status.runId !== this.#run.record.runId)
      throw new RunError(
        'ERR_PROVIDER_DISHONEST',
        `asked for run ${this.#run.record.runId}, told of ${status.runId}`
      )
    this.#status = status
    if (!this.#isView) this.#run.hear(status.notices ?? [])
    this.#learn()
  }

  /** The end of the program is believed when its output is here. */
  #learn(): void {
    const status = this.#status
    if (status === undefined || status.state === 'lost' || hasReached(this.#run.record.state, 'exited'))
      return
    const isOver = hasReached(status.state, 'exited')
    if (isOver && status.outcome === undefined)
      throw new RunError('ERR_PROVIDER_DISHONEST', 'the run has ended without an outcome')
    const state: RunState = isOver ? (this.#isOutputEnded ? 'exited' : this.#run.record.state) : status.state
    this.#run.learn(status, state)
    if (isOver) this.#run.stdin.close()
  }

  async #confirmOutput(signal: AbortSignal): Promise<void> {
    const { copy, events } = this.#run
    const confirm = confirmer(this.#stream, CHANNEL_OUTPUT)
    while (true) {
      const taken = events.takenBytes
      const news = taken - this.#confirmedOutput
      if (news > 0 && (news >= CONFIRM_BYTES || taken === copy.byteLength)) {
        confirm(taken)
        this.#confirmedOutput = taken
      }
      await copy.grown.wait(signal)
    }
  }

  async #feedStdin(signal: AbortSignal): Promise<void> {
    const { stdin } = this.#run
    if (!this.#isView && this.#status?.stdin?.ended !== true) {
      for (
        let piece = await stdin.next(this.#stdin.sentBytes, signal);
        piece !== undefined;
        piece = await stdin.next(this.#stdin.sentBytes, signal)
      )
        await sendData(this.#stream, CHANNEL_STDIN, this.#stdin, piece, signal)
      if (stdin.isEnded) await this.#say({ type: 'stdinEnd', offset: this.#stdin.sentBytes })
    }
    await untilAborted(signal)
  }

  async #takeSteps(signal: AbortSignal): Promise<void> {
    const run = this.#run
    if (!this.#isView) {
      if (run.record.isCancelled === true && !hasReached(run.record.state, 'exited')) await this.cancel()
      if (run.record.state === 'leased') await this.#stage(signal)
      if (run.record.state === 'staged') {
        if (run.lease?.payload.factory !== undefined) await this.#checkKernel(signal)
        if (!this.#isOver()) await this.#say({ type: 'start' })
      }
    }
    await this.#until(() => hasReached(run.record.state, 'exited'), signal)
    if (this.#isView) return
    if (!hasReached(run.record.state, 'collected')) await this.#collect(signal)
    if (run.record.receipt === undefined) await this.#fetchReceipt(signal)
    if (run.lease?.payload.factory !== undefined) await this.#bringLog(signal)
    await this.#say({ type: 'collected' })
    await this.#until(() => this.#isSettled, signal, this.#limits.answerMs)
    if (!isFinal(run.record.state)) run.advance('settle')
  }

  async #stage(signal: AbortSignal): Promise<void> {
    const { inputs } = this.#run.record
    const { directory } = this.#run
    if (this.#status?.ruleset === 'wanted')
      for await (const chunk of keptRuleset(directory))
        await sendData(this.#stream, CHANNEL_RULESET, this.#ruleset, chunk, signal)
    if (inputs.length > 0)
      for await (const chunk of packInputs(inputs, signal))
        await sendData(this.#stream, CHANNEL_STAGING, this.#staging, chunk, signal)
    await this.#say({ type: 'stagingEnd', bytes: this.#staging.sentBytes })
    await this.#until(() => this.#run.record.state !== 'leased', signal)
    await forgetRuleset(directory)
  }

  /** Nothing boots before we have seen that it is the kernel that was agreed on. */
  async #checkKernel(signal: AbortSignal): Promise<void> {
    await this.#until(() => this.#manifest !== undefined || this.#isOver(), signal)
    if (this.#manifest !== undefined) await this.#run.takeManifest(this.#manifest)
  }

  #isOver(): boolean {
    return hasReached(this.#run.record.state, 'exited')
  }

  async #collect(signal: AbortSignal): Promise<void> {
    const run = this.#run
    const { filesBytes } = run.record
    if (filesBytes === undefined || filesBytes === 0) {
      run.advance('collect', { files: [] })
      return
    }
    this.#requireThere()
    const confirm = confirmer(this.#stream, CHANNEL_FILES)
    const download = await FilesDownload.open(run, filesBytes, confirm)
    this.#download = download
    await this.#say({ type: 'getFiles', offset: download.byteLength })
    await this.#until(() => this.#filesEnd !== undefined, signal, this.#limits.answerMs)
    run.advance('collect', { files: await download.extract(run.outDir) })
  }

  async #fetchReceipt(signal: AbortSignal): Promise<void> {
    await this.#say({ type: 'getReceipt' })
    await this.#until(() => this.#receipt !== undefined, signal, this.#limits.answerMs)
    await this.#run.takeReceipt(this.#receipt ?? '')
  }

  /** Somebody else may have collected the run in our name. */
  #requireThere(): void {
    const state = this.#status?.state
    if (state !== 'exited')
      throw new RunError('ERR_RUN_UNKNOWN', 'the provider does not have the files any more')
  }

  /** Wait for what the provider does. @throws StalledError when it says nothing for `stallMs` */
  async #until(condition: () => boolean, signal: AbortSignal, stallMs?: number): Promise<void> {
    this.#heardAtMs = Date.now()
    while (!condition()) {
      this.#checkAlive()
      const leftMs = stallMs === undefined ? undefined : this.#heardAtMs + stallMs - Date.now()
      if (leftMs !== undefined && leftMs <= 0) throw new StalledError('the provider does not answer')
      await this.#heard.wait(signal, leftMs)
    }
  }

  #checkAlive(): void {
    const { record } = this.#run
    if (record.state === 'released')
      throw record.isCancelled === true
        ? new RunError('ERR_RUN_CANCELLED', `run ${record.runId} was cancelled before it started`)
        : new RunError('ERR_LEASE_EXPIRED', `the lease of run ${record.runId} was given back unused`)
    const state = this.#status?.state
    if (state !== undefined && isFinal(state) && state !== 'receipt')
      throw new RunError('ERR_RUN_UNKNOWN', `the provider has no result of run ${record.runId}: ${state}`)
  }
}
