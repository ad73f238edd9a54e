/** The consumer's side of PROTOCOL_EXEC. */
import { DATA_FRAME_BYTES_MAX } from '../../src/constants.ts'
import { RunError, WireError } from '../../src/errors.ts'
import type { FramedStream } from '../../src/wire/index.ts'
import { SendWindow } from '../byte-window.ts'
import {
  CHANNEL_EXEC_STDERR,
  CHANNEL_EXEC_STDIN,
  CHANNEL_EXEC_STDOUT,
  type ExecConsumerMessage,
  type ExecProviderMessage
} from '../exec-messages.ts'
import { EXEC_STDIN_WINDOW_BYTES } from '../limits.ts'
import type { RunExec, RunOutput } from '../types.ts'

export type ConsumerExecStream = FramedStream<ExecProviderMessage, ExecConsumerMessage>

/** What the provider's refusals mean to the consumer. */
export function execRefusal(runId: string, code: string): RunError {
  if (code === 'ERR_RUN_UNKNOWN')
    return new RunError('ERR_RUN_UNKNOWN', `the provider does not know run ${runId}`)
  if (code === 'ERR_RUN_STATE' || code === 'ERR_SERVER_STATE')
    return new RunError('ERR_RUN_STATE', `no program of run ${runId} is running`)
  if (code === 'ERR_SESSION_LIMIT' || code === 'ERR_RUN_BUSY')
    return new RunError('ERR_RUN_BUSY', `the provider runs no more programs beside run ${runId}: ${code}`)
  return new RunError('ERR_RUN_DETACHED', `the program beside run ${runId} was cut off: ${code}`)
}

/** A program beside a run's main one. It ends with its stream. */
export class ExecSession implements RunExec {
  readonly output: AsyncIterable<RunOutput>
  readonly exited: RunExec['exited']
  readonly #runId: string
  readonly #stream: ConsumerExecStream
  readonly #stdin = new SendWindow(EXEC_STDIN_WINDOW_BYTES)
  readonly #over = new AbortController()
  readonly #exit = Promise.withResolvers<Awaited<RunExec['exited']>>()

  /** `stream`: `started` was read from it. */
  constructor(runId: string, stream: ConsumerExecStream) {
    this.#runId = runId
    this.#stream = stream
    this.exited = this.#exit.promise
    this.exited.catch(() => undefined)
    this.output = this.#read()
  }

  async writeStdin(data: Uint8Array): Promise<void> {
    for (let rest = data; rest.byteLength > 0;) {
      const room = await this.#stdin.room(this.#over.signal)
      const piece = rest.subarray(0, Math.min(room, DATA_FRAME_BYTES_MAX))
      rest = rest.subarray(piece.byteLength)
      const offset = this.#stdin.sentBytes
      this.#stdin.sent(piece.byteLength)
      await this.#stream.send({ kind: 'data', channel: CHANNEL_EXEC_STDIN, offset, data: piece })
    }
  }

  async endStdin(): Promise<void> {
    await this.#say({ type: 'stdinEnd', offset: this.#stdin.sentBytes })
  }

  async signal(signalNumber: number): Promise<void> {
    await this.#say({ type: 'signal', signal: signalNumber })
  }

  async resize(size: { columns: number; rows: number }): Promise<void> {
    await this.#say({ type: 'resize', size })
  }

  async close(): Promise<void> {
    this.#end(new RunError('ERR_RUN_DETACHED', 'the program was let go of'))
    await this.#stream.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #say(message: ExecConsumerMessage): Promise<void> {
    await this.#stream.send({ kind: 'message', message })
  }

  /** The first reason counts. */
  #end(error: Error): void {
    this.#exit.reject(error)
    this.#over.abort(error)
  }

  async *#read(): AsyncGenerator<RunOutput, void, undefined> {
    const received = { stdout: 0, stderr: 0 }
    try {
      for await (const frame of this.#stream) {
        if (frame.kind === 'message') {
          if (this.#take(frame.message)) return
          continue
        }
        const stream = streamOf(frame.channel)
        if (frame.offset !== received[stream]) throw new WireError('ERR_WIRE_FORMAT', 'output is missing')
        received[stream] += frame.data.byteLength
        yield { stream, data: frame.data }
      }
      throw execRefusal(this.#runId, 'ERR_WIRE_CLOSED')
    } catch (cause) {
      const error =
        cause instanceof RunError
          ? cause
          : new RunError('ERR_RUN_DETACHED', `the provider of run ${this.#runId} was lost`, [], { cause })
      this.#end(error)
      throw error
    }
  }

  /** @returns true when the program has ended */
  #take(message: ExecProviderMessage): boolean {
    if (message.type === 'taken') this.#stdin.confirm(message.offset)
    else if (message.type === 'error') throw execRefusal(this.#runId, message.code)
    else if (message.type === 'started') throw new WireError('ERR_WIRE_FORMAT', 'started twice')
    else {
      this.#exit.resolve(message.exit)
      this.#over.abort(new RunError('ERR_RUN_STATE', 'the program has ended'))
      return true
    }
    return false
  }
}

function streamOf(channel: number): RunOutput['stream'] {
  if (channel === CHANNEL_EXEC_STDOUT) return 'stdout'
  if (channel === CHANNEL_EXEC_STDERR) return 'stderr'
  throw new WireError('ERR_WIRE_FORMAT', `a provider sends nothing on channel ${channel}`)
}
