/** Which names our resolver asks about. Pure. */
import type { Egress } from '../grants.ts'
import { grantedNames } from '../grants.ts'
import { isForbidden } from '../forbidden.ts'
import type { Ipv4Range } from '../ipv4.ts'

export interface GrantedPort {
  protocol: 'tcp' | 'udp'
  port: number
}

/** What one server may learn: everything that is public, or what these names mean. */
export type NamePolicy = { kind: 'internet' } | { kind: 'names'; names: Record<string, GrantedPort[]> }

/** Undefined where a server gets no answers at all. */
export function namePolicy(egress: Egress): NamePolicy | undefined {
  if (egress.kind === 'none') return undefined
  if (egress.kind === 'internet') return { kind: 'internet' }
  const names = grantedNames(egress)
  return names.size === 0 ? undefined : { kind: 'names', names: Object.fromEntries(names) }
}

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/

/** Lower case, without a dot at the end; undefined when it is no name that a host on the Internet has. */
export function hostName(text: string): string | undefined {
  const name = text.toLowerCase().replace(/\.$/, '')
  const isFine = name.length <= 253 && name.split('.').every((label) => LABEL.test(label))
  return isFine ? name : undefined
}

/** The owner's home and office, and what must never leave a machine (RFC 6761, 6762, 7686, 8375, 9476). */
const PRIVATE_TOP = new Set(
  'alt corp home internal intranet invalid lan local localdomain localhost onion private test workgroup'.split(
    ' '
  )
)

/** A name that would be asked of the owner's own DNS about the owner's own network. */
export function isPrivateName(name: string, forbidden: readonly Ipv4Range[]): boolean {
  const labels = name.split('.')
  const top = labels.at(-1) ?? ''
  if (labels.length === 1 || PRIVATE_TOP.has(top)) return true
  if (top !== 'arpa') return false
  // Which name an address has: only for addresses that may be reached.
  const reversed = /^(?:(\d+)\.(\d+)\.(\d+)\.(\d+))\.in-addr\.arpa$/.exec(name)
  return reversed === null || isForbidden(reversed.slice(1, 5).toReversed().join('.'), forbidden)
}
