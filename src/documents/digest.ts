import { createHash } from 'node:crypto'

/** `sha256:` and the hex digest of the bytes, or of the UTF-8 of the text. */
export function digestOf(data: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`
}
