/**
 * The key file: `identity.jwk` in the state directory, a JWK (RFC 8037) that only its owner can read.
 *
 * It appears whole or not at all: written under another name, flushed, then hard-linked to its own name. Of two
 * processes that start at once one wins the link, and both go on with the winner's key.
 */
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { link, mkdir, open, unlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { IdentityError } from '../errors.ts'
import { identityOf, privateJwkOf, privateKeyOf, type Identity } from './identity.ts'

const KEY_FILE = 'identity.jwk'
/** A real one has about 170 bytes. */
const KEY_FILE_BYTES_MAX = 4096

/**
 * The identity kept in `directory`, made there (mode 0600) if there is none.
 *
 * @throws ERR_IDENTITY_ACCESS when others than the owner may read or write the file, or it cannot be opened
 * @throws ERR_IDENTITY_FORMAT when the file does not hold a key; it is left as it is
 */
export async function loadOrCreateIdentity(directory: string): Promise<Identity> {
  const path = join(directory, KEY_FILE)
  let privateKey = await readKeyFile(path)
  if (privateKey === undefined) {
    await createKeyFile(directory, path)
    privateKey = await readKeyFile(path)
  }
  if (privateKey === undefined)
    throw new IdentityError('ERR_IDENTITY_ACCESS', `${path}: vanished while it was being made`)
  return identityOf(privateKey)
}

async function readKeyFile(path: string): Promise<Ed25519PrivateKey | undefined> {
  let file: FileHandle
  try {
    // Never through a link, and never waiting on a pipe.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new IdentityError('ERR_IDENTITY_ACCESS', `${path}: cannot be opened`, { cause: error })
  }
  await using _closed = file
  await checkAccess(path, file)
  return await parseKey(path, await file.readFile('utf8'))
}

async function checkAccess(path: string, file: FileHandle): Promise<void> {
  const status = await file.stat()
  if (!status.isFile()) throw new IdentityError('ERR_IDENTITY_ACCESS', `${path}: not a regular file`)
  const mode = status.mode & 0o777
  if ((mode & 0o077) !== 0)
    throw new IdentityError(
      'ERR_IDENTITY_ACCESS',
      `${path}: others may read or write it (mode ${mode.toString(8)}); if nobody did, run: chmod 600 ${path}`
    )
  const user = process.geteuid?.() ?? status.uid
  if (user !== 0 && status.uid !== user)
    throw new IdentityError('ERR_IDENTITY_ACCESS', `${path}: belongs to user ${status.uid}, not to ${user}`)
  if (status.size > KEY_FILE_BYTES_MAX)
    throw new IdentityError('ERR_IDENTITY_FORMAT', `${path}: ${status.size} bytes are too many for a key`)
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

async function createKeyFile(directory: string, path: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const draft = join(directory, `.${KEY_FILE}.${randomUUID()}`)
  const text = `${JSON.stringify(privateJwkOf(await generateKeyPair('Ed25519')))}\n`
  try {
    await writeFlushed(draft, text)
    await link(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw new IdentityError('ERR_IDENTITY_ACCESS', `${path}: cannot be made`, { cause: error })
  } finally {
    await unlink(draft).catch(() => undefined)
  }
  await using handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  await handle.sync()
}

async function writeFlushed(path: string, text: string): Promise<void> {
  await using file = await open(path, 'wx', 0o600)
  await file.writeFile(text)
  await file.sync()
}
