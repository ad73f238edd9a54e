/** The key file of a peer: `identity.jwk` in the state directory, a JWK (RFC 8037) that only its owner can read. */
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { IdentityError } from '../errors.ts'
import { identityOf, privateJwkOf, privateKeyOf, type Identity } from './identity.ts'
import { readOrCreatePrivateFile } from './private-file.ts'

const KEY_FILE = 'identity.jwk'

/**
 * The identity kept in `directory`, made there (mode 0600) if there is none.
 *
 * @throws ERR_IDENTITY_ACCESS when others than the owner may read or write the file, or it cannot be opened
 * @throws ERR_IDENTITY_FORMAT when the file does not hold a key; it is left as it is
 */
export async function loadOrCreateIdentity(directory: string): Promise<Identity> {
  const text = await readOrCreatePrivateFile(directory, KEY_FILE, newKeyText)
  return identityOf(await parseKey(join(directory, KEY_FILE), text))
}

async function newKeyText(): Promise<string> {
  return `${JSON.stringify(privateJwkOf(await generateKeyPair('Ed25519')))}\n`
}

async function parseKey(path: string, text: string): Promise<Ed25519PrivateKey> {
  try {
    return await privateKeyOf(JSON.parse(text))
  } catch (error) {
    // The parser's own message may quote the key: it is not passed on.
    const reason = error instanceof IdentityError ? error.message : 'not JSON'
    throw new IdentityError(
      'ERR_IDENTITY_FORMAT',
      `${path}: ${reason}; restore it from a backup, or move it away to start as a new peer`
    )
  }
}
