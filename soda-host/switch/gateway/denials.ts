/** Reads what the reverse firewall refused. */
import { z } from 'zod'
import type { Place } from './place.ts'
import { DENIAL_REASONS, TABLE, type DenialReason } from './ruleset.ts'

/** What one server was refused towards the outside. */
export interface EgressDenial {
  /** Address of the server. */
  from: string
  reason: DenialReason
  packets: number
  /** Absent where all refusals for that reason are counted. */
  flow?: { to: string; protocol: string; port: number }
}

const element = z.object({
  elem: z.object({
    val: z.object({ concat: z.array(z.union([z.string(), z.number()])) }),
    counter: z.object({ packets: z.number() })
  })
})
const listing = z.object({
  nftables: z.array(z.object({ set: z.object({ elem: z.array(element).optional() }).optional() }))
})

/** Totals per server and reason, then the flows of the last minutes. */
export async function readDenials(gateway: Place): Promise<EgressDenial[]> {
  const totals = (await readSet(gateway, 'denied_servers')).map(({ elem: { val, counter } }) => {
    const [from, reason] = val.concat
    return { from: String(from), reason: reasonOf(reason), packets: counter.packets }
  })
  const flows = (await readSet(gateway, 'denied_flows')).map(({ elem: { val, counter } }) => {
    const [from, to, protocol, port, reason] = val.concat
    const flow = { to: String(to), protocol: protocolOf(protocol), port: Number(port) }
    return { from: String(from), reason: reasonOf(reason), packets: counter.packets, flow }
  })
  return [...totals, ...flows]
}

function reasonOf(mark: string | number | undefined): DenialReason {
  const found = Object.entries(DENIAL_REASONS).find(([, number]) => number === Number(mark))
  return (found?.[0] ?? 'not-granted') as DenialReason
}

/** As people say it; a number where it has no everyday name. */
function protocolOf(number: string | number | undefined): string {
  return (
    new Map([
      ['1', 'icmp'],
      ['6', 'tcp'],
      ['17', 'udp']
    ]).get(String(number)) ?? String(number)
  )
}

async function readSet(gateway: Place, set: string): Promise<z.infer<typeof element>[]> {
  const text = await gateway.run('nft', ['-j', '-n', 'list', 'set', ...TABLE.split(' '), set])
  return listing.parse(JSON.parse(text)).nftables.flatMap((entry) => entry.set?.elem ?? [])
}
