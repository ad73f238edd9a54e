/**
 * DNS messages, from bytes that anybody may have sent, and back. Pure.
 *
 * What goes to a guest is never what came from upstream: it is written anew, from the records that the question leads
 * to by CNAMEs, of types that we know, with addresses that may be reached. So there is nothing that could be smuggled
 * along, and no byte of an answer that was not understood.
 */
import {
  decode,
  encode,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
  type Answer,
  type DecodedPacket
} from 'dns-packet'
import { isForbidden } from '../forbidden.ts'
import type { Ipv4Range } from '../ipv4.ts'
import { hostName } from './names.ts'

export interface Question {
  id: number
  /** Lower case, no dot at the end. */
  name: string
  /** As it was asked; some clients compare. */
  nameAsAsked: string
  type: string
  /** Bytes of an answer that the client can take. */
  sizeMax: number
}

export type Rcode = 'NOERROR' | 'SERVFAIL' | 'NXDOMAIN' | 'REFUSED'

/** RFC 1035 section 4.2.1, and the size that passes everywhere (DNS flag day 2020). */
const SIZE_MIN = 512
const SIZE_MAX = 1232
/** Of a stream, whose messages have a length of 16 bits. */
export const STREAM_BYTES_MAX = 65_535
export const QUESTION_BYTES_MAX = SIZE_MIN
const DATAGRAM_BYTES_MAX = 4096
const HEADER_BYTES = 12
/** More than any chain that works has. */
const CNAMES_MAX = 8
const ANSWERS_MAX = 64
/** Seconds that an answer holds: longer, and what a name meant once would stay open. */
const TTL_MAX = 300

/** Types that hold no address but A's, and that dns-packet reads and writes. */
const KNOWN_TYPES: ReadonlySet<string> = new Set([
  'A',
  'CNAME',
  'MX',
  'TXT',
  'NS',
  'SOA',
  'SRV',
  'PTR',
  'CAA'
])
const RCODES: Record<Rcode, number> = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 }

/** Undefined for everything that is no ordinary question: it gets no answer, so that nobody can be hit by one. */
export function readQuestion(bytes: Uint8Array): Question | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > QUESTION_BYTES_MAX) return undefined
  const packet = readPacket(bytes)
  const [question] = packet?.questions ?? []
  if (packet?.type !== 'query' || opcodeOf(packet) !== 0 || packet.questions?.length !== 1) return undefined
  if (question?.class !== 'IN' || (packet.answers?.length ?? 0) > 0) return undefined
  const name = hostName(question.name)
  if (name === undefined) return undefined
  const sizeMax = Math.min(SIZE_MAX, Math.max(SIZE_MIN, ednsSize(packet) ?? SIZE_MIN))
  return { id: packet.id ?? 0, name, nameAsAsked: question.name, type: question.type, sizeMax }
}

/** What upstream is asked. */
export function writeQuestion(id: number, { name, type }: Pick<Question, 'name' | 'type'>): Uint8Array {
  return encode({
    type: 'query',
    id,
    flags: RECURSION_DESIRED,
    questions: [{ name, type: type as 'A', class: 'IN' }],
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: SIZE_MAX,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: []
      }
    ]
  })
}

export interface Findings {
  rcode: Rcode
  /** In order: aliases, then what they lead to. */
  records: Answer[]
  /** Addresses that were left out. */
  forbidden: string[]
  /** There is more than fitted into the datagram. */
  isCut: boolean
}

/** Undefined when it is no answer to this question: the real one may still come. */
export function readAnswer(
  bytes: Uint8Array,
  id: number,
  { name, type }: Pick<Question, 'name' | 'type'>,
  forbidden: readonly Ipv4Range[],
  bytesMax = DATAGRAM_BYTES_MAX
): Findings | undefined {
  const packet = bytes.length <= bytesMax ? readPacket(bytes) : undefined
  const [asked] = packet?.questions ?? []
  if (packet?.type !== 'response' || packet.id !== id || packet.questions?.length !== 1) return undefined
  if (asked === undefined || hostName(asked.name) !== name || asked.type !== type) return undefined
  const code = rcodeOf(packet)
  if (code !== 'NOERROR') return { rcode: code, records: [], forbidden: [], isCut: false }
  const found = follow(name, type, packet.answers ?? [])
  const isOpen = (record: Answer): boolean => record.type !== 'A' || !isForbidden(record.data, forbidden)
  return {
    rcode: 'NOERROR',
    records: found.filter(isOpen),
    forbidden: found.flatMap((record) => (record.type === 'A' && !isOpen(record) ? [record.data] : [])),
    isCut: ((packet.flags ?? 0) & TRUNCATED_RESPONSE) !== 0
  }
}

/** The records that a name leads to; what else is in the answer is nobody's business. */
function follow(name: string, type: string, answers: readonly Answer[]): Answer[] {
  const chain: Answer[] = []
  let at = name
  for (let i = 0; i < CNAMES_MAX; i++) {
    const alias = answers.find((record) => record.type === 'CNAME' && isOf(record, at))
    if (alias?.type !== 'CNAME' || type === 'CNAME') break
    const target = hostName(alias.data)
    // A name that leads to itself leads nowhere.
    if (target === undefined || target === name || chain.some((link) => link.name === target)) return []
    chain.push({ type: 'CNAME', name: at, ttl: ttlOf(alias), class: 'IN', data: target })
    at = target
  }
  const wanted = answers.filter((record) => record.type === type && KNOWN_TYPES.has(type) && isOf(record, at))
  const end = wanted
    .slice(0, ANSWERS_MAX)
    .map((record) => ({ ...record, name: at, ttl: ttlOf(record) }) as Answer)
  return [...chain, ...end]
}

function isOf(record: Answer, name: string): boolean {
  return 'class' in record && record.class === 'IN' && hostName(record.name) === name
}

function ttlOf(record: Answer): number {
  const ttl = 'ttl' in record ? Number(record.ttl) : 0
  return Number.isFinite(ttl) ? Math.min(TTL_MAX, Math.max(0, ttl)) : 0
}

/**
 * An answer that fits. Addresses that do not fit are left out, any of them will do; of other records it is said that
 * there are more.
 */
export function writeAnswer(question: Question, rcode: Rcode, records: readonly Answer[]): Uint8Array {
  for (let count = records.length; ; count--) {
    const isCut = count < records.length && question.type !== 'A'
    const bytes = encode({
      type: 'response',
      id: question.id,
      flags: RECURSION_DESIRED | RECURSION_AVAILABLE | (isCut ? TRUNCATED_RESPONSE : 0) | RCODES[rcode],
      questions: [{ name: question.nameAsAsked, type: question.type as 'A', class: 'IN' }],
      answers: records.slice(0, count)
    })
    if (bytes.length <= question.sizeMax || count === 0) return bytes
  }
}

function readPacket(bytes: Uint8Array): DecodedPacket | undefined {
  try {
    return decode(Buffer.from(bytes))
  } catch {
    return undefined
  }
}

function ednsSize({ additionals = [] }: DecodedPacket): number | undefined {
  const option = additionals.find(({ type }) => type === 'OPT')
  return option?.type === 'OPT' ? option.udpPayloadSize : undefined
}

/** RFC 1035 section 4.1.1 */
function opcodeOf({ flags = 0 }: DecodedPacket): number {
  return (flags >> 11) & 0xf
}

function rcodeOf({ flags = 0 }: DecodedPacket): Rcode {
  const code = flags & 0xf
  if (code === RCODES.NOERROR) return 'NOERROR'
  return code === RCODES.NXDOMAIN ? 'NXDOMAIN' : 'SERVFAIL'
}
