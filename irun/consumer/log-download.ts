/**
 * The consumer's side of PROTOCOL_LOG: brings into the copy what is not there yet. The attacker is the provider: it sends
 * anything, or stops. What is genuine of the log is for its reader to say; here nothing is overwritten, no more is taken
 * than the copy may hold, and heads must be signed for this run.
 */
import type { Stream } from '@libp2p/interface'
import { DocumentError, RunError, WireError } from '../../src/errors.ts'
import { framedStream, type FramedStream } from '../../src/wire/index.ts'
import { CHANNEL_LOG, logAnswer, type LogAnswer, type LogRequest } from '../log-messages.ts'
import { ProviderError } from './session-errors.ts'
import type { LogCopy } from './log-copy.ts'

export interface LogDownloadInit {
  runId: string
  copy: LogCopy
  follow: boolean
  signal: AbortSignal
}

/**
 * Yields each time that there is more in the copy; ends when the provider has sent all.
 *
 * @throws ProviderError as the provider says, WireError when the stream breaks, ERR_PROVIDER_DISHONEST, ERR_LOG_LIMIT
 */
export async function* downloadLog(
  raw: Stream,
  { runId, copy, follow, signal }: LogDownloadInit
): AsyncGenerator<void, void, undefined> {
  const stream: FramedStream<LogAnswer, LogRequest> = framedStream<LogAnswer, LogRequest>(raw, {
    messages: logAnswer
  })
  try {
    const message = { type: 'log', runId, offset: copy.offset, follow } as const
    await stream.send({ kind: 'message', message }, signal)
    await begin(await stream.read(signal), copy)
    for (let frame = await stream.read(signal); ; frame = await stream.read(signal)) {
      if (frame === undefined) throw new WireError('ERR_WIRE_CLOSED', 'the provider closed the stream')
      if (frame.kind === 'data') {
        if (frame.channel !== CHANNEL_LOG)
          throw new WireError('ERR_WIRE_FORMAT', `a provider sends nothing on channel ${frame.channel}`)
        await copy.append(frame.offset, frame.data)
        yield
      } else if (frame.message.type === 'anchor') await takeAnchor(copy, frame.message.token)
      else if (frame.message.type === 'end') return
      else throw failure(frame.message)
    }
  } finally {
    await copy.sync()
    stream.abort(new WireError('ERR_WIRE_CLOSED', 'the log is here, or not wanted any more'))
  }
}

async function begin(
  frame: Awaited<ReturnType<FramedStream<LogAnswer, LogRequest>['read']>>,
  copy: LogCopy
): Promise<void> {
  if (frame?.kind !== 'message') throw new WireError('ERR_WIRE_CLOSED', 'the provider does not answer')
  if (frame.message.type !== 'from') throw failure(frame.message)
  await copy.goOnFrom(frame.message.offset)
}

/** A head that does not hold is the provider's fault. */
async function takeAnchor(copy: LogCopy, token: string): Promise<void> {
  try {
    await copy.takeAnchor(token)
  } catch (cause) {
    if (!(cause instanceof DocumentError)) throw cause
    throw new RunError(
      'ERR_PROVIDER_DISHONEST',
      `the provider sent a head that does not hold: ${cause.message}`,
      [],
      {
        cause
      }
    )
  }
}

function failure(message: LogAnswer): Error {
  return message.type === 'error'
    ? new ProviderError(message.code)
    : new WireError('ERR_WIRE_FORMAT', `${message.type} was not expected`)
}
