/**
 * Which addresses pages may be fetched from.
 *
 * Goal: a page, or a name server, of a stranger must not make this peer talk to the inside of its own network
 * (server-side request forgery). So only public addresses are connected to, unless the user named the host.
 * The attacker chooses URLs, redirects and DNS answers, and may answer each look-up differently (DNS rebinding).
 * The check therefore sits in the look-up whose answer the socket connects to, and the answer for a host is kept
 * as long as one discovery lasts. Literal addresses never reach a look-up: they are checked with the URL.
 */
import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { DiscoverError } from '../../src/errors.ts'

/**
 * IPv4 that is not ordinary unicast on the Internet.
 *
 * @see https://www.iana.org/assignments/iana-ipv4-special-registry
 */
const SPECIAL_IPV4 = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3]
] as const

/** The whole of IPv6's global unicast is 2000::/3; these parts of it stand for other, possibly inner, addresses. */
const GLOBAL_IPV6 = ['2000::', 3] as const
const SPECIAL_IPV6 = [
  // Teredo, ORCHID, benchmarking and other protocol assignments.
  ['2001::', 23],
  ['2001:db8::', 32],
  // 6to4: holds an IPv4 address.
  ['2002::', 16],
  ['3fff::', 20]
] as const

const specialIpv4 = new BlockList()
const specialIpv6 = new BlockList()
const globalIpv6 = new BlockList()
for (const [network, bits] of SPECIAL_IPV4) specialIpv4.addSubnet(network, bits, 'ipv4')
for (const [network, bits] of SPECIAL_IPV6) specialIpv6.addSubnet(network, bits, 'ipv6')
globalIpv6.addSubnet(...GLOBAL_IPV6, 'ipv6')

/** Is it ordinary unicast on the Internet? What is not an address is not. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !specialIpv4.check(address, 'ipv4')
  // A zone makes it a link-local address, or an unknown.
  if (isIP(address) !== 6 || address.includes('%')) return false
  return globalIpv6.check(address, 'ipv6') && !specialIpv6.check(address, 'ipv6')
}

/** A literal address in a URL's host, without brackets. */
export function literalAddress({ hostname }: URL): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, '')
  return isIP(bare) === 0 ? undefined : bare
}

/** Resolve a host name; Node's own unless a test stands in for a name server. */
export type Resolve = (
  host: string,
  callback: (error: Error | null, addresses: LookupAddress[]) => void
) => void

const systemResolve: Resolve = (host, callback) =>
  dnsLookup(host, { all: true }, (error, addresses) => callback(error, addresses))

/**
 * The `lookup` of sockets: each host is resolved once and stays where it was; addresses that `isAllowed` refuses
 * are left out.
 *
 * @throws to the callback: ERR_PAGE_ADDRESS when none of a host's addresses is allowed
 */
export function pinnedLookup(
  isAllowed: (address: string) => boolean,
  resolve: Resolve = systemResolve
): LookupFunction {
  const pinned = new Map<string, LookupAddress[]>()
  return (host, options: LookupOptions, callback) => {
    const answer = (addresses: LookupAddress[]): void => {
      const [first] = addresses
      if (first === undefined) callback(refusal(host), [])
      else if (options.all === true) callback(null, addresses)
      else callback(null, first.address, first.family)
    }
    const known = pinned.get(host)
    if (known !== undefined) {
      answer(known)
      return
    }
    resolve(host, (error, found) => {
      if (error !== null) {
        callback(error, [])
        return
      }
      // Of two look-ups at the same time the first one counts for both.
      const addresses = pinned.get(host) ?? found.filter(({ address }) => isAllowed(address))
      pinned.set(host, addresses)
      answer(addresses)
    })
  }
}

/** What a page of a stranger leads to must be on the Internet. */
export function refusal(host: string): DiscoverError {
  return new DiscoverError(
    'ERR_PAGE_ADDRESS',
    `${host.slice(0, 253)} has a private or special address; name the page yourself if you trust it`
  )
}
