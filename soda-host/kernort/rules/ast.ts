/**
 * What a rule says, after Snort's and Suricata's ways of writing it have become one.
 *
 * Options are grouped by the buffer that they look at (`blocks`), in the order written; content modifiers such as
 * `http_uri` and sticky buffers such as `http.uri` give the same tree. Numbers are as the rule means them:
 * exclusive ranges have become inclusive, `startswith` has become a depth.
 */
import type { AppProtocol } from './buffer-row.ts'
import type { BufferName } from './buffers.ts'
import type { EventBufferName } from './events/buffers.ts'
import type { EventKind, EventNumber } from './events/kinds.ts'
import type { GroupSpec } from './group-list.ts'
import type { Range } from './ranges.ts'

export type { AppProtocol }

export type Action = 'alert' | 'log' | 'pass' | 'drop' | 'reject'
export type IpProtocol = 'tcp' | 'udp' | 'icmp' | 'icmp6' | 'other'

/** As written, variables unresolved. */
export interface AddressRange extends Range<bigint> {
  readonly version: 4 | 6
}

export type AddressSpec = GroupSpec<AddressRange>
export type PortSpec = GroupSpec<Range<number>>

export interface RuleHeader {
  readonly action: Action
  /** The word that was written: `tcp`, `http`, `tcp-pkt` … */
  readonly protocol: string
  readonly source: AddressSpec
  readonly sourcePorts: PortSpec
  readonly destination: AddressSpec
  readonly destinationPorts: PortSpec
  readonly isBidirectional: boolean
}

export type Compare = '=' | '!=' | '<' | '<=' | '>' | '>=' | 'between' | 'outside' | '&' | '^'
/** `high` is used by `between` and `outside`, which are inclusive. */
export interface NumberTest {
  readonly compare: Compare
  readonly low: number
  readonly high: number
}
/** A number, or the name of a byte_extract / byte_math result. */
export type Operand = number | string

export interface Content {
  readonly kind: 'content'
  readonly pattern: Uint8Array
  negated: boolean
  nocase: boolean
  /** Counted from the cursor. */
  relative: boolean
  /** `offset` or `distance`. */
  offset: Operand
  /** `depth` or `within`. */
  depth: Operand | undefined
  endsWith: boolean
  /** Written `fast_pattern`. */
  fast: boolean
}

export interface RegexOption {
  readonly kind: 'regex'
  /** Between the slashes. */
  readonly source: string
  /** Of `imsxAEG`, in that order. */
  readonly flags: string
  readonly negated: boolean
  readonly relative: boolean
}

export interface ByteFormat {
  /** Bytes or digits; a name is a variable. */
  readonly count: Operand
  readonly offset: Operand
  readonly relative: boolean
  readonly order: 'big' | 'little' | 'dce'
  /** Text in this base; undefined: binary. */
  readonly base: 8 | 10 | 16 | undefined
  readonly bitmask: number
}

export interface ByteTest extends ByteFormat {
  readonly kind: 'byte_test'
  readonly negated: boolean
  readonly compare: Compare
  readonly value: bigint | string
}

export interface ByteJump extends ByteFormat {
  readonly kind: 'byte_jump'
  readonly multiplier: number
  readonly align: boolean
  readonly from: 'here' | 'beginning' | 'end'
  readonly postOffset: number
}

export interface ByteExtract extends ByteFormat {
  readonly kind: 'byte_extract'
  readonly variable: string
  readonly multiplier: number
  readonly align: 0 | 2 | 4
}

export interface ByteMath extends ByteFormat {
  readonly kind: 'byte_math'
  readonly operator: '+' | '-' | '*' | '/' | '<<' | '>>'
  readonly right: Operand
  readonly variable: string
}

export interface IsDataAt {
  readonly kind: 'isdataat'
  readonly negated: boolean
  readonly relative: boolean
  readonly at: Operand
}

export interface BufferSize {
  readonly kind: 'buffer_size'
  readonly test: NumberTest
}

export interface Base64Decode {
  readonly kind: 'base64_decode'
  /** 0: all that is there. */
  readonly bytes: number
  readonly offset: number
  readonly relative: boolean
}

export interface Asn1 {
  readonly kind: 'asn1'
  readonly bitstringOverflow: boolean
  readonly doubleOverflow: boolean
  readonly oversizeLength: number | undefined
  readonly absoluteOffset: number | undefined
  readonly relativeOffset: number | undefined
}

export interface FtpBounce {
  readonly kind: 'ftpbounce'
}

export type BufferOption =
  | Content
  | RegexOption
  | ByteTest
  | ByteJump
  | ByteExtract
  | ByteMath
  | IsDataAt
  | BufferSize
  | Base64Decode
  | Asn1
  | FtpBounce

export type Transform =
  'dotprefix' | 'to_lowercase' | 'to_uppercase' | 'strip_whitespace' | 'compress_whitespace' | 'url_decode'

export interface Block {
  readonly buffer: BufferName
  readonly transforms: readonly Transform[]
  readonly options: BufferOption[]
}

/** Fields of a packet that are compared with a number. */
export type PacketField =
  | 'dsize'
  | 'ttl'
  | 'ip_proto'
  | 'fragoffset'
  | 'itype'
  | 'icode'
  | 'tcp.mss'
  | 'seq'
  | 'ack'
  | 'window'
  | 'id'
  | 'icmp_id'
  | 'icmp_seq'
  | 'tos'

export type Track = 'by_src' | 'by_dst' | 'by_rule' | 'by_both' | 'by_flow'
export type BitMode = 'exact' | 'all' | 'any' | 'not'

export type PacketOption =
  | { readonly kind: 'field'; readonly field: PacketField; readonly test: NumberTest }
  | { readonly kind: 'flags'; readonly mode: BitMode; readonly flags: number; readonly ignored: number }
  | { readonly kind: 'fragbits'; readonly mode: BitMode; readonly bits: number }
  | { readonly kind: 'ipopts'; readonly option: string }
  | { readonly kind: 'sameip' }
  | {
      readonly kind: 'stream_size'
      readonly side: 'server' | 'client' | 'both' | 'either'
      readonly test: NumberTest
    }
  | { readonly kind: 'flowbits'; readonly isSet: boolean; readonly names: readonly string[] }
  | { readonly kind: 'xbits'; readonly isSet: boolean; readonly name: string; readonly track: Track }
  | {
      readonly kind: 'flowint'
      readonly name: string
      readonly compare: Compare | 'isset' | 'isnotset'
      readonly value: number
    }
  | {
      readonly kind: 'rpc'
      readonly program: number
      readonly version: number | undefined
      readonly procedure: number | undefined
    }
  | { readonly kind: 'tls_version'; readonly versions: number; readonly negated: boolean }
  | { readonly kind: 'ssl_state'; readonly states: number; readonly negated: boolean }
  | {
      readonly kind: 'dce_iface'
      readonly uuid: string
      readonly version: NumberTest | undefined
      readonly isAnyFragment: boolean
    }
  | { readonly kind: 'dce_opnum'; readonly ranges: readonly (readonly [number, number])[] }

export type Effect =
  | {
      readonly kind: 'flowbits'
      readonly change: 'set' | 'unset' | 'toggle'
      readonly names: readonly string[]
    }
  | {
      readonly kind: 'xbits'
      readonly change: 'set' | 'unset' | 'toggle'
      readonly name: string
      readonly track: Track
      readonly expireSeconds: number
    }
  | {
      readonly kind: 'flowint'
      readonly name: string
      readonly change: '=' | '+' | '-'
      readonly value: number
    }
  | {
      readonly kind: 'tag'
      readonly what: 'session' | 'host'
      readonly count: number
      readonly metric: 'packets' | 'seconds' | 'bytes'
      readonly side: 'src' | 'dst'
    }

export interface Threshold {
  readonly type: 'limit' | 'threshold' | 'both'
  readonly track: Track
  readonly count: number
  readonly seconds: number
}

export interface DetectionFilter {
  readonly track: Track
  readonly count: number
  readonly seconds: number
}

export interface Flow {
  direction: 'to_server' | 'to_client' | undefined
  state: 'established' | 'not_established' | 'stateless' | undefined
  stream: 'only_stream' | 'no_stream' | undefined
  fragments: 'only_frag' | 'no_frag' | undefined
}

/** A number of an event, compared. */
export interface EventTest {
  readonly number: EventNumber
  readonly test: NumberTest
  readonly negated: boolean
}

/** Matches only texts that this rule has not seen since the boot, and none in the first seconds. */
export interface FirstTime {
  readonly buffer: EventBufferName
  readonly learnSeconds: number
}

/** What a rule on events says besides what all rules say. `kinds` is empty only while the rule is being read. */
export interface EventPart {
  kinds: readonly EventKind[]
  readonly tests: EventTest[]
  firstTime: FirstTime | undefined
}

export interface Rule {
  readonly header: RuleHeader
  readonly gid: number
  readonly sid: number
  readonly rev: number
  readonly message: string
  readonly classtype: string | undefined
  /** Undefined: that of the class. */
  readonly priority: number | undefined
  readonly references: readonly string[]
  readonly metadata: readonly string[]
  readonly isNoAlert: boolean
  readonly app: AppProtocol | undefined
  /** Undefined: a rule on packets. */
  readonly event: EventPart | undefined
  readonly flow: Flow
  readonly packet: readonly PacketOption[]
  readonly blocks: readonly Block[]
  readonly effects: readonly Effect[]
  readonly threshold: Threshold | undefined
  readonly detectionFilter: DetectionFilter | undefined
  /** Every keyword of the rule, for the coverage report. */
  readonly keywords: readonly string[]
}
