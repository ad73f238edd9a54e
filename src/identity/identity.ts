import { generateKeyPair, generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { Ed25519PeerId, Ed25519PrivateKey, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { importJWK, type CryptoKey } from 'jose'
import { IdentityError } from '../errors.ts'
import { publicJwk, type PrivateJwk } from './peer-key.ts'

/** Who this peer is: one Ed25519 key, which is the peer id and signs every document. */
export interface Identity {
  readonly peerId: Ed25519PeerId
  /** `peerId` in base58. */
  readonly id: string
  /** For `createLibp2p({ privateKey })`. */
  readonly privateKey: Ed25519PrivateKey
  /** The same key for jose; not extractable. */
  readonly signingKey: CryptoKey
}

/** A new identity that lives as long as the process. */
export async function createIdentity(): Promise<Identity> {
  return identityOf(await generateKeyPair('Ed25519'))
}

/**
 * The identity of a libp2p private key.
 *
 * @throws ERR_IDENTITY_FORMAT when it is not an Ed25519 key
 */
export async function identityOf(privateKey: PrivateKey): Promise<Identity> {
  if (privateKey.type !== 'Ed25519')
    throw new IdentityError('ERR_IDENTITY_FORMAT', `expected an Ed25519 key, got ${privateKey.type}`)
  const peerId = peerIdFromPrivateKey(privateKey)
  const signingKey = await importJWK(privateJwkOf(privateKey), 'EdDSA', { extractable: false })
  if (signingKey instanceof Uint8Array) throw new TypeError('a JWK of type OKP gave a symmetric key')
  return { peerId, id: peerId.toString(), privateKey, signingKey }
}

/** @see RFC 8037 section 2: `d` is the seed, the first 32 of libp2p's 64 bytes */
export function privateJwkOf(privateKey: Ed25519PrivateKey): PrivateJwk {
  const seed = Buffer.from(privateKey.raw.subarray(0, 32))
  return { ...publicJwk(privateKey.publicKey.raw), d: seed.toString('base64url') }
}

/** @throws ERR_IDENTITY_FORMAT when the JWK is not a whole Ed25519 key or its halves differ */
export async function privateKeyOf(jwk: unknown): Promise<Ed25519PrivateKey> {
  if (!isPrivateJwk(jwk))
    throw new IdentityError('ERR_IDENTITY_FORMAT', 'not a JWK of an Ed25519 private key')
  const seed = Buffer.from(jwk.d, 'base64url')
  if (seed.length !== 32)
    throw new IdentityError('ERR_IDENTITY_FORMAT', `the key has ${seed.length} bytes, not 32`)
  const privateKey = await generateKeyPairFromSeed('Ed25519', seed)
  if (publicJwk(privateKey.publicKey.raw).x !== jwk.x)
    throw new IdentityError('ERR_IDENTITY_FORMAT', 'the public and the private half of the key differ')
  return privateKey
}

function isPrivateJwk(value: unknown): value is PrivateJwk {
  if (typeof value !== 'object' || value === null) return false
  const { kty, crv, x, d } = value as Partial<Record<string, unknown>>
  return kty === 'OKP' && crv === 'Ed25519' && typeof x === 'string' && typeof d === 'string'
}
