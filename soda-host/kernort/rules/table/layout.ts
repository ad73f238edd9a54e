/**
 * The layout of the table: `include/kernort_ruleset.h`, said again. A test compares the two.
 *
 * Names stand in the order of the header's enums; the index is the code.
 */

import { RULESET_BYTES_MAX } from '../../../../src/constants.ts'

export const MAGIC = 0x53454c5552544e4bn
export const VERSION = 4
export const ALIGN = 16
export const SIZE_MAX = RULESET_BYTES_MAX
export const NONE = 0xffff_ffff
export const HEADER_BYTES = 64
export const SECTION_BYTES = 16
export const DIGEST_OFFSET = 16
export const DIGEST_BYTES = 32
export const BLOCKS_MAX = 32
export const FLOWBITS_MAX = 8192
export const XBITS_MAX = 1024
export const FLOWINTS_MAX = 256
export const PATTERN_BYTES_MAX = 32
export const GRAM_HASH = 0x9e37_79b1
export const GRAM_FOLD = 0x20
export const MARK_SHIFT = 12
export const MARK_BIT_SHIFT = 9
export const MARK_LOTS = 3
export const MARK_FIRST = 0x01
export const MARK_ALONE = 0x08
export const MARK_SECOND = 0x10

/** Sections and the bytes of one entry. */
export const SECTIONS = {
  BYTES: 1,
  WORDS: 4,
  ADDRESSES4: 8,
  ADDRESSES6: 32,
  ADDRESS_GROUPS: 16,
  PORTS: 4,
  PORT_GROUPS: 8,
  CLASSES: 16,
  RULES: 64,
  BLOCKS: 12,
  OPTIONS: 32,
  BYTE_SETS: 32,
  REGEXES: 24,
  REGEX_CODE: 4,
  PATTERNS: 16,
  GRAMS: 16,
  HEADS: 4,
  MARKS: 1,
  SCANNERS: 64,
  GROUPS: 20,
  ADDRESS_INDEX: 20,
  SUPPRESSIONS: 12,
  EVENT_RULES: 64
} as const

export type SectionName = keyof typeof SECTIONS
export const SECTION_NAMES = Object.keys(SECTIONS) as readonly SectionName[]

/** A word of a list, by its place in it. */
function codes<const T extends readonly string[]>(names: T): Readonly<Record<T[number], number>> {
  return Object.fromEntries(names.map((name, index) => [name, index])) as Record<T[number], number>
}

export const OPTION_NAMES = [
  'CONTENT',
  'REGEX',
  'BYTE_TEST',
  'BYTE_JUMP',
  'BYTE_EXTRACT',
  'BYTE_MATH',
  'IS_DATA_AT',
  'BUFFER_SIZE',
  'BASE64_DECODE',
  'ASN1',
  'FTP_BOUNCE',
  'PAYLOAD_SIZE',
  'TCP_FLAGS',
  'TCP_SEQ',
  'TCP_ACK',
  'TCP_WINDOW',
  'TCP_MSS',
  'IP_TTL',
  'IP_ID',
  'IP_TOS',
  'IP_PROTO',
  'IP_OPTS',
  'FRAG_BITS',
  'FRAG_OFFSET',
  'SAME_IP',
  'ICMP_TYPE',
  'ICMP_CODE',
  'ICMP_ID',
  'ICMP_SEQ',
  'STREAM_SIZE',
  'FLOWBITS_TEST',
  'XBITS_TEST',
  'FLOWINT_TEST',
  'RPC',
  'TLS_VERSION',
  'SSL_STATE',
  'DCE_INTERFACE',
  'DCE_OPNUM',
  'DETECTION_FILTER',
  'FLOWBITS_SET',
  'XBITS_SET',
  'FLOWINT_SET',
  'TAG',
  'THRESHOLD'
] as const
export type OptionName = (typeof OPTION_NAMES)[number]
export const OPTION = codes(OPTION_NAMES)

export const COMPARE = codes(['=', '!=', '<', '<=', '>', '>=', 'between', 'outside', '&', '^'] as const)
export const ACTION = codes(['alert', 'log', 'pass', 'drop', 'reject'] as const)
export const APP = codes([
  'any',
  'http',
  'dns',
  'tls',
  'smtp',
  'ftp',
  'ftp-data',
  'smb',
  'ssh',
  'dcerpc',
  'sip'
] as const)
export const TRANSFORM = codes([
  'none',
  'dotprefix',
  'to_lowercase',
  'to_uppercase',
  'strip_whitespace',
  'compress_whitespace',
  'url_decode'
] as const)
export const TRACK = codes(['by_src', 'by_dst', 'by_rule', 'by_both', 'by_flow'] as const)
export const SIDE = codes(['ANY', 'DESTINATION', 'SOURCE'] as const)

export const BUFFER_HEADER = 0
export const BUFFER_ACTION = 1
export const GROUP_IP_ONLY = 0xfe

export const IP = { tcp: 0x01, udp: 0x02, icmp: 0x04, icmp6: 0x08, other: 0x10 } as const

export const RULE_FLAG = {
  BIDIRECTIONAL: 0x01,
  NOALERT: 0x02,
  ON_PACKET: 0x04,
  ON_STREAM: 0x08,
  TRANSACTION: 0x10,
  IP_ONLY: 0x20,
  PREFILTERED: 0x40
} as const

export const FLOW = {
  to_server: 0x01,
  to_client: 0x02,
  established: 0x04,
  not_established: 0x08,
  stateless: 0x10,
  only_stream: 0x20,
  no_stream: 0x40,
  only_frag: 0x80,
  no_frag: 0x100
} as const

export const OPTION_FLAG = {
  NEGATED: 0x0001,
  RELATIVE: 0x0002,
  RETRY: 0x8000,
  CONTENT_NOCASE: 0x0004,
  CONTENT_OFFSET_IS_VARIABLE: 0x0008,
  CONTENT_DEPTH_IS_VARIABLE: 0x0010,
  CONTENT_HAS_DEPTH: 0x0020,
  CONTENT_ENDS_WITH: 0x0040,
  CONTENT_FAST: 0x0080,
  BYTES_LITTLE: 0x0004,
  BYTES_STRING: 0x0008,
  BYTES_DCE: 0x0010,
  BYTES_ALIGN: 0x0020,
  BYTES_FROM_BEGINNING: 0x0040,
  BYTES_FROM_END: 0x0080,
  BYTES_VALUE_IS_VARIABLE: 0x0100,
  BYTES_OFFSET_IS_VARIABLE: 0x0200,
  BYTES_COUNT_IS_VARIABLE: 0x0400,
  DATA_AT_IS_VARIABLE: 0x0004
} as const

export const REGEX_FLAG = { LINEAR: 0x01, ANCHORED: 0x02, HAS_FIRST: 0x04 } as const
