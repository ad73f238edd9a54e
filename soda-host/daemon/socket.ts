import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, rm } from 'node:fs/promises'
import { createConnection, type Server } from 'node:net'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { HostError } from '../../src/errors.ts'

export interface SocketInit {
  path: string
  /** Group that may connect, besides our own user. */
  group?: number
}

/** A Unix socket's address holds 108 bytes, the last of them NUL. @see unix(7) */
const SOCKET_PATH_BYTES_MAX = 107

/**
 * Listen where only our user, and the group if one is given, may connect.
 *
 * @throws ERR_HOST_STATE when another daemon answers there; the socket of a dead one is replaced
 */
export async function listen(server: Server, { path, group }: SocketInit): Promise<void> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX)
    throw new HostError(
      'ERR_HOST_STATE',
      `the socket path is longer than ${SOCKET_PATH_BYTES_MAX} bytes: ${path}`
    )
  await makeDirectory(dirname(path), group)
  if (existsSync(path)) {
    if (await answers(path))
      throw new HostError(
        'ERR_HOST_STATE',
        `another daemon answers on ${path}: stop it, or choose another socket`
      )
    await rm(path)
  }
  const listening = once(server, 'listening')
  // Nobody else connects before the mode below stands. The bind is done when listen() returns.
  const umask = process.umask(0o177)
  try {
    server.listen(path)
  } finally {
    process.umask(umask)
  }
  await listening
  if (group !== undefined) await chown(path, process.getuid?.() ?? 0, group)
  await chmod(path, 0o660)
}

/** A directory that was there before keeps its mode: it may be shared with others. */
async function makeDirectory(path: string, group: number | undefined): Promise<void> {
  const made = await mkdir(path, { recursive: true, mode: 0o750 })
  if (made !== undefined && group !== undefined) await chown(path, process.getuid?.() ?? 0, group)
}

async function answers(path: string): Promise<boolean> {
  const socket = createConnection(path)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
