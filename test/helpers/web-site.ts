import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface WebSite extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  origin: string
  port: number
  /** Paths that were asked for, in order. */
  visits: string[]
}

type Answer = string | ((request: IncomingMessage, response: ServerResponse) => void)

/** A web site on loopback: HTML by path, or a function that answers as badly as it likes. */
export async function webSite(pages: Record<string, Answer>): Promise<WebSite> {
  const visits: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? '/'
    visits.push(path)
    const answer = pages[path]
    if (answer === undefined) response.writeHead(404).end()
    else if (typeof answer === 'function') answer(request, response)
    else response.setHeader('content-type', 'text/html; charset=utf-8').end(answer)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    visits,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}
