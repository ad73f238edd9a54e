import { lpStream } from '@libp2p/utils'
import { DOCUMENT_BYTES_MAX, PROTOCOL_OFFER } from '../../src/constants.ts'
import { DiscoverError } from '../../src/errors.ts'
import type { DiscovererComponents } from '../types.ts'

export type OpenStream = NonNullable<DiscovererComponents['openStream']>

/**
 * Ask a peer for its own offer: one message comes, prefixed by its length, at most DOCUMENT_BYTES_MAX.
 *
 * @returns the token, not verified
 * @throws ERR_OFFER_NOT_FOUND when the peer cannot be reached, gives no good answer in time, or has no offer
 */
export async function askOffer(
  openStream: OpenStream,
  peer: string,
  addresses: readonly string[],
  signal: AbortSignal
): Promise<string> {
  try {
    const token = await readToken(openStream, peer, addresses, signal)
    if (token !== '') return token
  } catch (error) {
    throw new DiscoverError('ERR_OFFER_NOT_FOUND', `${peer} could not be asked for its offer`, {
      cause: error
    })
  }
  throw new DiscoverError('ERR_OFFER_NOT_FOUND', `${peer} offers nothing now`)
}

async function readToken(
  openStream: OpenStream,
  peer: string,
  addresses: readonly string[],
  signal: AbortSignal
): Promise<string> {
  const stream = await openStream(peer, addresses, PROTOCOL_OFFER, signal)
  try {
    const message = await lpStream(stream, { maxDataLength: DOCUMENT_BYTES_MAX }).read({ signal })
    await stream.close({ signal })
    return Buffer.from(message.subarray()).toString('latin1')
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error('no answer'))
    throw error
  }
}
