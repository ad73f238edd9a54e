/** The bulk data of a session: output and files to the consumer, standard input to the program. */
import { hasCode } from '../../src/errors.ts'
import type { ReceiveWindow, SendWindow } from '../byte-window.ts'
import type { RunHost } from '../host.ts'
import { CHANNEL_FILES, CHANNEL_OUTPUT, type ConsumerMessage, type ProviderMessage } from '../messages.ts'
import { sendData } from '../send-data.ts'
import { hasReached, isFinal } from '../state-machine.ts'
import { BackOff, pause, untilAborted } from '../waiting.ts'
import type { FramedStream } from '../../src/wire/index.ts'
import type { HostedRunTask } from './hosted-run.ts'

export type ProviderStream = FramedStream<ConsumerMessage, ProviderMessage>

const HOST_RETRY_MS_MIN = 50
const HOST_RETRY_MS_MAX = 5000

/** Resolves when the program has been started, or never will be. */
async function started(run: HostedRunTask, signal: AbortSignal): Promise<boolean> {
  while (!hasReached(run.record.state, 'booting') && !isFinal(run.record.state)) await run.changed(signal)
  return hasReached(run.record.state, 'booting')
}

/** Send the spool from where the window stands, following the program to its end. */
export async function sendOutput(
  stream: ProviderStream,
  run: HostedRunTask,
  host: RunHost,
  window: SendWindow,
  signal: AbortSignal
): Promise<void> {
  if ((await started(run, signal)) && !hasReached(run.record.state, 'collected'))
    await followOutput(stream, run, host, window, signal)
  await stream.send({ kind: 'message', message: { type: 'outputEnd', offset: window.sentBytes } }, signal)
  await untilAborted(signal)
}

async function followOutput(
  stream: ProviderStream,
  run: HostedRunTask,
  host: RunHost,
  window: SendWindow,
  signal: AbortSignal
): Promise<void> {
  const backOff = new BackOff(HOST_RETRY_MS_MIN, HOST_RETRY_MS_MAX)
  while (true) {
    try {
      const options = { offset: window.sentBytes, follow: true, signal }
      for await (const chunk of host.output(run.record.serverId, options)) {
        await sendData(stream, CHANNEL_OUTPUT, window, chunk, signal)
        backOff.reset()
      }
      return
    } catch (error) {
      // A server that failed before it booted may have no spool.
      if (hasCode(error, 'ERR_SERVER_UNKNOWN') || hasCode(error, 'ERR_SERVER_STATE')) return
      if (!hasCode(error, 'ERR_HOST_UNREACHABLE')) throw error
      await pause(backOff.next(), signal)
    }
  }
}

/** Hand standard input to the host as it comes, once the program is there to take it. */
export async function feedStdin(
  run: HostedRunTask,
  host: RunHost,
  stdin: ReceiveWindow,
  signal: AbortSignal
): Promise<void> {
  if (await started(run, signal))
    while (run.isHolding) {
      const chunk = await stdin.next(signal)
      await feed(run, host, stdin, chunk ?? new Uint8Array(0), { end: chunk === undefined, signal })
      if (chunk === undefined) break
    }
  await untilAborted(signal)
}

/** One piece, until the host has all of it or the program is gone. */
async function feed(
  run: HostedRunTask,
  host: RunHost,
  stdin: ReceiveWindow,
  data: Uint8Array,
  options: { end: boolean; signal: AbortSignal }
): Promise<void> {
  const { signal } = options
  const backOff = new BackOff(HOST_RETRY_MS_MIN, HOST_RETRY_MS_MAX)
  for (let rest = data; run.isHolding;) {
    try {
      await host.stdin(run.record.serverId, stdin.takenBytes, rest, options)
      stdin.took(rest.byteLength)
      return
    } catch (error) {
      if (!isPassing(error)) throw error
    }
    await pause(backOff.next(), signal)
    // It may have taken the piece, or a part, although the answer was lost.
    const { takenBytes } = await run.stdinStatus(signal)
    const lost = takenBytes - stdin.takenBytes
    if (lost <= 0 || lost > rest.byteLength) continue
    stdin.took(lost)
    rest = rest.subarray(lost)
    if (rest.byteLength === 0 && !options.end) return
  }
}

/** Still booting, or just ended: the run's own state tells which, soon. */
function isPassing(error: unknown): boolean {
  return (
    hasCode(error, 'ERR_SERVER_STATE') ||
    hasCode(error, 'ERR_SERVER_UNKNOWN') ||
    hasCode(error, 'ERR_HOST_UNREACHABLE')
  )
}

/** Send the tar of the output files from byte `offset` on. */
export async function sendFiles(
  stream: ProviderStream,
  run: HostedRunTask,
  host: RunHost,
  window: SendWindow,
  signal: AbortSignal
): Promise<void> {
  let position = 0
  if ((run.record.filesBytes ?? 0) > window.sentBytes)
    for await (const chunk of host.files(run.record.serverId, signal)) {
      const skipped = Math.min(chunk.byteLength, Math.max(0, window.sentBytes - position))
      position += chunk.byteLength
      await sendData(stream, CHANNEL_FILES, window, chunk.subarray(skipped), signal)
    }
  await stream.send({ kind: 'message', message: { type: 'filesEnd', bytes: window.sentBytes } }, signal)
}
