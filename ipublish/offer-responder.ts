import type { Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { PROTOCOL_OFFER } from '../src/constants.ts'
import type { Offer, Verified } from '../src/documents/index.ts'
import { ANSWERS_PER_CONNECTION_MAX, ANSWER_TIMEOUT_MS } from './defaults.ts'
import type { OfferOutlet, OfferResponderInit, StreamRegistrar } from './types.ts'

/**
 * Answers PROTOCOL_OFFER: whoever opens a stream gets one message, prefixed by its length as a varint: the
 * newest offer, or nothing (length 0) while there is none. Nothing is read from the peer.
 */
export function offerResponder(
  components: { registrar: StreamRegistrar },
  init: OfferResponderInit = {}
): OfferOutlet {
  const { registrar } = components
  let token = ''

  async function answer(stream: Stream): Promise<void> {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
    try {
      await lpStream(stream).write(Buffer.from(token), { signal })
      await stream.close({ signal })
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error('not answered'))
      init.onError?.(error)
    }
  }

  return {
    start: () =>
      registrar.handle(PROTOCOL_OFFER, answer, {
        maxInboundStreams: ANSWERS_PER_CONNECTION_MAX,
        // One document fits through a relay.
        runOnLimitedConnection: true
      }),
    stop: () => registrar.unhandle(PROTOCOL_OFFER),
    publish(offer: Verified<Offer>) {
      token = offer.token
    }
  }
}
