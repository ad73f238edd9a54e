/** Texts of an event, as sticky buffers. Codes are `enum kernort_event_text` above `KERNORT_EVENT_BUFFER`. */
import type { BufferRow } from '../buffer-row.ts'

export const EVENT_BUFFER = 0x80

const text = (code: number, sticky: string): BufferRow => ({
  code: EVENT_BUFFER + code,
  sticky: [sticky],
  modifiers: [],
  apps: [],
  side: 'both'
})

export const EVENT_BUFFERS = {
  process_name: text(0, 'process.name'),
  process_path: text(1, 'process.path'),
  parent_name: text(2, 'parent.name'),
  parent_path: text(3, 'parent.path'),
  exec_path: text(4, 'exec.path'),
  exec_args: text(5, 'exec.args'),
  file_path: text(6, 'file.path'),
  socket_path: text(7, 'socket.path'),
  mount_source: text(8, 'mount.source'),
  mount_target: text(9, 'mount.target'),
  mount_type: text(10, 'mount.type'),
  console_line: text(11, 'console.line')
} as const satisfies Record<string, BufferRow>

export type EventBufferName = keyof typeof EVENT_BUFFERS

export function isEventBuffer(name: string): name is EventBufferName {
  return Object.hasOwn(EVENT_BUFFERS, name)
}
