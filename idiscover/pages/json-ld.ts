import { DiscoverError } from '../../src/errors.ts'
import { BLOCK_DEPTH_MAX } from '../limits.ts'

/** Marks the `PropertyValue` whose `value` is the JWS. */
const PROPERTY_ID = 'ishare-offer+jws'

/**
 * The tokens in a JSON-LD block: the `value` of every object whose `propertyID` is `ishare-offer+jws`. JSON that
 * is not JSON holds none: the page has other blocks, for other readers. No context is loaded: only these two
 * names count.
 *
 * @throws ERR_PAGE_FORMAT when it is nested deeper than BLOCK_DEPTH_MAX
 */
export function tokensInJson(url: URL, json: string): string[] {
  if (depthOf(json) > BLOCK_DEPTH_MAX)
    throw new DiscoverError(
      'ERR_PAGE_FORMAT',
      `${url.href}: JSON-LD is nested deeper than ${BLOCK_DEPTH_MAX}`
    )
  try {
    return [...findTokens(JSON.parse(json))]
  } catch {
    return []
  }
}

function* findTokens(value: unknown): Generator<string> {
  if (typeof value !== 'object' || value === null) return
  const { propertyID, value: token } = value as Partial<Record<string, unknown>>
  if (propertyID === PROPERTY_ID && typeof token === 'string') yield token
  for (const inner of Object.values(value)) yield* findTokens(inner)
}

/** Deepest nesting of brackets outside of strings, in one pass. */
export function depthOf(json: string): number {
  let [depth, deepest, isInString] = [0, 0, false]
  for (let index = 0; index < json.length; index++) {
    const character = json[index]
    if (isInString) {
      if (character === '\\') index++
      else if (character === '"') isInString = false
    } else if (character === '"') isInString = true
    else if (character === '[' || character === '{') deepest = Math.max(deepest, ++depth)
    else if (character === ']' || character === '}') depth--
  }
  return deepest
}
