/** The "newc" form of cpio archives, as the kernel unpacks them. @see Documentation/driver-api/early-userspace/buffer-format.rst */

/** One entry; owner is root, the time is 0, and inode numbers count up, so equal entries give equal bytes. */
export interface CpioEntry {
  /** Without a leading slash. */
  name: string
  /** File type and permissions, as in `st_mode`. */
  mode: number
  data?: Uint8Array
  /** For device nodes. */
  device?: { major: number; minor: number }
}

export const MODE_DIRECTORY = 0o040000
export const MODE_FILE = 0o100000
export const MODE_CHARACTER_DEVICE = 0o020000

const MAGIC = '070701'
const TRAILER: CpioEntry = { name: 'TRAILER!!!', mode: 0 }

/** Pack `entries` in the given order. Directories must come before what they hold. */
export function packCpio(entries: readonly CpioEntry[]): Buffer {
  return Buffer.concat([...entries, TRAILER].flatMap((entry, index) => packEntry(entry, index + 1)))
}

function packEntry({ name, mode, data = new Uint8Array(), device }: CpioEntry, inode: number): Uint8Array[] {
  const links = (mode & MODE_DIRECTORY) === MODE_DIRECTORY ? 2 : 1
  const nameBytes = Buffer.from(`${name}\0`)
  const fields = [
    ...[inode, mode, 0, 0, links, 0, data.length, 0, 0],
    ...[device?.major ?? 0, device?.minor ?? 0, nameBytes.length, 0]
  ]
  const header = MAGIC + fields.map((field) => field.toString(16).padStart(8, '0')).join('')
  const head = Buffer.concat([Buffer.from(header), nameBytes])
  return [head, padding(head.length), data, padding(data.length)]
}

function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4)
}
