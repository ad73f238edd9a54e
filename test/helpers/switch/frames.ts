/** Frames as bytes, for those who send what no honest stack would. */

export interface Ends {
  fromMac: string
  toMac: string
  from: string
  to: string
}

export const BROADCAST_MAC = 'ff:ff:ff:ff:ff:ff'

const mac = (text: string): Buffer => Buffer.from(text.replaceAll(':', ''), 'hex')
const ipv4 = (text: string): Buffer => Buffer.from(text.split('.').map(Number))
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])

export function ethernet(toMac: string, fromMac: string, type: number, payload: Buffer): Buffer {
  const frame = Buffer.concat([mac(toMac), mac(fromMac), u16(type), payload])
  return Buffer.concat([frame, Buffer.alloc(Math.max(0, 60 - frame.length))])
}

/** As `ethernet`, with 802.1Q (0x8100) or QinQ (0x88a8) tags before the type. */
export function tagged(frame: Buffer, ...tags: { type: number; vlan: number }[]): Buffer {
  const words = tags.flatMap(({ type, vlan }) => [u16(type), u16(vlan)])
  return Buffer.concat([frame.subarray(0, 12), ...words, frame.subarray(12)])
}

function checksum(bytes: Buffer): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt8(at) * 256 + (bytes[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16)
  return ~sum & 0xffff
}

export interface PacketOptions {
  /** In bytes. */
  fragmentOffset?: number
  moreFragments?: boolean
  id?: number
}

export function packet(ends: Ends, protocol: number, payload: Buffer, options: PacketOptions = {}): Buffer {
  const { fragmentOffset = 0, moreFragments = false, id = 1 } = options
  const header = Buffer.concat([
    Buffer.from([0x45, 0]),
    u16(20 + payload.length),
    u16(id),
    u16((moreFragments ? 0x2000 : 0) | (fragmentOffset / 8)),
    Buffer.from([64, protocol, 0, 0]),
    ipv4(ends.from),
    ipv4(ends.to)
  ])
  header.writeUInt16BE(checksum(header), 10)
  return ethernet(ends.toMac, ends.fromMac, 0x0800, Buffer.concat([header, payload]))
}

/** Without a checksum, as UDP allows. */
export function datagram(fromPort: number, toPort: number, text: string): Buffer {
  return Buffer.concat([u16(fromPort), u16(toPort), u16(8 + text.length), u16(0), Buffer.from(text)])
}

export function udp(ends: Ends, fromPort: number, toPort: number, text: string): Buffer {
  return packet(ends, 17, datagram(fromPort, toPort, text))
}

/** A segment with flags (2: SYN, 16: ACK) and no data. */
export function tcp(ends: Ends, fromPort: number, toPort: number, flags: number): Buffer {
  const segment = Buffer.concat([
    u16(fromPort),
    u16(toPort),
    Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags]),
    u16(1024),
    u16(0),
    u16(0)
  ])
  const pseudo = Buffer.concat([ipv4(ends.from), ipv4(ends.to), u16(6), u16(segment.length)])
  segment.writeUInt16BE(checksum(Buffer.concat([pseudo, segment])), 16)
  return packet(ends, 6, segment)
}

/** Operation 1: who has `to`? 2: `from` is at `senderMac`. */
export function arp(ends: Ends, operation: 1 | 2, senderMac = ends.fromMac): Buffer {
  const payload = Buffer.concat([
    Buffer.from([0, 1, 8, 0, 6, 4, 0, operation]),
    mac(senderMac),
    ipv4(ends.from),
    operation === 1 ? Buffer.alloc(6) : mac(ends.toMac),
    ipv4(ends.to)
  ])
  return ethernet(ends.toMac, ends.fromMac, 0x0806, payload)
}

/** An IPv6 router advertisement to all nodes. */
export function routerAdvertisement(fromMac: string): Buffer {
  const source = Buffer.from('fe800000000000000000000000000001', 'hex')
  const all = Buffer.from('ff020000000000000000000000000001', 'hex')
  const icmp = Buffer.from('86000000400007080000000000000000', 'hex')
  const pseudo = Buffer.concat([source, all, Buffer.from([0, 0, 0, icmp.length, 0, 0, 0, 58])])
  icmp.writeUInt16BE(checksum(Buffer.concat([pseudo, icmp])), 2)
  const header = Buffer.concat([Buffer.from([0x60, 0, 0, 0, 0, icmp.length, 58, 255]), source, all])
  return ethernet('33:33:00:00:00:01', fromMac, 0x86dd, Buffer.concat([header, icmp]))
}
