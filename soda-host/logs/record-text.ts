/** Records as JSON and as lines for people. Pure. Whatever a guest wrote may stand in them: escape before showing. */
import type { LogRecord } from './record-parser.ts'

const NS_PER_MS = 1_000_000n

/** The clock's time as ISO 8601, in milliseconds; what no calendar holds, as nanoseconds. */
export function recordTime({ realtimeNs }: LogRecord): string {
  const date = new Date(Number(realtimeNs / NS_PER_MS))
  return Number.isNaN(date.getTime()) ? `${realtimeNs}ns` : date.toISOString()
}

/** JSON-safe: what does not fit into a number is a decimal string; tails are text, or base64 where they are none. */
export function recordJson(record: LogRecord): Record<string, unknown> {
  const { kind, kindNumber, boot, number, monotonicNs, realtimeNs, pid, uid, comm, isCut } = record
  return {
    time: recordTime(record),
    kind,
    ...(kind === 'unknown' ? { kindNumber } : {}),
    boot,
    number: jsonNumber(number),
    monotonicNs: jsonNumber(monotonicNs),
    realtimeNs: String(realtimeNs),
    pid,
    uid,
    comm,
    ...(isCut ? { isCut } : {}),
    ...Object.fromEntries(Object.entries(record.fields).map(([name, value]) => [name, jsonValue(value)])),
    ...Object.fromEntries(Object.entries(record.tails).map(([name, bytes]) => [name, tailJson(bytes)]))
  }
}

function jsonValue(value: number | bigint | string): number | string {
  return typeof value === 'bigint' ? jsonNumber(value) : value
}

function jsonNumber(value: bigint): number | string {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : String(value)
}

function tailJson(bytes: Buffer): string | { base64: string } {
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) ? text : { base64: bytes.toString('base64') }
}

const SOCKET_WORDS: Readonly<Record<number, string>> = { 1: 'connect', 2: 'bind', 3: 'listen', 4: 'accept' }
const FILE_WORDS: Readonly<Record<number, string>> = {
  1: 'read',
  2: 'write',
  3: 'remove',
  4: 'rename to',
  5: 'link',
  6: 'change mode or owner of',
  7: 'cut short'
}
const MOUNT_WORDS: Readonly<Record<number, string>> = {
  1: 'mount',
  2: 'unmount',
  3: 'remount',
  4: 'move',
  5: 'pivot to'
}
const AF_INET = 2

/** What happened, in one line, without time and author. */
export function recordText(record: LogRecord): string {
  const { fields, tails } = record
  const tail = (name: string) => (tails[name] ?? Buffer.alloc(0)).toString('utf8')
  const field = (name: string) => String(fields[name] ?? '')
  switch (record.kind) {
    case 'boot':
      return `boot ${field('bootNumber')} of ${tail('kernel')}`
    case 'exec':
      return `${tail('path')}: ${words(tail('arguments'))}`
    case 'fork':
      return `child ${field('child')}`
    case 'exit':
      return `wait status ${field('status')}`
    case 'cred':
      return `uid ${field('uidBefore')} to ${field('uidAfter')}, effective ${field('euidBefore')} to ${field('euidAfter')}`
    case 'socket':
      return `${SOCKET_WORDS[Number(fields['operation'])] ?? 'socket'} ${addressText(record)}`
    case 'file':
      return `${FILE_WORDS[Number(fields['operation'])] ?? 'file'} ${tail('path')}`
    case 'local':
      return `${SOCKET_WORDS[Number(fields['operation'])] ?? 'socket'} ${tail('path').replace(/^\0/, '@') || 'unnamed'}`
    case 'namespace':
      return `${fields['operation'] === 2 ? 'enter' : 'unshare'} 0x${Number(fields['flags']).toString(16)}`
    case 'mount':
      return `${MOUNT_WORDS[Number(fields['operation'])] ?? 'mount'} ${tail('source')} on ${tail('target')} (${tail('type')})`
    case 'signal':
      return `signal ${field('signal')} to ${field('target')}`
    case 'ptrace':
      return `of ${field('target')}`
    case 'tty':
      return `${field('direction')} ${JSON.stringify(tail('data'))}`
    case 'klog':
    case 'syslog':
    case 'snapshot':
      return tail('text').trimEnd()
    case 'alert':
      return `[${field('gid')}:${field('sid')}:${field('revision')}] severity ${field('severity')}: ${tail('message')}`
    case 'shed':
      return `${field('records')} records of class ${field('class')} were shed, ${field('bytes')} bytes`
    case 'shutdown':
    case 'clock':
    case 'unknown':
      return JSON.stringify(recordJson(record))
  }
}

function words(argumentsText: string): string {
  return argumentsText.replace(/\0$/, '').split('\0').join(' ')
}

function addressText({ fields }: LogRecord): string {
  const address = Buffer.from(String(fields['address'] ?? ''), 'hex')
  const port = String(fields['port'] ?? '')
  if (fields['family'] === AF_INET) return `${address.subarray(0, 4).join('.')}:${port}`
  const groups = address.toString('hex').match(/.{4}/g) ?? []
  return `[${groups.join(':')}]:${port}`
}
