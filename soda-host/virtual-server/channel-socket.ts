import { rename, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { HostError } from '../../src/errors.ts'
import { shortPath } from './short-path.ts'

const FRESH_SUFFIX = '.new'

/** A listening Unix socket to be handed to a guest. `close` gives up our copy only; the path stays. */
export interface ChannelSocket extends AsyncDisposable {
  fd: number
  close(): Promise<void>
}

function descriptorOf(server: Server): number | undefined {
  // No public way leads to it; the field is what child_process itself passes on.
  const { _handle: handle } = server as unknown as { _handle?: { fd?: number } }
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined
}

/** Bound under a umask: nobody else may connect, not even between bind and chmod. */
async function listen(server: Server, path: string): Promise<void> {
  const listening = Promise.withResolvers<undefined>()
  server.once('listening', () => listening.resolve(undefined)).once('error', listening.reject)
  const umask = process.umask(0o177)
  try {
    // For a path, bind and listen happen inside this call.
    server.listen(path)
  } finally {
    process.umask(umask)
  }
  await listening.promise
}

/**
 * Listen at `path` with a descriptor to hand on. Node removes the path that it bound when it closes the socket, so
 * the socket is renamed away from that name first: the path lives as long as its directory.
 * @throws ERR_JAIL when the path cannot be bound
 */
export async function listenForGuest(path: string): Promise<ChannelSocket> {
  try {
    return await bind(path)
  } catch (cause) {
    throw new HostError('ERR_JAIL', `cannot listen at ${path}`, { cause })
  }
}

async function bind(path: string): Promise<ChannelSocket> {
  const fresh = path + FRESH_SUFFIX
  // Kept until the socket is closed, since Node then removes what it finds under the name that it bound.
  const short = await shortPath(fresh)
  const server = createServer((socket) => socket.destroy())
  const close = async (): Promise<void> => {
    await new Promise((resolve) => server.close(resolve))
    await short[Symbol.asyncDispose]()
  }
  try {
    await rm(fresh, { force: true })
    await listen(server, short.path)
    await rename(fresh, path)
    const fd = descriptorOf(server)
    if (fd === undefined) throw new TypeError('a listening server without a descriptor')
    return { fd, close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}
