/**
 * The provider's side of PROTOCOL_LOG: the sealed log of a consumer's own run, by range, during the run and after it.
 *
 * Two jobs side by side: send the bytes as they come; sign the head of the chain now and then, while it grows. What is
 * sealed is of no use to anybody else, and still only the run's consumer gets it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { DATA_FRAME_BYTES_MAX, SECOND_MS } from '../../src/constants.ts'
import { digestOf, signDocument } from '../../src/documents/index.ts'
import { hasCode, RunError, WireError } from '../../src/errors.ts'
import type { Identity } from '../../src/identity/index.ts'
import { framedStream, type FramedStream } from '../../src/wire/index.ts'
import type { HostServer, RunHost } from '../host.ts'
import { ANCHOR_INTERVAL_MS, ANCHOR_LIFETIME_SECONDS } from '../limits.ts'
import { CHANNEL_LOG, logRequest, type LogAnswer, type LogRequest } from '../log-messages.ts'
import type { ProviderRun } from './record.ts'
import { publicCode } from './refusal.ts'

type LogStream = FramedStream<LogRequest, LogAnswer>

export interface LogInit {
  host: RunHost
  identity: Identity
  firstMessageMs: number
  /** @throws ERR_RUN_UNKNOWN when the stream's peer has no such run */
  recordOf: (runId: string) => Readonly<ProviderRun>
  /** What was not told to the consumer. */
  onError: (error: unknown) => void
}

/** Serve one stream to its end. Never rejects: what goes wrong is told to the consumer as a code. */
export async function serveLog(raw: Stream, init: LogInit, signal: AbortSignal): Promise<void> {
  const stream: LogStream = framedStream<LogRequest, LogAnswer>(raw, { messages: logRequest })
  const controller = new AbortController()
  const abort = AbortSignal.any([signal, controller.signal])
  let listening: Promise<void> = Promise.resolve()
  try {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(init.firstMessageMs)])
    const frame = await stream.read(patience)
    if (frame === undefined) return
    if (frame.kind !== 'message') throw new WireError('ERR_WIRE_FORMAT', 'data before the first message')
    const record = init.recordOf(frame.message.runId)
    // Whoever has gone away is not sent to any more.
    listening = stream.read(abort).then(
      () => controller.abort(new WireError('ERR_WIRE_CLOSED', 'the consumer has gone')),
      () => controller.abort(new WireError('ERR_WIRE_CLOSED', 'the consumer has gone'))
    )
    await send(stream, frame.message, { ...init, record }, abort)
  } catch (error) {
    const code = publicCode(error)
    if (code === 'ERR_RUN_FAILED') init.onError(error)
    await stream.send({ kind: 'message', message: { type: 'error', code } }).catch(() => undefined)
  } finally {
    controller.abort(new WireError('ERR_WIRE_CLOSED', 'the log was sent'))
    await listening
    await stream.close()
  }
}

type Sending = LogInit & { record: Readonly<ProviderRun> }

async function send(
  stream: LogStream,
  { offset: asked, follow }: LogRequest,
  sending: Sending,
  signal: AbortSignal
): Promise<void> {
  const { host, record } = sending
  const server = await serverOf(host, record, signal)
  const { start = 0, end = 0 } = server?.log ?? {}
  if (asked > end)
    throw new RunError('ERR_RUN_STATE', `byte ${asked} was asked for, the log of ${record.runId} has ${end}`)
  let at = Math.max(asked, start)
  await stream.send({ kind: 'message', message: { type: 'from', offset: at } }, signal)
  const done = new AbortController()
  const anchoring = anchor(stream, sending, AbortSignal.any([signal, done.signal]))
  try {
    if (server !== undefined)
      for await (const chunk of host.log(record.serverId, { offset: at, follow, signal }))
        for (let rest = chunk; rest.byteLength > 0; rest = rest.subarray(DATA_FRAME_BYTES_MAX)) {
          const data = rest.subarray(0, DATA_FRAME_BYTES_MAX)
          await stream.send({ kind: 'data', channel: CHANNEL_LOG, offset: at, data }, signal)
          at += data.byteLength
        }
  } catch (error) {
    // A server that was given back meanwhile: what was sent is all there is.
    if (!hasCode(error, 'ERR_SERVER_UNKNOWN')) throw error
  } finally {
    done.abort()
    await anchoring.catch(() => undefined)
  }
  await tellHead(stream, sending, '', signal)
  await stream.send({ kind: 'message', message: { type: 'end', offset: at } }, signal)
}

/** Undefined when the host has no such server any more. */
async function serverOf(
  host: RunHost,
  { serverId }: Readonly<ProviderRun>,
  signal: AbortSignal
): Promise<HostServer | undefined> {
  try {
    return await host.inspect(serverId, signal)
  } catch (error) {
    if (!hasCode(error, 'ERR_SERVER_UNKNOWN')) throw error
    return undefined
  }
}

/** While the log grows. Rejects when the signal is aborted. */
async function anchor(stream: LogStream, sending: Sending, signal: AbortSignal): Promise<never> {
  for (let told = ''; ;) {
    told = await tellHead(stream, sending, told, signal)
    await delay(ANCHOR_INTERVAL_MS, undefined, { signal, ref: false })
  }
}

/** The head as it is now, if it is another one than `told`. */
async function tellHead(
  stream: LogStream,
  { host, identity, record }: Sending,
  told: string,
  signal: AbortSignal
): Promise<string> {
  const { head, end } = (await serverOf(host, record, signal))?.log ?? {}
  if (head === undefined || end === undefined || record.lease === undefined || head.head === told) return told
  const iat = Math.floor(Date.now() / SECOND_MS)
  const token = await signDocument(
    'log-anchor',
    {
      v: 1,
      iss: identity.id,
      aud: record.peer,
      iat,
      exp: iat + ANCHOR_LIFETIME_SECONDS,
      runId: record.runId,
      leaseDigest: digestOf(record.lease),
      ...head,
      end
    },
    identity
  )
  await stream.send({ kind: 'message', message: { type: 'anchor', token } }, signal)
  return head.head
}
