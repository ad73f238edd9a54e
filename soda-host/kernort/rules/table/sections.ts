/** The sections of a table while they grow, and the pools that keep equal things once. */
import { createHash } from 'node:crypto'
import { RulesetError } from '../../../../src/errors.ts'
import {
  ALIGN,
  DIGEST_BYTES,
  DIGEST_OFFSET,
  HEADER_BYTES,
  MAGIC,
  SECTION_BYTES,
  SECTION_NAMES,
  SECTIONS,
  SIZE_MAX,
  VERSION,
  type SectionName
} from './layout.ts'

/** Bytes that grow; numbers are little-endian. */
export class Section {
  readonly name: SectionName
  private bytes = Buffer.alloc(4096)
  private used = 0

  constructor(name: SectionName) {
    this.name = name
  }

  get count(): number {
    return this.used / SECTIONS[this.name]
  }

  get content(): Buffer {
    return this.bytes.subarray(0, this.used)
  }

  private room(bytes: number): number {
    if (this.used + bytes > this.bytes.length) {
      if (this.used + bytes > SIZE_MAX)
        throw new RulesetError('ERR_RULESET_LIMIT', `the section ${this.name} would exceed ${SIZE_MAX} bytes`)
      this.bytes = Buffer.concat([this.bytes], Math.max(this.bytes.length * 2, this.used + bytes))
    }
    const at = this.used
    this.used += bytes
    return at
  }

  u8(...values: number[]): this {
    for (const value of values) {
      const at = this.room(1)
      this.bytes[at] = value
    }
    return this
  }

  u16(...values: number[]): this {
    for (const value of values) {
      const at = this.room(2)
      this.bytes.writeUInt16LE(value, at)
    }
    return this
  }

  /** Signed numbers too: two's complement. */
  u32(...values: number[]): this {
    for (const value of values) {
      const at = this.room(4)
      this.bytes.writeUInt32LE(value >>> 0, at)
    }
    return this
  }

  raw(bytes: Uint8Array): this {
    const at = this.room(bytes.length)
    this.bytes.set(bytes, at)
    return this
  }
}

export type Sections = Readonly<Record<SectionName, Section>>

export function newSections(): Sections {
  return Object.fromEntries(SECTION_NAMES.map((name) => [name, new Section(name)])) as Record<
    SectionName,
    Section
  >
}

/** Runs of entries, each equal run stored once; gives the index of its first entry. */
export class Pool {
  private readonly known = new Map<string, number>()
  private readonly section: Section

  constructor(section: Section) {
    this.section = section
  }

  add(bytes: Uint8Array): number {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
    const before = this.known.get(key)
    if (before !== undefined) return before
    const index = this.section.count
    this.section.raw(bytes)
    this.known.set(key, index)
    return index
  }

  addWords(words: readonly number[]): number {
    return this.add(new Uint8Array(Uint32Array.from(words).buffer))
  }
}

export interface TableCounts {
  readonly flowbits: number
  readonly xbits: number
  readonly flowints: number
}

/** Header and sections in one piece, named by its digest (hexadecimal SHA-256 with the digest field zero). */
export function assemble(sections: Sections, counts: TableCounts): { bytes: Buffer; digest: string } {
  const aligned = (size: number): number => Math.ceil(size / ALIGN) * ALIGN
  let at = aligned(HEADER_BYTES + SECTION_NAMES.length * SECTION_BYTES)
  const offsets = SECTION_NAMES.map((name) => {
    const offset = at
    at = aligned(at + sections[name].content.length)
    return offset
  })
  if (at > SIZE_MAX)
    throw new RulesetError('ERR_RULESET_LIMIT', `the table would have ${at} bytes; at most ${SIZE_MAX}`)
  const bytes = Buffer.alloc(at)
  bytes.writeBigUInt64LE(MAGIC, 0)
  bytes.writeUInt32LE(VERSION, 8)
  bytes.writeUInt32LE(at, 12)
  const words = [SECTION_NAMES.length, counts.flowbits, counts.xbits, counts.flowints]
  for (const [index, word] of words.entries())
    bytes.writeUInt32LE(word, DIGEST_OFFSET + DIGEST_BYTES + index * 4)
  for (const [index, name] of SECTION_NAMES.entries()) {
    const entry = HEADER_BYTES + index * SECTION_BYTES
    const offset = offsets[index] ?? 0
    bytes.writeUInt32LE(offset, entry)
    bytes.writeUInt32LE(sections[name].count, entry + 4)
    bytes.writeUInt32LE(SECTIONS[name], entry + 8)
    bytes.set(sections[name].content, offset)
  }
  const digest = createHash('sha256').update(bytes).digest()
  bytes.set(digest, DIGEST_OFFSET)
  return { bytes, digest: digest.toString('hex') }
}
