/** The provider's side of PROTOCOL_EXEC: programs that a consumer runs beside the main one of its run. */
import type { Stream } from '@libp2p/interface'
import { DATA_FRAME_BYTES_MAX } from '../../src/constants.ts'
import { hasCode, WireError } from '../../src/errors.ts'
import { framedStream, type FramedStream } from '../../src/wire/index.ts'
import { ReceiveWindow } from '../byte-window.ts'
import { confirmer } from '../confirm.ts'
import {
  CHANNEL_EXEC_STDERR,
  CHANNEL_EXEC_STDIN,
  CHANNEL_EXEC_STDOUT,
  execConsumerMessage,
  type ExecConsumerMessage,
  type ExecProviderMessage
} from '../exec-messages.ts'
import type { HostProgram, HostSession, RunHost } from '../host.ts'
import { EXEC_STDIN_WINDOW_BYTES } from '../limits.ts'
import { raceJobs, untilAborted } from '../waiting.ts'
import { publicCode } from './refusal.ts'

type ExecStream = FramedStream<ExecConsumerMessage, ExecProviderMessage>

export interface ExecInit {
  host: RunHost
  firstMessageMs: number
  /** @throws ERR_RUN_UNKNOWN when the stream's peer has no such run, ERR_RUN_STATE when no program of it runs */
  serverOf: (runId: string) => string
  /** What was not told to the consumer. */
  onError: (error: unknown) => void
}

/** Serve one stream to its end. Never rejects: what goes wrong is told to the consumer as a code. */
export async function serveExec(raw: Stream, init: ExecInit, signal: AbortSignal): Promise<void> {
  const stream: ExecStream = framedStream<ExecConsumerMessage, ExecProviderMessage>(raw, {
    messages: execConsumerMessage
  })
  try {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(init.firstMessageMs)])
    const frame = await stream.read(patience)
    if (frame === undefined) return
    if (frame.kind !== 'message' || frame.message.type !== 'exec')
      throw new WireError('ERR_WIRE_FORMAT', 'a stream begins with what is to be run')
    await run(stream, frame.message, init, signal)
  } catch (error) {
    const code = publicCode(error)
    if (code === 'ERR_RUN_FAILED') init.onError(error)
    await stream.send({ kind: 'message', message: { type: 'error', code } }).catch(() => undefined)
  } finally {
    await stream.close()
  }
}

async function run(
  stream: ExecStream,
  { runId, program }: Extract<ExecConsumerMessage, { type: 'exec' }>,
  { host, serverOf }: ExecInit,
  signal: AbortSignal
): Promise<void> {
  const { terminal, ...rest } = program
  const asked: HostProgram = terminal === undefined ? rest : { ...rest, terminal }
  const session = await host.exec(serverOf(runId), asked, signal)
  const stdin = new ReceiveWindow(EXEC_STDIN_WINDOW_BYTES, confirmer(stream, CHANNEL_EXEC_STDIN))
  try {
    await stream.send({ kind: 'message', message: { type: 'started' } }, signal)
    await raceJobs(signal, [
      (abort) => read(stream, session, stdin, abort),
      (abort) => feed(session, stdin, abort),
      (abort) => sendOutput(stream, session, abort)
    ])
  } finally {
    session.close()
  }
}

/** Resolves when the consumer has gone. */
async function read(
  stream: ExecStream,
  session: HostSession,
  stdin: ReceiveWindow,
  signal: AbortSignal
): Promise<void> {
  for (let frame = await stream.read(signal); frame !== undefined; frame = await stream.read(signal)) {
    if (frame.kind === 'data') {
      if (frame.channel !== CHANNEL_EXEC_STDIN)
        throw new WireError('ERR_WIRE_FORMAT', `a consumer sends nothing on channel ${frame.channel}`)
      stdin.push(frame.offset, frame.data)
    } else if (frame.message.type === 'stdinEnd') stdin.end(frame.message.offset)
    else if (frame.message.type === 'signal') await whileAlive(session.signal(frame.message.signal))
    else if (frame.message.type === 'resize') await whileAlive(session.resize(frame.message.size))
    else throw new WireError('ERR_WIRE_FORMAT', 'one stream runs one program')
  }
}

/** What does not read its input lets it wait here, and nothing else. */
async function feed(session: HostSession, stdin: ReceiveWindow, signal: AbortSignal): Promise<void> {
  for (let chunk = await stdin.next(signal); chunk !== undefined; chunk = await stdin.next(signal)) {
    await whileAlive(session.stdin(chunk, { signal }))
    stdin.took(chunk.byteLength)
  }
  await whileAlive(session.stdin(new Uint8Array(), { end: true, signal }))
  await untilAborted(signal)
}

async function sendOutput(stream: ExecStream, session: HostSession, signal: AbortSignal): Promise<void> {
  const sent = { stdout: 0, stderr: 0 }
  // The output of a quiet program would be waited for for ever.
  signal.addEventListener('abort', () => session.close(), { once: true })
  for await (const { stream: name, data } of session.output) {
    const channel = name === 'stdout' ? CHANNEL_EXEC_STDOUT : CHANNEL_EXEC_STDERR
    for (let rest = data; rest.byteLength > 0; rest = rest.subarray(DATA_FRAME_BYTES_MAX)) {
      const piece = rest.subarray(0, DATA_FRAME_BYTES_MAX)
      await stream.send({ kind: 'data', channel, offset: sent[name], data: piece }, signal)
      sent[name] += piece.byteLength
    }
  }
  await stream.send({ kind: 'message', message: { type: 'exit', exit: await session.exited } }, signal)
}

/** A program that has just ended takes nothing more: its exit is on the way. */
async function whileAlive(action: Promise<void>): Promise<void> {
  try {
    await action
  } catch (error) {
    if (!hasCode(error, 'ERR_SESSION_UNKNOWN') && !hasCode(error, 'ERR_SERVER_UNKNOWN')) throw error
  }
}
