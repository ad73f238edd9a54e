/** Which rules of the files are taken: disabled, enabled, and those for the ports that a service uses. */
import { RulesetError } from '../../../src/errors.ts'
import type { PortSpec, Rule } from './ast.ts'
import { protocolRow } from './header.ts'
import { resolvePorts } from './ports.ts'
import type { RuleLine } from './rule-text.ts'
import type { Variables } from './variables.ts'

export interface Service {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
}

/** Words as rule managers write them: `2010935`, `1:2010935`, `group:emerging-dos`, `re:trojan`. */
export interface SelectionTexts {
  readonly disable?: readonly string[]
  readonly enable?: readonly string[]
  /** Only rules that traffic to or from one of these can match. */
  readonly services?: readonly Service[]
}

export interface Selection {
  wantsLine(line: RuleLine, file: string): boolean
  wantsRule(rule: Rule): boolean
}

/** One word is a number, or a question to the rule. */
type Word = { readonly sid: string } | { readonly matches: (line: RuleLine, file: string) => boolean }

const WORD_BYTES_MAX = 256

/**
 * @throws ERR_RULESET_SELECTION when a word is not understood
 */
export function readSelection(texts: SelectionTexts, variables: Variables): Selection {
  const isDisabled = anyOf(texts.disable ?? [])
  const isEnabled = anyOf(texts.enable ?? [])
  const { services = [] } = texts
  return {
    wantsLine: (line, file) => isEnabled(line, file) || (!line.isDisabled && !isDisabled(line, file)),
    wantsRule: (rule) =>
      services.length === 0 || services.some((service) => concerns(rule, service, variables))
  }
}

/** Numbers are looked up, however many; only the other words are asked one by one. */
function anyOf(texts: readonly string[]): (line: RuleLine, file: string) => boolean {
  const words = texts.map(readWord)
  const sids = new Set(words.flatMap((word) => ('sid' in word ? [word.sid] : [])))
  const matchers = words.flatMap((word) => ('matches' in word ? [word.matches] : []))
  return (line, file) =>
    (sids.size > 0 && sids.has(idOf(line))) || matchers.some((matches) => matches(line, file))
}

function readWord(word: string): Word {
  const [, gid = '1', sid] = /^(?:(\d{1,10}):)?(\d{1,10})$/.exec(word) ?? []
  if (sid !== undefined) return { sid: `${gid}:${sid}` }
  const group = /^group:([\w.-]{1,128})$/.exec(word)?.[1]?.replace(/\.rules$/, '')
  if (group !== undefined)
    return { matches: (_line, file) => fileName(file).replace(/\.rules$/, '') === group }
  const text = /^re:(.+)$/.exec(word)?.[1]?.toLowerCase()
  // Only plain text: an expression from a stranger's file could take for ever.
  if (text !== undefined && text.length <= WORD_BYTES_MAX && !/[\\^$.*+?()[\]{}|]/.test(text))
    return { matches: (line) => line.text.toLowerCase().includes(text) }
  throw new RulesetError(
    'ERR_RULESET_SELECTION',
    `'${word.slice(0, WORD_BYTES_MAX)}' selects nothing: wanted SID, GID:SID, group:FILE or re:TEXT (plain text)`
  )
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** `gid:sid` of a rule that has not been read yet. */
function idOf({ text }: RuleLine): string {
  const sid = /[;(]\s*sid\s*:\s*(\d{1,10})\s*;/.exec(text)?.[1] ?? ''
  const gid = /[;(]\s*gid\s*:\s*(\d{1,10})\s*;/.exec(text)?.[1] ?? '1'
  return `${gid}:${sid}`
}

/** True unless both ends of the rule name other ports, or it is for another protocol. */
function concerns(rule: Rule, service: Service, variables: Variables): boolean {
  if (rule.event !== undefined) return true
  const { ip } = protocolRow(rule.header)
  if (!ip.includes(service.protocol)) return false
  if (rule.app !== undefined) return true
  const has = (spec: PortSpec): boolean => {
    const group = resolvePorts(spec, variables.ports, { text: '', offset: 0 })
    return group?.some(({ low, high }) => low <= service.port && service.port <= high) ?? true
  }
  const { sourcePorts, destinationPorts } = rule.header
  if (sourcePorts.kind === 'any') return has(destinationPorts)
  if (destinationPorts.kind === 'any') return has(sourcePorts)
  return has(sourcePorts) || has(destinationPorts)
}
