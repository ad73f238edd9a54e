/** By what a table is named: the SHA-256 of its bytes, as if those of the name itself were zero. */
import { createHash } from 'node:crypto'
import { RulesetError } from '../../../../src/errors.ts'
import type { Table } from './compile.ts'
import { DIGEST_BYTES, DIGEST_OFFSET, HEADER_BYTES, MAGIC, VERSION } from './layout.ts'

const VERSION_OFFSET = 8

/** Takes a table in pieces of whatever size. */
export class TableDigest {
  readonly #hash = createHash('sha256')
  #bytes = 0

  /** Bytes so far. */
  get bytes(): number {
    return this.#bytes
  }

  update(piece: Uint8Array): this {
    const [from, to] = [DIGEST_OFFSET - this.#bytes, DIGEST_OFFSET + DIGEST_BYTES - this.#bytes]
    this.#bytes += piece.length
    if (to <= 0 || from >= piece.length) this.#hash.update(piece)
    else this.#hash.update(Uint8Array.from(piece).fill(0, Math.max(0, from), to))
    return this
  }

  /** `sha256:<hex>` */
  digest(): string {
    return `sha256:${this.#hash.digest('hex')}`
  }
}

/** Does this begin as a table does? */
export function isTable(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_BYTES && Buffer.from(bytes).readBigUInt64LE(0) === MAGIC
}

/** A table that was kept, if it is whole and of the version that the engine reads. @throws ERR_RULESET_FILE */
export function openTable(bytes: Buffer): Table {
  const refuse = (why: string): never => {
    throw new RulesetError('ERR_RULESET_FILE', `not a compiled rule set: ${why}; compile it again`)
  }
  if (!isTable(bytes)) refuse('it does not begin like one')
  const version = bytes.readUInt32LE(VERSION_OFFSET)
  if (version !== VERSION) refuse(`version ${version}, expected ${VERSION}`)
  const carried = bytes.subarray(DIGEST_OFFSET, DIGEST_OFFSET + DIGEST_BYTES).toString('hex')
  if (new TableDigest().update(bytes).digest() !== `sha256:${carried}`) refuse('it is damaged')
  return { bytes, digest: carried }
}
