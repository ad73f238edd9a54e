/** threshold.config: suppressions and rates for rules that others wrote. */
import { RulesetError } from '../../../src/errors.ts'
import { parseAddresses, resolveAddresses } from './addresses.ts'
import type { Threshold } from './ast.ts'
import { readPairs, readRate, THRESHOLD_TYPES } from './keywords/threshold.ts'
import { RuleRefused, trimmed, type Piece } from './refusal.ts'
import type { PlacedRule } from './rule-file.ts'
import type { Suppression } from './table/compile.ts'
import { readChoice, readInteger } from './values.ts'
import type { Variables } from './variables.ts'

const UINT32_MAX = 0xffff_ffff
const LINES_MAX = 65_536

/** `sid` 0: all of the `gid`. */
interface Rate {
  readonly gid: number
  readonly sid: number
  readonly threshold: Threshold
}

export interface Thresholds {
  readonly suppressions: readonly Suppression[]
  readonly rates: readonly Rate[]
}

/**
 * @param text - lines `suppress gen_id 1, sig_id 2[, track by_src, ip 10.0.0.0/8]`,
 *   `threshold gen_id 1, sig_id 2, type limit, track by_src, count 1, seconds 60` (also `event_filter`)
 * @throws ERR_RULESET_SELECTION with the line when one is not understood
 */
export function readThresholds(text: string, variables: Variables): Thresholds {
  const suppressions: Suppression[] = []
  const rates: Rate[] = []
  for (const [index, line] of text.split('\n', LINES_MAX).entries()) {
    const piece = trimmed({ text: line, offset: 0 })
    if (piece.text === '' || piece.text.startsWith('#')) continue
    try {
      const [, word = '', gap = '', rest = ''] = /^(\w+)(\s+)(.*)$/.exec(piece.text) ?? []
      const value = { text: rest, offset: piece.offset + word.length + gap.length }
      if (word === 'suppress') suppressions.push(readSuppression(value, variables))
      else if (word === 'threshold' || word === 'event_filter') rates.push(readRateLine(value))
      else throw new RuleRefused('unknown-keyword', `'${word}' is not understood`, piece.offset)
    } catch (error) {
      if (!(error instanceof RuleRefused)) throw error
      const where = `thresholds, line ${index + 1}, column ${error.offset + 1}`
      throw new RulesetError('ERR_RULESET_SELECTION', `${where}: ${error.message}`, { cause: error })
    }
  }
  return { suppressions, rates }
}

function readIds(get: (word: string) => Piece): { gid: number; sid: number } {
  return { gid: readInteger(get('gen_id'), 0, UINT32_MAX), sid: readInteger(get('sig_id'), 0, UINT32_MAX) }
}

function readSuppression(value: Piece, variables: Variables): Suppression {
  const isEverywhere = !/\btrack\b/.test(value.text)
  const get = readPairs(value, isEverywhere ? ['gen_id', 'sig_id'] : ['gen_id', 'sig_id', 'track', 'ip'])
  if (isEverywhere) return { ...readIds(get), track: 'by_rule', addresses: undefined }
  const track = readChoice(get('track'), { by_src: 'by_src', by_dst: 'by_dst' } as const)
  const ip = get('ip')
  return { ...readIds(get), track, addresses: resolveAddresses(parseAddresses(ip), variables.addresses, ip) }
}

function readRateLine(value: Piece): Rate {
  const get = readPairs(value, ['gen_id', 'sig_id', 'type', 'track', 'count', 'seconds'])
  return { ...readIds(get), threshold: { type: readChoice(get('type'), THRESHOLD_TYPES), ...readRate(get) } }
}

/** Gives rates to the rules that have none of their own; the latest line about a rule holds. */
export function applyRates(rules: readonly PlacedRule[], rates: readonly Rate[]): PlacedRule[] {
  return rules.map((placed) => {
    const { rule } = placed
    const rate = rates.findLast(({ gid, sid }) => gid === rule.gid && (sid === rule.sid || sid === 0))
    if (rate === undefined || rule.threshold !== undefined || rule.detectionFilter !== undefined)
      return placed
    return { ...placed, rule: { ...rule, threshold: rate.threshold } }
  })
}
