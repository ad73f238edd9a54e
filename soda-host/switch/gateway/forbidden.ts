/**
 * Where no guest may ever go, whatever it was granted. Pure.
 *
 * A grant opens what is public. Everything else belongs to somebody who was not asked: the owner's networks and
 * machines, the provider's switch, a cloud's metadata service. What is special by registry stands here; what the
 * owner's machine adds (its own addresses, public ones too, and every network that it is connected to) is read from
 * it, see owner-networks.ts.
 */
import { mergeRanges, parseIpv4, parseRange, isWithin, type Ipv4Range } from './ipv4.ts'

/** IANA IPv4 Special-Purpose Address Registry (RFC 6890), without what is globally reachable; and multicast. */
const RESERVED = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  // Public by its number, yet the machine's own cloud answers there: Azure's metadata and agent service.
  '168.63.129.16/32'
]

/** @param owner - what the owner's machine adds */
export function forbiddenRanges(owner: readonly Ipv4Range[]): Ipv4Range[] {
  return mergeRanges([...RESERVED.map(parseRange), ...owner])
}

/** What is no IPv4 address is forbidden too. */
export function isForbidden(address: string, ranges: readonly Ipv4Range[]): boolean {
  const number = parseIpv4(address)
  return number === undefined || isWithin(number, ranges)
}
