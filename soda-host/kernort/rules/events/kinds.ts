/** What programs do, as rules see it: the kinds of events, and what each can tell. */
import type { EventBufferName } from './buffers.ts'

/** In the order of `enum kernort_event_kind`; the index is the bit. */
export const EVENT_KINDS = [
  'exec',
  'cred',
  'connect',
  'bind',
  'listen',
  'accept',
  'read',
  'write',
  'remove',
  'rename',
  'link',
  'chmod',
  'truncate',
  'mount',
  'umount',
  'remount',
  'move',
  'pivot',
  'ptrace',
  'signal',
  'unshare',
  'setns',
  'typed',
  'shown'
] as const
export type EventKind = (typeof EVENT_KINDS)[number]

/** In the order of `enum kernort_event_number`. */
export const EVENT_NUMBERS = [
  'uid',
  'euid',
  'exec.setuid',
  'stdio',
  'parent.stdio',
  'cred.uid_before',
  'cred.uid_after',
  'cred.euid_before',
  'cred.euid_after',
  'cred.saved_uid',
  'socket.type',
  'target.pid',
  'target.uid',
  'signal.number'
] as const
export type EventNumber = (typeof EVENT_NUMBERS)[number]

interface KindRow {
  readonly numbers: readonly EventNumber[]
  readonly texts: readonly EventBufferName[]
  /** The kernel asks before it acts, so that a rule can forbid it. */
  readonly isDeniable: boolean
  /** Which side of the rule's header the event's address is. */
  readonly address?: 'source' | 'destination'
}

/** Of every system call. */
const OF_PROCESS = {
  numbers: ['uid', 'euid'],
  texts: ['process_name', 'process_path', 'parent_name']
} as const satisfies Partial<KindRow>

function call(row: Omit<KindRow, 'isDeniable'>, isDeniable = true): KindRow {
  const numbers = [...OF_PROCESS.numbers, ...row.numbers]
  return { ...row, numbers, texts: [...OF_PROCESS.texts, ...row.texts], isDeniable }
}

const CREDENTIALS: readonly EventNumber[] = [
  'cred.uid_before',
  'cred.uid_after',
  'cred.euid_before',
  'cred.euid_after',
  'cred.saved_uid'
]
const socket = { numbers: ['socket.type'], texts: ['socket_path'] } as const
const file = call({ numbers: [], texts: ['file_path'] })
const mount = call({ numbers: [], texts: ['mount_source', 'mount_target', 'mount_type'] })
const console: KindRow = { numbers: ['uid'], texts: ['process_name', 'console_line'], isDeniable: false }

export const KIND_ROWS: Readonly<Record<EventKind, KindRow>> = {
  exec: call({
    numbers: ['exec.setuid', 'stdio', 'parent.stdio'],
    texts: ['exec_path', 'exec_args', 'parent_path']
  }),
  cred: call({ numbers: CREDENTIALS, texts: [] }),
  connect: call({ ...socket, address: 'destination' }),
  bind: call({ ...socket, address: 'destination' }),
  listen: call({ ...socket, address: 'destination' }),
  accept: call({ ...socket, address: 'source' }, false),
  read: file,
  write: file,
  remove: file,
  rename: file,
  link: file,
  chmod: file,
  truncate: file,
  mount,
  umount: mount,
  remount: mount,
  move: mount,
  pivot: mount,
  ptrace: call({ numbers: ['target.pid', 'target.uid'], texts: [] }),
  signal: call({ numbers: ['target.pid', 'target.uid', 'signal.number'], texts: [] }),
  unshare: call({ numbers: [], texts: [] }, false),
  setns: call({ numbers: [], texts: [] }, false),
  typed: console,
  shown: console
}
