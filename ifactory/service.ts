/** The factory's side of PROTOCOL_FACTORY. */
import type { Connection, Startable, Stream } from '@libp2p/interface'
import { PROTOCOL_FACTORY } from '../src/constants.ts'
import { FactoryError, isIShareError, WireError } from '../src/errors.ts'
import { framedStream, type FramedStream } from '../src/wire/index.ts'
import { KernelIssuer } from './issuer.ts'
import { STREAMS_PER_CONNECTION } from './limits.ts'
import {
  CHANNEL_KERNEL,
  REQUEST_PARTS,
  requestMessage,
  type AnswerMessage,
  type RequestMessage
} from './messages.ts'
import type { FactoryServiceInit, IssuedKernel, KernelRequest, StreamRegistrar } from './types.ts'

type FactoryStream = FramedStream<RequestMessage, AnswerMessage>

/** A factory that makes kernels for whoever brings a lease that names it. */
export interface FactoryService {
  readonly id: string
}

/**
 * A libp2p service.
 *
 * @example
 * ```TypeScript
 * const node = await createLibp2p({ ..., services: { identify: identify(), factory: factoryService({ identity, stamper }) } })
 * ```
 */
export function factoryService(
  init: FactoryServiceInit
): (components: { registrar: StreamRegistrar }) => FactoryService {
  return (components) => new LibP2PFactory(components.registrar, init)
}

class LibP2PFactory implements FactoryService, Startable {
  readonly [Symbol.toStringTag] = '@ishare/factory'
  readonly #registrar: StreamRegistrar
  readonly #issuer: KernelIssuer
  readonly #onError: (error: unknown) => void
  readonly #streams = new Set<Promise<void>>()
  #stopped = new AbortController()

  constructor(registrar: StreamRegistrar, init: FactoryServiceInit) {
    this.#registrar = registrar
    this.#issuer = new KernelIssuer(init)
    this.#onError = init.onError ?? (() => undefined)
  }

  get id(): string {
    return this.#issuer.id
  }

  async start(): Promise<void> {
    this.#stopped = new AbortController()
    await this.#registrar.handle(PROTOCOL_FACTORY, this.#onStream, {
      maxInboundStreams: STREAMS_PER_CONNECTION,
      // A kernel is larger than what goes through a relay.
      runOnLimitedConnection: false
    })
  }

  async stop(): Promise<void> {
    await this.#registrar.unhandle(PROTOCOL_FACTORY)
    this.#stopped.abort(new FactoryError('ERR_FACTORY_BUSY', 'the factory stops'))
    await Promise.allSettled(this.#streams)
  }

  readonly #onStream = (stream: Stream, connection: Connection): void => {
    const served = this.#serve(stream, connection.remotePeer.toString())
    this.#streams.add(served)
    void served.finally(() => this.#streams.delete(served))
  }

  /** Never rejects: what goes wrong is told to the peer as a code. */
  async #serve(raw: Stream, peer: string): Promise<void> {
    const stream: FactoryStream = framedStream<RequestMessage, AnswerMessage>(raw, {
      messages: requestMessage
    })
    try {
      if (this.#streams.size >= this.#issuer.limits.streamsMax)
        throw new FactoryError('ERR_FACTORY_BUSY', `${this.#streams.size} streams are open`)
      const request = await readRequest(stream, this.#within(this.#issuer.limits.requestMs))
      const signal = this.#within(this.#issuer.limits.transferMs)
      await using kernel = await this.#issuer.issue(request, peer, signal)
      await send(stream, kernel, signal)
    } catch (error) {
      const code = publicCode(error)
      if (code === 'ERR_FACTORY_UNREACHABLE') this.#onError(error)
      await stream.send({ kind: 'message', message: { type: 'error', code } }).catch(() => undefined)
    } finally {
      await stream.close()
    }
  }

  #within(ms: number): AbortSignal {
    return AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(ms)])
  }
}

async function readRequest(stream: FactoryStream, signal: AbortSignal): Promise<KernelRequest> {
  const request: KernelRequest = { offer: '', acceptance: '', lease: '' }
  for (const part of REQUEST_PARTS) {
    const frame = await stream.read(signal)
    if (frame?.kind !== 'message' || frame.message.type !== part)
      throw new WireError('ERR_WIRE_FORMAT', `expected the ${part}`)
    request[part] = frame.message.token
  }
  return request
}

async function send(stream: FactoryStream, kernel: IssuedKernel, signal: AbortSignal): Promise<void> {
  const { manifest, sizeBytes } = kernel
  await stream.send({ kind: 'message', message: { type: 'issued', manifest, sizeBytes } }, signal)
  let offset = 0
  for await (const data of kernel.chunks) {
    await stream.send({ kind: 'data', channel: CHANNEL_KERNEL, offset, data }, signal)
    offset += data.byteLength
  }
}

/** What went wrong inside is nobody's business. */
function publicCode(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'ERR_WIRE_TIMEOUT'
  const isPublic = isIShareError(error) && /^ERR_(WIRE_|FACTORY_)/.test(error.code)
  return isPublic ? error.code : 'ERR_FACTORY_UNREACHABLE'
}
