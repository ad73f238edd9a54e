/**
 * The key that opens a tenant's sealed logs: one X25519 key pair, `log-key.jwk` in the state directory (RFC 8037).
 *
 * It is not derived from the peer key: the one that signs never agrees on keys, the log key can be handed to an
 * analyst, kept off this machine or replaced without becoming another peer, and a stolen peer key opens no log.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { IdentityError } from '../errors.ts'
import { readOrCreatePrivateFile, readPrivateFile } from './private-file.ts'

const KEY_FILE = 'log-key.jwk'

/** Bytes of a key id in a log: the first half of the SHA-256 of the public key. */
const KEY_ID_BYTES = 16

export interface LogKey {
  /** 32 bytes, raw. */
  readonly publicKey: Uint8Array
  /** 32 bytes, raw. */
  readonly privateKey: Uint8Array
  /** 32 hex digits, by which a log names its readers. */
  readonly id: string
}

/** A new key that lives as long as the process. */
export function createLogKey(): LogKey {
  return logKeyOf(generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' }))
}

/**
 * The log key kept in `directory`, made there (mode 0600) if there is none.
 *
 * @throws ERR_IDENTITY_ACCESS, ERR_IDENTITY_FORMAT as for the peer's own key
 */
export async function loadOrCreateLogKey(directory: string): Promise<LogKey> {
  const text = await readOrCreatePrivateFile(directory, KEY_FILE, async () => {
    return `${JSON.stringify(generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' }))}\n`
  })
  return parse(join(directory, KEY_FILE), text)
}

/**
 * The log key in a file.
 *
 * @throws ERR_IDENTITY_ACCESS when it is not there, or others may read it
 * @throws ERR_IDENTITY_FORMAT when it holds no such key
 */
export async function readLogKey(path: string): Promise<LogKey> {
  const text = await readPrivateFile(path)
  if (text === undefined) throw new IdentityError('ERR_IDENTITY_ACCESS', `${path}: there is no such key file`)
  return parse(path, text)
}

/** The id that a log gives to the reader with this public key (32 bytes). */
export function logKeyId(publicKey: Uint8Array): string {
  return createHash('sha256')
    .update(publicKey)
    .digest('hex')
    .slice(0, 2 * KEY_ID_BYTES)
}

function parse(path: string, text: string): LogKey {
  try {
    return logKeyOf(JSON.parse(text))
  } catch (error) {
    // The parser's own message may quote the key: it is not passed on.
    const reason = error instanceof IdentityError ? error.message : 'not JSON'
    throw new IdentityError('ERR_IDENTITY_FORMAT', `${path}: ${reason}`)
  }
}

function logKeyOf(jwk: unknown): LogKey {
  const { kty, crv, x, d } = typeof jwk === 'object' && jwk !== null ? (jwk as Record<string, unknown>) : {}
  if (kty !== 'OKP' || crv !== 'X25519' || typeof x !== 'string' || typeof d !== 'string')
    throw new IdentityError('ERR_IDENTITY_FORMAT', 'not a JWK of an X25519 private key')
  const privateKey = Buffer.from(d, 'base64url')
  const publicKey = Buffer.from(x, 'base64url')
  if (privateKey.length !== 32 || publicKey.length !== 32)
    throw new IdentityError('ERR_IDENTITY_FORMAT', 'the key does not have 32 bytes')
  const whole = createPrivateKey({ key: { kty, crv, x, d }, format: 'jwk' })
  if (createPublicKey(whole).export({ format: 'jwk' }).x !== x)
    throw new IdentityError('ERR_IDENTITY_FORMAT', 'the public and the private half of the key differ')
  return { publicKey, privateKey, id: logKeyId(publicKey) }
}
