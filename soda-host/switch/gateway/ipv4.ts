/** IPv4 addresses as numbers, and ranges of them. Pure. */

/** First and last address, both inside; 0..2^32-1. */
export interface Ipv4Range {
  first: number
  last: number
}

const HIGHEST = 2 ** 32 - 1

/** Four decimal numbers without leading zeros, the only form that nobody reads as something else. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return undefined
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0)
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
}

/** `10.0.0.0/8`, or one address. @throws TypeError when it is neither */
export function parseRange(text: string): Ipv4Range {
  const [addressText = '', lengthText = '32'] = text.split('/')
  const address = parseIpv4(addressText)
  const length = Number(lengthText)
  if (address === undefined || !Number.isInteger(length) || length < 0 || length > 32)
    throw new TypeError(`expected an IPv4 network, got ${JSON.stringify(text)}`)
  const size = 2 ** (32 - length)
  const first = Math.floor(address / size) * size
  return { first, last: first + size - 1 }
}

/** The same addresses in as few ranges as there can be, in order. */
export function mergeRanges(ranges: readonly Ipv4Range[]): Ipv4Range[] {
  const merged: Ipv4Range[] = []
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = merged.at(-1)
    if (before !== undefined && range.first <= before.last + 1)
      before.last = Math.max(before.last, range.last)
    else merged.push({ ...range })
  }
  return merged
}

export function isWithin(address: number, ranges: readonly Ipv4Range[]): boolean {
  return ranges.some(({ first, last }) => address >= first && address <= last)
}

/** As nft writes it. */
export function formatRange({ first, last }: Ipv4Range): string {
  return first === last ? formatIpv4(first) : `${formatIpv4(first)}-${formatIpv4(Math.min(last, HIGHEST))}`
}
