/**
 * Where a section of a 64-bit little-endian ELF file lies.
 *
 * The attacker made the file. Nothing in it is believed before it lies within the file: counts, sizes and offsets are
 * bounded first, and what is read at a time has a bound that does not depend on the file.
 *
 * @see System V ABI, chapters "ELF Header" and "Sections"
 */
import type { FileHandle } from 'node:fs/promises'
import { KERNEL_BYTES_MAX, MIB } from '../../src/constants.ts'
import { FactoryError } from '../../src/errors.ts'

const HEADER_BYTES = 64
const ENTRY_BYTES = 64
const SECTIONS_MAX = 4096
const NAMES_BYTES_MAX = MIB
const MAGIC = Buffer.from('\x7fELF', 'latin1')
const CLASS_64 = 2
const DATA_LITTLE_ENDIAN = 1

/** Section types and flags. */
const SHT_STRTAB = 3
export const SHT_PROGBITS = 1
export const SHF_WRITE = 1n
export const SHF_ALLOC = 2n

export interface ElfSection {
  /** As `sh_type`. */
  type: number
  /** As `sh_flags`. */
  flags: bigint
  /** Where its bytes lie in the file; all of them do. */
  offset: number
  sizeBytes: number
}

interface SectionTable {
  offset: number
  count: number
  /** Which of them holds the names. */
  namesIndex: number
}

/**
 * The section of that name.
 *
 * @param file - opened for reading
 * @throws ERR_KERNEL_FORMAT when the file is not such an ELF file, or has no or several sections of the name
 */
export async function findSection(file: FileHandle, name: string): Promise<ElfSection> {
  const { size } = await file.stat()
  if (size > KERNEL_BYTES_MAX) throw notUsable(`${size} bytes, at most ${KERNEL_BYTES_MAX}`)
  const table = sectionTable(await readAt(file, 0, Math.min(HEADER_BYTES, size)), size)
  const entries = await readAt(file, table.offset, table.count * ENTRY_BYTES)
  const namesSection = sectionAt(entries, table.namesIndex, size)
  if (namesSection.type !== SHT_STRTAB || namesSection.sizeBytes > NAMES_BYTES_MAX)
    throw notUsable('its names of sections are no table of strings')
  const names = await readAt(file, namesSection.offset, namesSection.sizeBytes)
  const wanted = Array.from({ length: table.count }, (_, index) => index).filter(
    (index) => nameAt(entries, index, names) === name
  )
  const [found] = wanted
  if (found === undefined || wanted.length > 1)
    throw notUsable(`it has ${wanted.length === 0 ? 'no section' : 'several sections'} ${name}`)
  return sectionAt(entries, found, size)
}

function sectionTable(header: Buffer, size: number): SectionTable {
  const isElf =
    header.length === HEADER_BYTES &&
    header.subarray(0, MAGIC.length).equals(MAGIC) &&
    header.readUInt8(4) === CLASS_64 &&
    header.readUInt8(5) === DATA_LITTLE_ENDIAN
  if (!isElf) throw notUsable('not a 64-bit little-endian ELF file')
  const offset = header.readBigUInt64LE(40)
  const [entryBytes, count, namesIndex] = [58, 60, 62].map((at) => header.readUInt16LE(at))
  if (entryBytes !== ENTRY_BYTES || count === undefined || namesIndex === undefined)
    throw notUsable('entries of its table of sections have another size')
  if (count === 0 || count > SECTIONS_MAX || namesIndex >= count)
    throw notUsable(`${count} sections, names in number ${namesIndex}`)
  if (offset + BigInt(count * ENTRY_BYTES) > BigInt(size))
    throw notUsable('its table of sections is not within the file')
  return { offset: Number(offset), count, namesIndex }
}

function sectionAt(entries: Buffer, index: number, size: number): ElfSection {
  const at = index * ENTRY_BYTES
  const [offset, sizeBytes] = [entries.readBigUInt64LE(at + 24), entries.readBigUInt64LE(at + 32)]
  if (offset + sizeBytes > BigInt(size)) throw notUsable(`section ${index} is not within the file`)
  return {
    type: entries.readUInt32LE(at + 4),
    flags: entries.readBigUInt64LE(at + 8),
    offset: Number(offset),
    sizeBytes: Number(sizeBytes)
  }
}

/** Undefined when it is not a string of the table. */
function nameAt(entries: Buffer, index: number, names: Buffer): string | undefined {
  const at = entries.readUInt32LE(index * ENTRY_BYTES)
  const end = at < names.length ? names.indexOf(0, at) : -1
  return end < 0 ? undefined : names.toString('latin1', at, end)
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  const { bytesRead } = await file.read(buffer, 0, length, position)
  if (bytesRead !== length) throw notUsable('it is shorter than it says')
  return buffer
}

function notUsable(why: string): FactoryError {
  return new FactoryError('ERR_KERNEL_FORMAT', `the kernel cannot be used: ${why}`)
}
