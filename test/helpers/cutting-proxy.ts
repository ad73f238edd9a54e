import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** Stands between a channel and its guest, and cuts the connection after a number of bytes that `next` chooses. */
export interface CuttingProxy extends AsyncDisposable {
  socketPath: string
  /** Connections cut so far. */
  readonly cuts: number
}

/** `next`: how many bytes, both ways together, the next connection may carry. */
export async function cuttingProxy(
  socketPath: string,
  guestPath: string,
  next: () => number
): Promise<CuttingProxy> {
  let cuts = 0
  const open = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect({ path: guestPath })
    let left = next()
    const cut = (): void => {
      for (const socket of [near, far]) {
        open.delete(socket)
        socket.destroy()
      }
    }
    const forward = (from: Socket, to: Socket): void => {
      open.add(from)
      from.on('error', cut).on('close', cut)
      from.on('data', (chunk: Buffer) => {
        to.write(chunk.subarray(0, Math.max(0, left)))
        left -= chunk.length
        if (left >= 0) return
        cuts++
        // What was written before the cut goes out.
        open.delete(near)
        open.delete(far)
        near.destroySoon()
        far.destroySoon()
        from.removeAllListeners('data')
      })
    }
    forward(near, far)
    forward(far, near)
  })
  server.listen(socketPath)
  await once(server, 'listening')
  return {
    socketPath,
    get cuts() {
      return cuts
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of open) socket.destroy()
      await closed
    }
  }
}
