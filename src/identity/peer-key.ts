import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import type { Ed25519PeerId } from '@libp2p/interface'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import { IdentityError } from '../errors.ts'

/** The public half of a peer key as a JSON Web Key. @see RFC 8037 section 2 */
export interface PublicJwk {
  kty: 'OKP'
  crv: 'Ed25519'
  /** 32 bytes, base64url. */
  x: string
}

/** The whole peer key. @see RFC 8037 section 2 */
export interface PrivateJwk extends PublicJwk {
  /** The 32-byte seed, base64url. */
  d: string
}

/** Base58 of 38 bytes; anything longer is not looked at. */
const PEER_ID_LENGTH_MAX = 64

/**
 * Read a peer id that holds its own Ed25519 public key, in its one canonical spelling.
 *
 * @throws ERR_IDENTITY_FORMAT when it is not one
 */
export function peerIdOf(id: string): Ed25519PeerId {
  try {
    if (id.length > PEER_ID_LENGTH_MAX) throw new RangeError(`${id.length} characters`)
    const peerId = peerIdFromString(id)
    if (peerId.type === 'Ed25519' && peerId.toString() === id) return peerId
  } catch (error) {
    throw new IdentityError('ERR_IDENTITY_FORMAT', 'not an Ed25519 peer id', { cause: error })
  }
  throw new IdentityError('ERR_IDENTITY_FORMAT', 'not an Ed25519 peer id in base58')
}

/**
 * The public key inside a peer id: an Ed25519 id is the identity multihash of the key, so whatever a peer
 * signed verifies from its id alone, and no key is ever fetched.
 *
 * @throws ERR_IDENTITY_FORMAT when `id` is not an Ed25519 peer id
 * @see https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
 */
export function publicJwkOf(id: string): PublicJwk {
  return publicJwk(peerIdOf(id).publicKey.raw)
}

/** The peer id of a public key given as JWK. @throws ERR_IDENTITY_FORMAT when it is no Ed25519 key */
export function peerIdOfJwk(jwk: PublicJwk): string {
  try {
    return peerIdFromPublicKey(publicKeyFromRaw(Buffer.from(jwk.x, 'base64url'))).toString()
  } catch (error) {
    throw new IdentityError('ERR_IDENTITY_FORMAT', 'the JWK holds no Ed25519 public key', { cause: error })
  }
}

/** `raw`: 32 bytes. */
export function publicJwk(raw: Uint8Array): PublicJwk {
  return { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(raw).toString('base64url') }
}
