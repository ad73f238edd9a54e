/**
 * Records as they lie in an opened frame: the reader's twin of `soda-host/kernort/include/kernort_record.h`, which a
 * test compares with it. Pure.
 *
 * @see docs/formats/sealed-log.md section 5
 */

export const RECORD_HEADER_BYTES = 56
export const RECORD_BYTES_MAX = 32768
/** Flag of a record whose tails were too long and were cut. */
export const RECORD_CUT = 1

/** Name, offset and size in bytes of every field of the header. */
export const RECORD_FIELDS = [
  ['size', 0, 4],
  ['kind', 4, 2],
  ['flags', 6, 2],
  ['number', 8, 8],
  ['monotonic_ns', 16, 8],
  ['realtime_ns', 24, 8],
  ['pid', 32, 4],
  ['uid', 36, 4],
  ['comm', 40, 16]
] as const

export const FIELD_BYTES = {
  u16: 2,
  u32: 4,
  u64: 8,
  s64: 8,
  kernort_bytes16: 16,
  kernort_bytes32: 32
} as const
export type FieldType = keyof typeof FIELD_BYTES

export interface KindLayout {
  name: string
  number: number
  /** Of the fields together. */
  size: number
  fields: readonly (readonly [name: string, type: FieldType, offset: number])[]
  /** Byte strings behind the fields, each behind its length. */
  tails: readonly string[]
}

export const KIND_LAYOUTS = [
  {
    name: 'boot',
    number: 1,
    size: 8,
    fields: [
      ['abi', 'u32', 0],
      ['boot_number', 'u32', 4]
    ],
    tails: ['kernel', 'command_line']
  },
  {
    name: 'shutdown',
    number: 2,
    size: 8,
    fields: [
      ['reason', 'u32', 0],
      ['reserved', 'u32', 4]
    ],
    tails: []
  },
  { name: 'clock', number: 3, size: 8, fields: [['step_ns', 's64', 0]], tails: [] },
  {
    name: 'shed',
    number: 4,
    size: 24,
    fields: [
      ['class', 'u32', 0],
      ['reserved', 'u32', 4],
      ['records', 'u64', 8],
      ['bytes', 'u64', 16]
    ],
    tails: []
  },
  {
    name: 'exec',
    number: 16,
    size: 48,
    fields: [
      ['parent', 'u32', 0],
      ['arguments_count', 'u32', 4],
      ['euid', 'u32', 8],
      ['is_setuid', 'u32', 12],
      ['environment_sha256', 'kernort_bytes32', 16]
    ],
    tails: ['path', 'arguments', 'ancestry']
  },
  {
    name: 'fork',
    number: 17,
    size: 16,
    fields: [
      ['parent', 'u32', 0],
      ['child', 'u32', 4],
      ['clone_flags', 'u64', 8]
    ],
    tails: []
  },
  {
    name: 'exit',
    number: 18,
    size: 8,
    fields: [
      ['parent', 'u32', 0],
      ['status', 'u32', 4]
    ],
    tails: []
  },
  {
    name: 'cred',
    number: 19,
    size: 40,
    fields: [
      ['uid_before', 'u32', 0],
      ['uid_after', 'u32', 4],
      ['euid_before', 'u32', 8],
      ['euid_after', 'u32', 12],
      ['gid_before', 'u32', 16],
      ['gid_after', 'u32', 20],
      ['capabilities_before', 'u64', 24],
      ['capabilities_after', 'u64', 32]
    ],
    tails: []
  },
  {
    name: 'socket',
    number: 20,
    size: 24,
    fields: [
      ['operation', 'u16', 0],
      ['family', 'u16', 2],
      ['type', 'u16', 4],
      ['port', 'u16', 6],
      ['address', 'kernort_bytes16', 8]
    ],
    tails: []
  },
  {
    name: 'file',
    number: 21,
    size: 16,
    fields: [
      ['operation', 'u32', 0],
      ['mode', 'u32', 4],
      ['inode', 'u64', 8]
    ],
    tails: ['path']
  },
  {
    name: 'mount',
    number: 22,
    size: 16,
    fields: [
      ['operation', 'u32', 0],
      ['reserved', 'u32', 4],
      ['flags', 'u64', 8]
    ],
    tails: ['source', 'target', 'type']
  },
  {
    name: 'ptrace',
    number: 23,
    size: 16,
    fields: [
      ['target', 'u32', 0],
      ['target_uid', 'u32', 4],
      ['mode', 'u32', 8],
      ['reserved', 'u32', 12]
    ],
    tails: []
  },
  {
    name: 'signal',
    number: 24,
    size: 16,
    fields: [
      ['target', 'u32', 0],
      ['target_uid', 'u32', 4],
      ['signal', 'u32', 8],
      ['reserved', 'u32', 12]
    ],
    tails: []
  },
  {
    name: 'local',
    number: 25,
    size: 8,
    fields: [
      ['operation', 'u16', 0],
      ['type', 'u16', 2],
      ['reserved', 'u32', 4]
    ],
    tails: ['path']
  },
  {
    name: 'namespace',
    number: 26,
    size: 16,
    fields: [
      ['operation', 'u32', 0],
      ['reserved', 'u32', 4],
      ['flags', 'u64', 8]
    ],
    tails: []
  },
  {
    name: 'tty',
    number: 32,
    size: 16,
    fields: [
      ['device', 'u32', 0],
      ['session', 'u32', 4],
      ['direction', 'u16', 8],
      ['columns', 'u16', 10],
      ['rows', 'u16', 12],
      ['reserved', 'u16', 14]
    ],
    tails: ['data']
  },
  {
    name: 'klog',
    number: 33,
    size: 8,
    fields: [
      ['level', 'u32', 0],
      ['facility', 'u32', 4]
    ],
    tails: ['text']
  },
  {
    name: 'syslog',
    number: 34,
    size: 8,
    fields: [
      ['priority', 'u32', 0],
      ['reserved', 'u32', 4]
    ],
    tails: ['text']
  },
  {
    name: 'snapshot',
    number: 35,
    size: 16,
    fields: [
      ['topic', 'u32', 0],
      ['part', 'u32', 4],
      ['parts', 'u32', 8],
      ['cause', 'u32', 12]
    ],
    tails: ['text']
  },
  {
    name: 'alert',
    number: 48,
    size: 16,
    fields: [
      ['gid', 'u32', 0],
      ['sid', 'u32', 4],
      ['revision', 'u32', 8],
      ['severity', 'u32', 12]
    ],
    tails: ['message', 'evidence']
  }
] as const satisfies readonly KindLayout[]

export type RecordKind = (typeof KIND_LAYOUTS)[number]['name']
