import { z } from 'zod'
import { inside } from './commands.ts'

const counts = z.object({ bytes: z.number(), packets: z.number() })
const linkList = z.array(
  z.object({ ifname: z.string(), stats64: z.object({ rx: counts, tx: counts }).optional() })
)

export interface Traffic {
  sentBytes: number
  sentPackets: number
  receivedBytes: number
  receivedPackets: number
}

/** Interface of a port → what its server sent and received. What the bridge's end receives, the server sent. */
export async function readTraffic(namespace: string): Promise<Map<string, Traffic>> {
  const links = linkList.parse(JSON.parse(await inside(namespace, 'ip', ['-s', '-j', 'link', 'show'])))
  const ports = links.flatMap(({ ifname, stats64 }): [string, Traffic][] => {
    if (stats64 === undefined || !/^p\d+$/.test(ifname)) return []
    const { rx, tx } = stats64
    const sent = { sentBytes: rx.bytes, sentPackets: rx.packets }
    return [[ifname, { ...sent, receivedBytes: tx.bytes, receivedPackets: tx.packets }]]
  })
  return new Map(ports)
}
