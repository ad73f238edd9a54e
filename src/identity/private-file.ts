/**
 * Files that hold private keys: mode 0600, small, and there whole or not at all.
 *
 * A file is written under another name, flushed, then hard-linked to its own name. Of two processes that start at
 * once one wins the link, and both go on with the winner's key.
 */
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { link, mkdir, open, unlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { IdentityError } from '../errors.ts'

/** A real one has about 170 bytes. */
const KEY_FILE_BYTES_MAX = 4096

/**
 * The text of the file `name` in `directory`, made from `create` if there is none.
 *
 * @throws ERR_IDENTITY_ACCESS when others than the owner may read or write the file, or it cannot be opened
 * @throws ERR_IDENTITY_FORMAT when it is too large for a key
 */
export async function readOrCreatePrivateFile(
  directory: string,
  name: string,
  create: () => Promise<string>
): Promise<string> {
  const path = join(directory, name)
  const found = await readPrivateFile(path)
  if (found !== undefined) return found
  await createPrivateFile(directory, name, await create())
  const made = await readPrivateFile(path)
  if (made === undefined)
    throw new IdentityError('ERR_IDENTITY_ACCESS', `${path}: vanished while it was being made`)
  return made
}

/**
 * The text of a private file, or undefined if there is none.
 *
 * @throws as {@link readOrCreatePrivateFile}
 */
export async function readPrivateFile(path: string): Promise<string | undefined> {
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
  return await file.readFile('utf8')
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

async function createPrivateFile(directory: string, name: string, text: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, name)
  const draft = join(directory, `.${name}.${randomUUID()}`)
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
