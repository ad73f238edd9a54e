import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a mirror answers to a path; nothing for 404. */
export type MirrorAnswer = (path: string) => string | undefined

/** Sends the factory to this address for Debian packages while `body` runs. */
export async function withMirrorAddress(address: string, body: () => Promise<void>): Promise<void> {
  process.env['ISHARE_DEBIAN_MIRROR'] = address
  try {
    await body()
  } finally {
    Reflect.deleteProperty(process.env, 'ISHARE_DEBIAN_MIRROR')
  }
}

/** Stands in for the Debian mirror, on loopback; `asked` holds the paths that were asked for. */
export async function withMirror(
  answer: MirrorAnswer,
  body: (asked: string[]) => Promise<void>
): Promise<void> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    asked.push(path)
    const content = answer(path)
    response.writeHead(content === undefined ? 404 : 200)
    response.end(content)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  try {
    await withMirrorAddress(`http://127.0.0.1:${port}/debian`, () => body(asked))
  } finally {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
}
