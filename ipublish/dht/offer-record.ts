/**
 * Validator and selector of offers in the DHT: the value of `/ishare/<peer id>` is that peer's offer.
 *
 * Goal: a node of the DHT stores, hands out and believes only what the peer itself said, and never goes back
 * to an older word of it. The attacker sends any record under any key, and repeats old ones: kad-dht by itself
 * would let an older valid PUT overwrite a newer record (js-libp2p #3377). So the validator remembers the highest
 * sequence seen of each peer, and, after a restart or when that memory is full, looks at what is stored.
 *
 * The last step of the validator is noting the sequence, without waiting in between, and kad-dht then stores
 * what was validated: two PUTs that race end in the order of their sequences.
 */
import type { SelectFn, ValidateFn } from '@libp2p/kad-dht'
import { Libp2pRecord } from '@libp2p/record'
import { Key, type Datastore } from 'interface-datastore'
import { toString as encode } from 'uint8arrays/to-string'
import { DOCUMENT_BYTES_MAX } from '../../src/constants.ts'
import { newestSequence, verifyDocument, verifyKeptDocument } from '../../src/documents/index.ts'
import { peerOfOfferKey } from '../../src/documents/offer-keys.ts'
import { DocumentError } from '../../src/errors.ts'

export interface OfferValidatorInit {
  /** What kad-dht stores into; then nothing older than a stored record is taken after a restart either. */
  datastore?: Pick<Datastore, 'get'>
  /** kad-dht's `datastorePrefix`. @default '/dht' */
  datastorePrefix?: string
}

/**
 * For `kadDHT({ validators: { ishare: offerValidator() } })`: one for each node.
 *
 * @throws from the validator: ERR_DOCUMENT_SIZE, ERR_DOCUMENT_ISSUER when the offer is not that of the key's
 * peer, ERR_DOCUMENT_REPLAYED when a newer one is known, and what `verifyDocument` throws
 */
export function offerValidator(init: OfferValidatorInit = {}): ValidateFn {
  const newest = newestSequence()
  return async (key, value) => {
    const peer = peerOfOfferKey(key)
    if (peer === undefined) throw new DocumentError('ERR_DOCUMENT_ISSUER', 'not the key of an offer')
    const { payload } = await verifyDocument('offer', textOf(value), { issuer: peer })
    const stored = await storedSequence(key, peer, init)
    if (stored !== undefined && stored > payload.seq) newest.note(peer, stored)
    newest.note(peer, payload.seq)
  }
}

/** For `kadDHT({ selectors: { ishare: offerSelector } })`: the highest sequence counts. */
export const offerSelector: SelectFn = async (key, records) => {
  const issuer = peerOfOfferKey(key)
  const sequences = await Promise.all(records.map((value) => sequenceOf(value, issuer)))
  return sequences.indexOf(Math.max(...sequences))
}

async function sequenceOf(value: Uint8Array, issuer: string | undefined): Promise<number> {
  try {
    return (await verifyDocument('offer', textOf(value), issuer === undefined ? {} : { issuer })).payload.seq
  } catch {
    return -1
  }
}

async function storedSequence(
  key: Uint8Array,
  issuer: string,
  { datastore, datastorePrefix = '/dht' }: OfferValidatorInit
): Promise<number | undefined> {
  if (datastore === undefined) return undefined
  try {
    const bytes = await datastore.get(recordKey(datastorePrefix, key))
    const record = Libp2pRecord.deserialize(bytes)
    return (await verifyKeptDocument('offer', textOf(record.value), { issuer })).payload.seq
  } catch {
    // Nothing there, or nothing that could be a reason against a valid record.
    return undefined
  }
}

/** Where kad-dht stores the record of a key. */
export function recordKey(prefix: string, key: Uint8Array): Key {
  return new Key(`${prefix}/record/${encode(key, 'base32')}`, false)
}

function textOf(value: Uint8Array): string {
  if (value.length > DOCUMENT_BYTES_MAX)
    throw new DocumentError('ERR_DOCUMENT_SIZE', `${value.length} bytes, at most ${DOCUMENT_BYTES_MAX}`)
  return Buffer.from(value).toString('latin1')
}
