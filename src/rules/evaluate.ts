import { formatDuration, formatRate, formatSize } from '../config/quantities.ts'
import type { Limits } from '../documents/fields.ts'
import type { AccessRules } from './schema.ts'
import type { AccessClaims } from './token.ts'
import { openUntil } from './windows.ts'

export type RefusalCode =
  | 'who'
  | 'token'
  | 'cpu'
  | 'memory'
  | 'disk'
  | 'processes'
  | 'bandwidth'
  | 'output'
  | 'duration'
  | 'ruleset'
  | 'window'
  | 'concurrent-runs'
  | 'slice'

/** Why not: `message` names what was asked and what is allowed, in words that may go to the consumer. */
export interface Refusal {
  code: RefusalCode
  message: string
}

export interface AccessRequest {
  /** The consumer's peer id. */
  peer: string
  /** What its token says, after `verifyAccessToken`. */
  claims?: AccessClaims
  limits: Limits
  /** Size of the compiled detection rules that it brings. @default none */
  rulesetBytes?: number
  /** Runs of this peer that hold a part of the slice now. */
  runsOfPeer: number
  /** What is left of the slice now; absent while only the rules are asked. */
  free?: {
    cpu: number
    memoryBytes: number
    diskBytes: number
    servers: number
    /** Absent where it is not counted. */
    outboundBitsPerSecond?: number
  }
}

/** What a lease grants. */
export interface Grant extends Pick<AccessRules, 'egress' | 'inboundPorts'> {
  limits: Limits
}

export type Decision = ({ allowed: true } & Grant) | { allowed: false; reasons: Refusal[] }

/**
 * May this request run now? All reasons against it are given, not only the first.
 *
 * What is allowed is exactly what was asked, with what the rules grant outside: nothing is cut to fit. A run that would outlast its window is
 * refused with the time that is left, so that a lease always grants what the acceptance says and a program is
 * not ended by surprise.
 *
 * @param nowMs - milliseconds since the epoch
 */
export function evaluate(rules: AccessRules, request: AccessRequest, nowMs: number): Decision {
  const reasons = [
    ...whoReasons(rules.who, request),
    ...limitReasons(rules.perRun, request.limits),
    ...rulesetReasons(rules.perRun.rulesetBytes, request.rulesetBytes),
    ...windowReasons(rules, request.limits.durationSeconds, nowMs),
    ...runReasons(rules.concurrentRunsPerPeer, request.runsOfPeer),
    ...(request.free === undefined ? [] : sliceReasons(request.free, request.limits))
  ]
  if (reasons.length > 0) return { allowed: false, reasons }
  const { egress, inboundPorts } = rules
  return { allowed: true, limits: { ...request.limits }, egress, inboundPorts }
}

function whoReasons(who: AccessRules['who'], { peer, claims }: AccessRequest): Refusal[] {
  switch (who.kind) {
    case 'anyone':
      return []
    case 'peers':
      return who.peers.includes(peer)
        ? []
        : [{ code: 'who', message: `${peer} is not one of the peers allowed` }]
    case 'token':
      return tokenReasons(who, claims)
  }
}

function tokenReasons(
  who: AccessRules['who'] & { kind: 'token' },
  claims: AccessClaims | undefined
): Refusal[] {
  if (claims?.iss !== who.issuer) return [{ code: 'token', message: `a token of ${who.issuer} is needed` }]
  return Object.entries(who.claims)
    .filter(([name, value]) => !Object.hasOwn(claims, name) || claims[name] !== value)
    .map(([name, value]) => ({
      code: 'token',
      message: `the token must say ${name}: ${JSON.stringify(value)}`
    }))
}

const asIs = (value: number): string => String(value)
const LIMITS: readonly [keyof Limits, RefusalCode, string, (value: number) => string][] = [
  ['cpu', 'cpu', 'CPU', asIs],
  ['memoryBytes', 'memory', 'memory', formatSize],
  ['diskBytes', 'disk', 'disk', formatSize],
  ['processesMax', 'processes', 'processes', asIs],
  ['outboundBitsPerSecond', 'bandwidth', 'outbound bandwidth', formatRate],
  ['outputBytesMax', 'output', 'kept output', formatSize],
  ['durationSeconds', 'duration', 'duration', formatDuration]
]

function limitReasons(perRun: AccessRules['perRun'], asked: Limits): Refusal[] {
  return LIMITS.flatMap(([name, code, noun, format]) =>
    within(asked[name], perRun[name])
      ? []
      : [{ code, message: `${noun}: asked ${format(asked[name])}, allowed ${format(perRun[name])} a run` }]
  )
}

function rulesetReasons(allowed: number, asked = 0): Refusal[] {
  if (within(asked, allowed)) return []
  const most = allowed === 0 ? 'none are taken' : `allowed ${formatSize(allowed)} a run`
  return [{ code: 'ruleset', message: `detection rules: asked ${formatSize(asked)}, ${most}` }]
}

/** Not `>`: a value that is not a number is within nothing. */
function within(asked: number, allowed: number): boolean {
  return asked >= 0 && asked <= allowed
}

function windowReasons(rules: AccessRules, durationSeconds: number, nowMs: number): Refusal[] {
  const untilMs = openUntil(rules, nowMs)
  if (untilMs === undefined) return [{ code: 'window', message: `closed now; ${describeWindows(rules)}` }]
  const leftSeconds = (untilMs - nowMs) / 1000
  if (durationSeconds <= leftSeconds) return []
  const left = formatDuration(Math.floor(leftSeconds))
  return [
    {
      code: 'window',
      message: `asked ${formatDuration(durationSeconds)}, but it closes in ${left}; ${describeWindows(rules)}`
    }
  ]
}

function runReasons(allowed: number, running: number): Refusal[] {
  if (running < allowed) return []
  return [{ code: 'concurrent-runs', message: `${running} runs of this peer now, allowed ${allowed}` }]
}

function sliceReasons(free: NonNullable<AccessRequest['free']>, asked: Limits): Refusal[] {
  const reasons: string[] = []
  for (const [name, , noun, format] of LIMITS)
    if (name in free) {
      const left = free[name as keyof typeof free] ?? 0
      if (!within(asked[name], left))
        reasons.push(`${noun}: asked ${format(asked[name])}, free ${format(left)}`)
    }
  if (free.servers < 1) reasons.push('all virtual servers of the slice are taken')
  return reasons.map((message) => ({ code: 'slice', message }))
}

/** `open mon-fri 18:00-08:00 (Europe/Berlin)` */
export function describeWindows({ windows, timeZone }: Pick<AccessRules, 'windows' | 'timeZone'>): string {
  if (windows.length === 0) return 'open always'
  return `open ${windows.map(({ days, from, to }) => `${days.join(' ')} ${from}-${to}`).join(', ')} (${timeZone})`
}
