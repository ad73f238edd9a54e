import { randomBytes } from 'node:crypto'

/** Crockford's base32 in lower case: no i, l, o, u. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'
const LENGTH = 26

/** 128 random bits. */
export function newRunId(): string {
  let rest = BigInt(`0x${randomBytes(16).toString('hex')}`)
  let id = ''
  for (let digit = 0; digit < LENGTH; digit++) {
    id = `${DIGITS[Number(rest % 32n)] ?? ''}${id}`
    rest /= 32n
  }
  return id
}
