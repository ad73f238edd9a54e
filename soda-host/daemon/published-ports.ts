/** Where ports of servers are found from outside: on the one address that the owner names, never on all. Pure. */
import { HostError } from '../../src/errors.ts'
import type { InboundPort } from '../switch/gateway/index.ts'

/** What the owner gives for it. */
export interface PublishConfig {
  /** IPv4 address of this machine. */
  address: string
  /** First and last port that servers may get there. */
  firstPort: number
  lastPort: number
}

/**
 * A place for each port: the same number where it is free and the owner gives it, else the first that is.
 *
 * @param taken - of servers whose guests may live
 * @throws ERR_SLICE_FULL when there is no port left
 */
export function choosePublished(
  publish: PublishConfig | undefined,
  ports: readonly number[],
  taken: readonly InboundPort[]
): InboundPort[] {
  if (publish === undefined) return []
  const used = new Set(
    taken
      .filter(({ publishedAddress }) => publishedAddress === publish.address)
      .map((port) => port.publishedPort)
  )
  return [...new Set(ports)].map((port) => {
    const publishedPort = freePort(publish, port, used)
    used.add(publishedPort)
    return { port, publishedAddress: publish.address, publishedPort }
  })
}

function freePort({ firstPort, lastPort }: PublishConfig, wish: number, used: ReadonlySet<number>): number {
  if (wish >= firstPort && wish <= lastPort && !used.has(wish)) return wish
  for (let port = firstPort; port <= lastPort; port++) if (!used.has(port)) return port
  throw new HostError('ERR_SLICE_FULL', `all ports from ${firstPort} to ${lastPort} are published already`)
}
