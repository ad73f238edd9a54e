/** The provider's side of PROTOCOL_FACTORY. The attacker is the factory: it says anything, or nothing. */
import { PROTOCOL_FACTORY } from '../src/constants.ts'
import { FactoryError, WireError } from '../src/errors.ts'
import { framedStream, type FramedStream } from '../src/wire/index.ts'
import { ANSWER_MS } from './limits.ts'
import {
  answerMessage,
  CHANNEL_KERNEL,
  REQUEST_PARTS,
  type AnswerMessage,
  type RequestMessage
} from './messages.ts'
import type { IssuedKernel, KernelFactory, KernelRequest, RemoteFactoryComponents } from './types.ts'

type ProviderStream = FramedStream<AnswerMessage, RequestMessage>

/** A factory at the other end of a stream. `addresses`: multiaddrs; where it is connected already they are not needed. */
export function remoteFactory(
  components: RemoteFactoryComponents,
  { id, addresses }: { id: string; addresses: readonly string[] }
): KernelFactory {
  return {
    id,
    async issue(request, signal) {
      const patience = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)])
      let stream: ProviderStream | undefined
      try {
        const raw = await components.openStream(id, addresses, PROTOCOL_FACTORY, patience)
        stream = framedStream<AnswerMessage, RequestMessage>(raw, { messages: answerMessage })
        return await ask(stream, request, { patience, signal })
      } catch (cause) {
        stream?.abort(new WireError('ERR_WIRE_CLOSED', 'given up'))
        signal.throwIfAborted()
        if (cause instanceof FactoryError) throw cause
        throw new FactoryError('ERR_FACTORY_UNREACHABLE', `factory ${id} does not answer`, { cause })
      }
    }
  }
}

async function ask(
  stream: ProviderStream,
  request: KernelRequest,
  { patience, signal }: { patience: AbortSignal; signal: AbortSignal }
): Promise<IssuedKernel> {
  for (const type of REQUEST_PARTS)
    await stream.send({ kind: 'message', message: { type, token: request[type] } }, patience)
  const frame = await stream.read(patience)
  if (frame?.kind !== 'message') throw new WireError('ERR_WIRE_FORMAT', 'the factory answers something else')
  if (frame.message.type === 'error') throw refusal(frame.message.code)
  const { manifest, sizeBytes } = frame.message
  return {
    manifest,
    sizeBytes,
    chunks: kernelOf(stream, sizeBytes, signal),
    [Symbol.asyncDispose]: () => {
      stream.abort(new WireError('ERR_WIRE_CLOSED', 'the kernel is here, or not wanted any more'))
      return Promise.resolve()
    }
  }
}

/** Exactly `sizeBytes` in order, or an error. */
async function* kernelOf(
  stream: ProviderStream,
  sizeBytes: number,
  signal: AbortSignal
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < sizeBytes;) {
    const frame = await stream.read(signal)
    if (frame?.kind === 'message' && frame.message.type === 'error') throw refusal(frame.message.code)
    const isNext =
      frame?.kind === 'data' &&
      frame.channel === CHANNEL_KERNEL &&
      frame.offset === offset &&
      offset + frame.data.byteLength <= sizeBytes
    if (!isNext) throw new FactoryError('ERR_FACTORY_UNREACHABLE', 'the factory sent no whole kernel')
    offset += frame.data.byteLength
    yield frame.data
  }
}

function refusal(code: string): FactoryError {
  if (code === 'ERR_FACTORY_REFUSED' || code === 'ERR_FACTORY_BUSY')
    return new FactoryError(code, 'the factory refuses')
  return new FactoryError('ERR_FACTORY_UNREACHABLE', `the factory answers ${code}`)
}
