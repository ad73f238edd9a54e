import { WireError } from '../errors.ts'

/** Deeper nesting than any message of ours has. */
export const JSON_DEPTH_MAX = 16

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPENING = new Set([0x5b, 0x7b])
const CLOSING = new Set([0x5d, 0x7d])

/**
 * Parse JSON of a stranger: UTF-8, no deeper than JSON_DEPTH_MAX. The caller has checked the length.
 *
 * @throws ERR_WIRE_FORMAT
 */
export function parseJson(bytes: Uint8Array): unknown {
  if (depthOf(bytes) > JSON_DEPTH_MAX)
    throw new WireError('ERR_WIRE_FORMAT', `JSON is nested deeper than ${JSON_DEPTH_MAX}`)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch (error) {
    throw new WireError('ERR_WIRE_FORMAT', 'not JSON in UTF-8', { cause: error })
  }
}

/** Counted on the bytes before parsing: brackets and quotes are single bytes in UTF-8 that occur in no other. */
function depthOf(bytes: Uint8Array): number {
  let [depth, deepest, inString, escaped] = [0, 0, false, false]
  for (const byte of bytes) {
    if (escaped) escaped = false
    else if (inString) {
      if (byte === BACKSLASH) escaped = true
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    else if (OPENING.has(byte)) deepest = Math.max(deepest, ++depth)
    else if (CLOSING.has(byte)) depth -= 1
  }
  return deepest
}
