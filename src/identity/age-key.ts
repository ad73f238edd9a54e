/**
 * X25519 keys as the `age` tool writes them: the same 32 bytes in Bech32.
 *
 * @see https://age-encryption.org/v1, "The X25519 recipient type"
 */
import { bech32 } from '@scure/base'

/** `age1…`: to whom something is encrypted. `publicKey`: 32 bytes. */
export function ageRecipient(publicKey: Uint8Array): string {
  return bech32.encodeFromBytes('age', publicKey)
}

/** `AGE-SECRET-KEY-1…`: what opens it again. `privateKey`: 32 bytes. */
export function ageIdentity(privateKey: Uint8Array): string {
  return bech32.encodeFromBytes('age-secret-key-', privateKey).toUpperCase()
}
