import {
  consumerMessage,
  providerMessage,
  type ConsumerMessage,
  type ProviderMessage
} from '../../../irun/messages.ts'
import { newRunId } from '../../../irun/consumer/run-id.ts'
import { PROTOCOL_RUN } from '../../../src/constants.ts'
import { signDocument, type PayloadInput } from '../../../src/documents/index.ts'
import { framedStream, type FramedStream } from '../../../src/wire/index.ts'
import { sampleAcceptance } from '../documents.ts'
import { smallLimits, type Market, type Node } from './market.ts'

/** A consumer that says what a test wants it to say. */
export interface RawSession {
  stream: FramedStream<ProviderMessage, ConsumerMessage>
  say(message: ConsumerMessage): Promise<void>
  data(channel: number, offset: number, data: Uint8Array): Promise<void>
  /** The next message of one of these types; others are passed over. */
  hear<T extends ProviderMessage['type']>(...types: T[]): Promise<Extract<ProviderMessage, { type: T }>>
  /** The code that the provider ends the session with. */
  code(): Promise<string>
}

export async function rawSession(market: Market, node: Node = market.consumer): Promise<RawSession> {
  const raw = await node.openStream(
    market.provider.identity.id,
    market.provider.addresses(),
    PROTOCOL_RUN,
    AbortSignal.timeout(10_000)
  )
  const stream = framedStream<ProviderMessage, ConsumerMessage>(raw, { messages: providerMessage })
  const hear: RawSession['hear'] = async (...types) => {
    for (let frame = await stream.read(); frame !== undefined; frame = await stream.read())
      if (frame.kind === 'message' && (types as string[]).includes(frame.message.type))
        return frame.message as Extract<ProviderMessage, { type: (typeof types)[number] }>
    throw new Error(`the provider closed the stream without ${types.join()}`)
  }
  return {
    stream,
    say: (message) => stream.send({ kind: 'message', message }),
    data: (channel, offset, data) => stream.send({ kind: 'data', channel, offset, data }),
    hear,
    code: async () => (await hear('error')).code
  }
}

export interface Submission {
  runId: string
  message: Extract<ConsumerMessage, { type: 'submit' }>
}

/** A good submission, but for the changes. */
export async function submission(
  market: Market,
  script: string,
  changes: Partial<PayloadInput<'acceptance'>> = {},
  node: Node = market.consumer
): Promise<Submission> {
  const runId = changes.runId ?? newRunId()
  const acceptance = await signDocument(
    'acceptance',
    sampleAcceptance(node.identity, market.offer, {
      runId,
      request: { limits: smallLimits(), image: 'tiny' },
      ...changes
    }),
    node.identity
  )
  const message = consumerMessage.parse({
    type: 'submit',
    requestId: 'r1',
    acceptance,
    program: { argv: ['sh', '-c', script], env: {} }
  })
  if (message.type !== 'submit') throw new Error('not a submission')
  return { runId, message }
}

/** Submit and hear what the provider says. */
export async function answerTo(
  market: Market,
  { message }: Submission,
  node: Node = market.consumer
): Promise<Extract<ProviderMessage, { type: 'leased' | 'refused' }>> {
  const session = await rawSession(market, node)
  await session.say(message)
  const answer = await session.hear('leased', 'refused')
  await session.stream.close()
  return answer
}
