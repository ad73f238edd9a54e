import { parseDuration, parseRate, parseSize } from '../config/quantities.ts'
import { GIB, MIB } from '../constants.ts'
import { describeIssues } from '../documents/issues.ts'
import { IShareError, RulesError } from '../errors.ts'
import { accessRules, type AccessRules } from './schema.ts'

/** In a rules file limits may be written as people write them. */
const READERS: Readonly<Record<string, (text: string) => number>> = {
  memoryBytes: parseSize,
  diskBytes: parseSize,
  outputBytesMax: parseSize,
  rulesetBytes: parseSize,
  outboundBitsPerSecond: parseRate,
  durationSeconds: parseDuration
}

/**
 * Read a rules file: JSON of the schema docs/schemas/access-rules.json, where limits may also be texts such as
 * `"512M"` and `"2h"`.
 *
 * @throws ERR_RULES_FORMAT naming the field
 */
export function parseRules(text: string): AccessRules {
  let value: unknown
  try {
    value = JSON.parse(text, (name, field: unknown) =>
      typeof field === 'string' && Object.hasOwn(READERS, name) ? READERS[name]?.(field) : field
    )
  } catch (error) {
    const reason = error instanceof IShareError ? error.message : 'not JSON'
    throw new RulesError('ERR_RULES_FORMAT', `rules: ${reason}`, [], { cause: error })
  }
  const result = accessRules.safeParse(value)
  if (!result.success) throw new RulesError('ERR_RULES_FORMAT', `rules: ${describeIssues(result.error)}`)
  return result.data
}

/**
 * The rules of an owner who wrote none: anyone, no network, and each of the slice's servers may have as much as
 * the slice has.
 */
export function defaultRules(slice: {
  cpu: number
  memoryBytes: number
  diskBytes: number
  servers: number
}): AccessRules {
  return accessRules.parse({
    who: { kind: 'anyone' },
    perRun: {
      cpu: Math.min(slice.cpu, 64),
      memoryBytes: slice.memoryBytes,
      diskBytes: slice.diskBytes,
      processesMax: 1024,
      outboundBitsPerSecond: 0,
      outputBytesMax: Math.min(GIB, Math.max(slice.diskBytes, 64 * MIB)),
      durationSeconds: 86_400
    },
    egress: { kind: 'none' },
    concurrentRunsPerPeer: slice.servers,
    mayFreeze: false
  })
}
