/**
 * Opening frames: from the tenant's key to an epoch's secret (HPKE, RFC 9180), from that to the keys of frames.
 *
 * @see docs/formats/sealed-log.md section 4
 */
import { createDecipheriv, createHash, createHmac, timingSafeEqual } from 'node:crypto'
import {
  AEAD_ChaCha20Poly1305,
  CipherSuite,
  KDF_HKDF_SHA256,
  KEM_DHKEM_X25519_HKDF_SHA256,
  type CryptoKey
} from 'hpke'
import { LogError } from '../../src/errors.ts'
import type { LogKey } from '../../src/identity/index.ts'
import { FRAME_HEADER_BYTES, LINK_BYTES, RECIPIENT_BYTES, TAG_BYTES, type Frame } from './frame-layout.ts'

const SUITE = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_ChaCha20Poly1305)
const HPKE_INFO = Buffer.from('kernort sealed log 1')
const KEY_ID_BYTES = 16
const ENCAPSULATED_BYTES = 32
const SECRET_BYTES = 32
/** Epochs that may be lost in a row; each costs the reader one step of the link key. */
const LINK_STEPS_MAX = 65_536
/** Every frame has a key of its own. */
const NONCE = Buffer.alloc(12)

/** A reader's key, ready for use. */
export interface LogOpener {
  readonly id: string
  readonly key: CryptoKey
}

/** @throws ERR_LOG_KEY when the key is not one of X25519 */
export async function logOpener(key: LogKey): Promise<LogOpener> {
  try {
    return { id: key.id, key: await SUITE.DeserializePrivateKey(key.privateKey) }
  } catch (cause) {
    throw new LogError('ERR_LOG_KEY', `the log key ${key.id} cannot be used`, { cause })
  }
}

/** What opens the frames of one epoch. */
export interface EpochKeys {
  bootId: string
  epoch: number
  frameRoot: Buffer
  linkKey: Buffer
}

/** `foreign`: sealed to other keys. `damaged`: sealed to this key, but it does not open. */
export type EpochOpening = EpochKeys | 'foreign' | 'damaged'

/** Open the frame that begins an epoch, and prove it. */
export async function openEpoch(frame: Frame, opener: LogOpener): Promise<EpochOpening> {
  const header = frame.bytes.subarray(0, FRAME_HEADER_BYTES)
  const recipient = findRecipient(frame, opener.id)
  if (recipient === undefined) return 'foreign'
  const encapsulated = recipient.subarray(KEY_ID_BYTES, KEY_ID_BYTES + ENCAPSULATED_BYTES)
  const wrapped = recipient.subarray(KEY_ID_BYTES + ENCAPSULATED_BYTES)
  let secret: Buffer
  try {
    const options = { aad: header, info: HPKE_INFO }
    secret = Buffer.from(await SUITE.Open(opener.key, encapsulated, wrapped, options))
  } catch {
    return 'damaged'
  }
  if (secret.length !== 2 * SECRET_BYTES) return 'damaged'
  const keys = {
    bootId: frame.header.bootId,
    epoch: frame.header.epoch,
    frameRoot: expand(secret.subarray(0, SECRET_BYTES), 'kernort frame root'),
    linkKey: secret.subarray(SECRET_BYTES)
  }
  return hasLink(frame, keys.linkKey) && openFrame(frame, keys) !== undefined ? keys : 'damaged'
}

/** The sealed part of a frame, or undefined if the frame is not what was sealed under these keys. */
export function openFrame(frame: Frame, keys: EpochKeys): Buffer | undefined {
  const { bytes } = frame
  const header = bytes.subarray(0, FRAME_HEADER_BYTES)
  const sealedAt = FRAME_HEADER_BYTES + frame.header.clearBytes
  const tagAt = bytes.length - TAG_BYTES
  const key = expand(keys.frameRoot, 'kernort frame', header)
  const cipher = createDecipheriv('chacha20-poly1305', key, NONCE, { authTagLength: TAG_BYTES })
  cipher.setAAD(bytes.subarray(0, sealedAt), { plaintextLength: tagAt - sealedAt })
  cipher.setAuthTag(bytes.subarray(tagAt))
  try {
    return Buffer.concat([cipher.update(bytes.subarray(sealedAt, tagAt)), cipher.final()])
  } catch {
    return undefined
  }
}

/**
 * True if `later`, of the same boot, was begun by whoever began `before`: only they could step its link key on.
 * Epochs between the two may be lost.
 */
export function isLinked(later: EpochKeys, before: EpochKeys): boolean {
  const steps = later.epoch - before.epoch
  if (steps < 1 || steps > LINK_STEPS_MAX) return false
  let linkKey = before.linkKey
  for (let i = 0; i < steps; i++) linkKey = expand(linkKey, 'kernort link step')
  return timingSafeEqual(linkKey, later.linkKey)
}

function hasLink({ bytes, header }: Frame, linkKey: Buffer): boolean {
  const clear = bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + header.clearBytes)
  const expected = createHmac('sha256', linkKey)
    .update('kernort link')
    .update(bytes.subarray(0, FRAME_HEADER_BYTES))
    .update(clear.subarray(LINK_BYTES))
    .digest()
  return timingSafeEqual(expected, clear.subarray(0, LINK_BYTES))
}

/** Head of the chain behind `frame`, in hex: SHA-256 of its header and tag. */
export function headAfter({ bytes }: Frame): string {
  return createHash('sha256')
    .update(bytes.subarray(0, FRAME_HEADER_BYTES))
    .update(bytes.subarray(bytes.length - TAG_BYTES))
    .digest('hex')
}

function findRecipient({ bytes, header }: Frame, id: string): Buffer | undefined {
  const end = FRAME_HEADER_BYTES + header.clearBytes
  for (let at = FRAME_HEADER_BYTES + LINK_BYTES; at < end; at += RECIPIENT_BYTES)
    if (bytes.toString('hex', at, at + KEY_ID_BYTES) === id) return bytes.subarray(at, at + RECIPIENT_BYTES)
  return undefined
}

/** HKDF-Expand (RFC 5869) of one block. */
function expand(key: Buffer, label: string, data: Uint8Array = new Uint8Array()): Buffer {
  return createHmac('sha256', key).update(label).update(data).update(Uint8Array.of(1)).digest()
}
