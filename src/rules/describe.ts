import { RULESET_BYTES_MAX } from '../constants.ts'
import { formatDuration, formatRate, formatSize } from '../config/quantities.ts'
import { describeWindows } from './evaluate.ts'
import type { AccessRules } from './schema.ts'

/** The rules as lines for people, plain text: the page and the command line show the same. */
export function describeRules(rules: AccessRules): string[] {
  const { perRun } = rules
  return [
    `Who: ${describeWho(rules.who)}.`,
    `A run may have up to ${perRun.cpu} CPU, ${formatSize(perRun.memoryBytes)} of memory, ` +
      `${formatSize(perRun.diskBytes)} of disk and ${perRun.processesMax} processes, for ${formatDuration(perRun.durationSeconds)}.`,
    `Output is kept up to ${formatSize(perRun.outputBytesMax)} a run.`,
    ...describeRuleset(perRun.rulesetBytes),
    `Runs of one peer at the same time: ${rules.concurrentRunsPerPeer}.`,
    `When: ${describeWindows(rules)}.`,
    `Network: ${describeEgress(rules)}.`,
    ...(rules.inboundPorts.length > 0 ? [`Inbound ports: ${rules.inboundPorts.join(', ')}.`] : []),
    rules.mayFreeze ? 'The owner may freeze runs when they need the machine.' : 'Runs are not frozen.'
  ]
}

function describeWho(who: AccessRules['who']): string {
  switch (who.kind) {
    case 'anyone':
      return 'anyone'
    case 'peers':
      return `these peers: ${who.peers.join(', ')}`
    case 'token': {
      const claims = Object.entries(who.claims).map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
      return `holders of a token of ${who.issuer}${claims.length > 0 ? ` that says ${claims.join(', ')}` : ''}`
    }
  }
}

/** What is bounded by more than the format is worth a line. */
function describeRuleset(bytes: number): string[] {
  if (bytes === 0) return ['Detection rules of a tenant are not taken.']
  if (bytes === RULESET_BYTES_MAX) return []
  return [`Detection rules of a tenant are taken up to ${formatSize(bytes)}, compiled.`]
}

function describeEgress({ egress, perRun }: AccessRules): string {
  const rate = `up to ${formatRate(perRun.outboundBitsPerSecond)} outbound guaranteed, more while others leave it`
  switch (egress.kind) {
    case 'none':
      return 'none'
    case 'allow':
      return `only to ${egress.to.map(({ host, protocol, port }) => `${host} ${protocol}/${port}`).join(', ')}; ${rate}`
    case 'internet':
      return `the Internet, ${rate}; never the owner's own network`
  }
}
