/**
 * @packageDocumentation
 *
 * Who a peer is: one Ed25519 key, kept in the state directory. Its public half is the peer id, so a document
 * verifies from the id of its signer alone.
 */
export { ageIdentity, ageRecipient } from './age-key.ts'
export { createIdentity, identityOf, type Identity } from './identity.ts'
export { loadOrCreateIdentity } from './key-file.ts'
export { createLogKey, loadOrCreateLogKey, logKeyId, readLogKey, type LogKey } from './log-key.ts'
export { peerIdOf, peerIdOfJwk, publicJwkOf, type PublicJwk } from './peer-key.ts'
