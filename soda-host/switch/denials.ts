import { z } from 'zod'
import { inside } from './commands.ts'
import type { Denial } from './types.ts'

const counter = z.object({ packets: z.number(), bytes: z.number() })
const key = z.object({ concat: z.array(z.union([z.string(), z.number()])) })
const element = z.object({ elem: z.object({ val: key, counter }) })
const listing = z.object({
  nftables: z.array(z.object({ set: z.object({ elem: z.array(element).optional() }).optional() }))
})

/** As nft says it with `-n`, whatever names the machine knows. */
const PROTOCOLS: Record<string, string> = { 1: 'icmp', 6: 'tcp', 17: 'udp' }

/** What was refused: per pair of servers, then the flows of the last minutes. `name` of an address. */
export async function readDenials(namespace: string, name: (ipv4: string) => string): Promise<Denial[]> {
  const questions = await readSet(namespace, 'bridge', 'denied_arp')
  const pairs = await readSet(namespace, 'inet', 'denied_pairs')
  const flows = await readSet(namespace, 'inet', 'denied_flows')
  for (const { elem } of questions) elem.val.concat.push('arp')
  return [...questions, ...pairs, ...flows].map(({ elem: { val, counter: count } }) => {
    const [from, to, protocol, port] = val.concat
    return {
      from: name(String(from)),
      to: name(String(to)),
      ...(protocol !== undefined && { protocol: PROTOCOLS[protocol] ?? String(protocol) }),
      ...(port !== undefined && Number(port) !== 0 && { port: Number(port) }),
      ...count
    }
  })
}

async function readSet(
  namespace: string,
  family: 'bridge' | 'inet',
  set: string
): Promise<z.infer<typeof element>[]> {
  const text = await inside(namespace, 'nft', ['-j', '-n', 'list', 'set', family, 'soda', set])
  return listing.parse(JSON.parse(text)).nftables.flatMap((entry) => entry.set?.elem ?? [])
}
