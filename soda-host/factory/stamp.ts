/**
 * Stamping: what one tenant's kernel knows and no other's, written into a section that the base kernel keeps free.
 *
 * Goal: who is told what a kernel seals is settled in its image, which is signed, and not by its command line, which
 * the landlord writes. The whole section is written, so the same base and stamp always give the same bytes, and anybody
 * can do it again. The layout is that of soda-host/kernort/include/kernort_stamp.h.
 *
 * @see docs/formats/stamp.md
 */
import { constants } from 'node:fs'
import { copyFile, open, type FileHandle } from 'node:fs/promises'
import { KIB } from '../../src/constants.ts'
import { FactoryError } from '../../src/errors.ts'
import { fileSha256 } from './cache.ts'
import { findSection, SHF_ALLOC, SHF_WRITE, SHT_PROGBITS } from './elf.ts'

export const STAMP_SECTION = '.kernort_stamp'
export const STAMP_BYTES = 16 * KIB
export const STAMP_MAGIC = Buffer.from('KRNTSTMP', 'latin1')
export const STAMP_VERSION = 1
export const STAMP_RECIPIENTS_MAX = 4
/** Up to the policy. */
export const STAMP_HEADER_BYTES = 208
export const STAMP_POLICY_BYTES_MAX = STAMP_BYTES - STAMP_HEADER_BYTES

const SERVER_ID_BYTES = 16
const KEY_BYTES = 32
const DIGEST_BYTES = 32
const FLAG_SEVERITY = 1

/** Where each field begins, in bytes. */
const AT = {
  version: 8,
  size: 12,
  serverId: 16,
  recipients: 32,
  flags: 36,
  keys: 40,
  ruleset: 168,
  policySize: 200,
  policy: STAMP_HEADER_BYTES
} as const

/** What is stamped. */
export interface Stamp {
  /** 16 bytes, by which the log names the server. */
  serverId: Uint8Array
  /** 1 to 4 X25519 public keys (32 bytes each), all different: who may read the log. */
  recipients: readonly Uint8Array[]
  /** The landlord sees how grave an alert is. */
  showsSeverity: boolean
  /** SHA-256 of the compiled rules that the kernel takes (32 bytes); it takes any where there is none. */
  rulesetSha256?: Uint8Array
  /** At most 16176 bytes. */
  policy: Uint8Array
}

/**
 * The section's bytes.
 *
 * @throws ERR_STAMP when something has the wrong size
 */
export function encodeStamp(stamp: Stamp): Buffer {
  check(stamp)
  const { recipients, policy, rulesetSha256 } = stamp
  const bytes = Buffer.alloc(STAMP_BYTES)
  bytes.set(STAMP_MAGIC)
  bytes.writeUInt32LE(STAMP_VERSION, AT.version)
  bytes.writeUInt32LE(STAMP_HEADER_BYTES + policy.length, AT.size)
  bytes.set(stamp.serverId, AT.serverId)
  bytes.writeUInt32LE(recipients.length, AT.recipients)
  bytes.writeUInt32LE(stamp.showsSeverity ? FLAG_SEVERITY : 0, AT.flags)
  for (const [index, key] of recipients.entries()) bytes.set(key, AT.keys + index * KEY_BYTES)
  if (rulesetSha256 !== undefined) bytes.set(rulesetSha256, AT.ruleset)
  bytes.writeUInt32LE(policy.length, AT.policySize)
  bytes.set(policy, AT.policy)
  return bytes
}

function check({ serverId, recipients, rulesetSha256, policy }: Stamp): void {
  const keys = recipients.map((key) => Buffer.from(key).toString('hex'))
  const wrong =
    (serverId.length !== SERVER_ID_BYTES && `a server id has ${SERVER_ID_BYTES} bytes`) ||
    ((keys.length < 1 || keys.length > STAMP_RECIPIENTS_MAX) && `1 to ${STAMP_RECIPIENTS_MAX} keys`) ||
    (recipients.some((key) => key.length !== KEY_BYTES) && `a key has ${KEY_BYTES} bytes`) ||
    (new Set(keys).size < keys.length && 'the same key twice') ||
    ((rulesetSha256?.length ?? DIGEST_BYTES) !== DIGEST_BYTES && `a digest has ${DIGEST_BYTES} bytes`) ||
    (policy.length > STAMP_POLICY_BYTES_MAX && `a policy has at most ${STAMP_POLICY_BYTES_MAX} bytes`)
  if (wrong !== false) throw new FactoryError('ERR_STAMP', `this cannot be stamped: ${wrong}`)
}

/** What a section says, or undefined when it is not stamped. @throws ERR_STAMP when it is stamped with nonsense */
function decodeStamp(bytes: Buffer): Stamp | undefined {
  if (!bytes.subarray(0, STAMP_MAGIC.length).equals(STAMP_MAGIC) || bytes.readUInt32LE(AT.version) === 0)
    return undefined
  const [count, policySize] = [bytes.readUInt32LE(AT.recipients), bytes.readUInt32LE(AT.policySize)]
  if (count > STAMP_RECIPIENTS_MAX || policySize > STAMP_POLICY_BYTES_MAX)
    throw new FactoryError('ERR_STAMP', 'the stamp says more than it can hold')
  const ruleset = bytes.subarray(AT.ruleset, AT.ruleset + DIGEST_BYTES)
  const stamp = {
    serverId: bytes.subarray(AT.serverId, AT.serverId + SERVER_ID_BYTES),
    recipients: Array.from({ length: count }, (_, index) => {
      const at = AT.keys + index * KEY_BYTES
      return bytes.subarray(at, at + KEY_BYTES)
    }),
    showsSeverity: (bytes.readUInt32LE(AT.flags) & FLAG_SEVERITY) !== 0,
    ...(ruleset.some((byte) => byte !== 0) ? { rulesetSha256: ruleset } : {}),
    policy: bytes.subarray(AT.policy, AT.policy + policySize)
  }
  if (!encodeStamp(stamp).equals(bytes))
    throw new FactoryError('ERR_STAMP', 'the stamp is not as a factory writes one')
  return stamp
}

/** The place for a stamp in a kernel. @throws ERR_KERNEL_FORMAT when there is none, or guests could write to it */
async function stampPlace(file: FileHandle): Promise<number> {
  const { type, flags, offset, sizeBytes } = await findSection(file, STAMP_SECTION)
  const isReadOnly = (flags & SHF_ALLOC) !== 0n && (flags & SHF_WRITE) === 0n
  if (type !== SHT_PROGBITS || !isReadOnly || sizeBytes !== STAMP_BYTES)
    throw new FactoryError(
      'ERR_KERNEL_FORMAT',
      `the kernel cannot be used: ${STAMP_SECTION} is not ${STAMP_BYTES} bytes of read-only data`
    )
  return offset
}

/** What a kernel is stamped with; undefined for a base kernel. @throws ERR_KERNEL_FORMAT, ERR_STAMP */
export async function readStamp(path: string): Promise<Stamp | undefined> {
  await using file = await open(path)
  const bytes = Buffer.alloc(STAMP_BYTES)
  await file.read(bytes, 0, STAMP_BYTES, await stampPlace(file))
  return decodeStamp(bytes)
}

export interface StampedKernel {
  /** `sha256:<hex>` of the stamped kernel. */
  digest: string
  sizeBytes: number
}

/**
 * Make `target` (which does not exist yet) from a base kernel. The base is shared with it where the file system can.
 *
 * @throws ERR_KERNEL_FORMAT when the base is no kernel with a place for a stamp, ERR_STAMP when it has a stamp already
 * or what is to be stamped does not fit
 */
export async function stampKernel(base: string, target: string, stamp: Stamp): Promise<StampedKernel> {
  const bytes = encodeStamp(stamp)
  if ((await readStamp(base)) !== undefined)
    throw new FactoryError('ERR_STAMP', `${base} is stamped already: a base kernel is needed`)
  await copyFile(base, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
  const sizeBytes = await writeStamp(target, bytes)
  return { digest: `sha256:${await fileSha256(target)}`, sizeBytes }
}

async function writeStamp(path: string, bytes: Buffer): Promise<number> {
  await using file = await open(path, 'r+')
  await file.write(bytes, 0, bytes.length, await stampPlace(file))
  return (await file.stat()).size
}
