/** Tar headers of our own making: POSIX ustar, with a pax header where a name is too long for it. */
import type { ImageEntry } from './image-entries.ts'

const BLOCK_BYTES = 512
/** Length of the fields `name` and `linkname`. @see POSIX pax, ustar Interchange Format */
const NAME_BYTES = 100

const TYPE_FLAGS = { file: '0', link: '1', symlink: '2', directory: '5', pax: 'x' } as const

/** Two blocks of zeros end an archive. */
export const TAR_END = Buffer.alloc(2 * BLOCK_BYTES)

/** The header blocks of one entry; its content and {@link tarPadding} follow. */
export function tarHeader(entry: ImageEntry): Buffer {
  const { name, linkname = '' } = entry
  const block = headerBlock(entry, TYPE_FLAGS[entry.type])
  const isLong = Buffer.byteLength(name) > NAME_BYTES || Buffer.byteLength(linkname) > NAME_BYTES
  return isLong ? Buffer.concat([paxBlocks({ path: name, linkpath: linkname }), block]) : block
}

/** Zeros from the end of a content of `size` bytes to the end of its block. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES)
}

type HeaderFields = Omit<ImageEntry, 'type'>

function headerBlock(fields: HeaderFields, flag: string): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES)
  const octal = (value: number, offset: number, digits: number): void => {
    block.write(value.toString(8).padStart(digits, '0'), offset, 'latin1')
  }
  block.write(fields.name, 0, NAME_BYTES, 'utf8')
  octal(fields.mode, 100, 7)
  octal(fields.uid, 108, 7)
  octal(fields.gid, 116, 7)
  octal(fields.size, 124, 11)
  octal(Math.floor(fields.mtime.getTime() / 1000), 136, 11)
  block.write(flag, 156, 'latin1')
  block.write(fields.linkname ?? '', 157, NAME_BYTES, 'utf8')
  block.write('ustar\x0000', 257, 'latin1')
  block.write('        ', 148, 'latin1')
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

function paxBlocks(records: Record<string, string>): Buffer {
  const text = Object.entries(records).map(([key, value]) => (value === '' ? '' : paxRecord(key, value)))
  const data = Buffer.from(text.join(''))
  const fields = { name: 'PaxHeader', mode: 0o644, uid: 0, gid: 0, size: data.length, mtime: new Date(0) }
  return Buffer.concat([headerBlock(fields, TYPE_FLAGS.pax), data, tarPadding(data.length)])
}

/** `<length> <key>=<value>\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  const bytes = Buffer.byteLength(rest)
  let length = bytes
  while (bytes + String(length).length !== length) length = bytes + String(length).length
  return `${length}${rest}`
}
