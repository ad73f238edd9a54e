/** What encoding a set of rules shares: sections, pools, numbers of names. */
import type { AddressGroup } from '../addresses.ts'
import type { PortGroup } from '../ports.ts'
import { refuse, type Piece } from '../refusal.ts'
import { EVENT_BITS_MAX } from './event-layout.ts'
import { FLOWBITS_MAX, FLOWINTS_MAX, XBITS_MAX } from './layout.ts'
import { newSections, Pool, type Sections } from './sections.ts'

/** Names to numbers, in the order of their coming. */
export class Numbering {
  private readonly numbers = new Map<string, number>()
  private readonly what: string
  private readonly max: number

  constructor(what: string, max: number) {
    this.what = what
    this.max = max
  }

  get count(): number {
    return this.numbers.size
  }

  of(name: string, place: Piece): number {
    const known = this.numbers.get(name)
    if (known !== undefined) return known
    if (this.numbers.size >= this.max) refuse('limit', `more than ${this.max} ${this.what}`, place)
    this.numbers.set(name, this.numbers.size)
    return this.numbers.size - 1
  }
}

const GROUP_INDEX_MAX = 0xffff

export class Encoder {
  readonly sections: Sections = newSections()
  readonly bytes = new Pool(this.sections.BYTES)
  readonly words = new Pool(this.sections.WORDS)
  readonly sets = new Pool(this.sections.BYTE_SETS)
  readonly flowbits = new Numbering('flowbits', FLOWBITS_MAX)
  readonly eventBits = new Numbering('flowbits of processes', EVENT_BITS_MAX)
  readonly xbits = new Numbering('xbits', XBITS_MAX)
  readonly flowints = new Numbering('flowints', FLOWINTS_MAX)
  private readonly addressGroups = new Map<string, number>()
  private readonly portGroups = new Map<string, number>()

  constructor() {
    // Group 0 of each is "any".
    this.sections.ADDRESS_GROUPS.u32(0, 0, 0, 0)
    this.sections.PORT_GROUPS.u32(0, 0)
  }

  text(text: string): { offset: number; length: number } {
    const bytes = Buffer.from(text, 'latin1').subarray(0, 0xffff)
    return { offset: this.bytes.add(bytes), length: bytes.length }
  }

  addresses(group: AddressGroup, place: Piece): number {
    if (group === undefined) return 0
    const key = `${group.v4.map((r) => `${r.low}-${r.high}`).join()};${group.v6.map((r) => `${r.low}-${r.high}`).join()}`
    const known = this.addressGroups.get(key)
    if (known !== undefined) return known
    const { ADDRESSES4, ADDRESSES6, ADDRESS_GROUPS } = this.sections
    const index = ADDRESS_GROUPS.count
    if (index > GROUP_INDEX_MAX) refuse('limit', 'more than 65,535 groups of addresses', place)
    ADDRESS_GROUPS.u32(ADDRESSES4.count, group.v4.length, ADDRESSES6.count, group.v6.length)
    for (const { low, high } of group.v4) ADDRESSES4.u32(Number(low), Number(high))
    for (const { low, high } of group.v6) ADDRESSES6.raw(ipv6Bytes(low)).raw(ipv6Bytes(high))
    this.addressGroups.set(key, index)
    return index
  }

  ports(group: PortGroup, place: Piece): number {
    if (group === undefined) return 0
    const key = group.map(({ low, high }) => `${low}-${high}`).join()
    const known = this.portGroups.get(key)
    if (known !== undefined) return known
    const { PORTS, PORT_GROUPS } = this.sections
    const index = PORT_GROUPS.count
    if (index > GROUP_INDEX_MAX) refuse('limit', 'more than 65,535 groups of ports', place)
    PORT_GROUPS.u32(PORTS.count, group.length)
    for (const { low, high } of group) PORTS.u16(low, high)
    this.portGroups.set(key, index)
    return index
  }
}

function ipv6Bytes(address: bigint): Buffer {
  return Buffer.from(address.toString(16).padStart(32, '0'), 'hex')
}
