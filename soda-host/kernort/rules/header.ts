/** `alert tcp $HOME_NET any -> any 80`: the words before the parenthesis. */
import { parseAddresses } from './addresses.ts'
import type { Action, AppProtocol, IpProtocol, RuleHeader } from './ast.ts'
import { parsePorts } from './ports.ts'
import { refuse, type Piece } from './refusal.ts'

const ACTIONS: Readonly<Record<string, Action>> = {
  alert: 'alert',
  log: 'log',
  pass: 'pass',
  drop: 'drop',
  sdrop: 'drop',
  reject: 'reject',
  rejectsrc: 'reject',
  rejectdst: 'reject',
  rejectboth: 'reject'
}

export interface ProtocolRow {
  readonly ip: readonly IpProtocol[]
  readonly app?: AppProtocol
  /** `tcp-pkt` and `tcp-stream` say what the payload is. */
  readonly on?: 'packet' | 'stream'
  /** What programs do: no packets. */
  readonly isOfEvents?: true
}

const EVERY: readonly IpProtocol[] = ['tcp', 'udp', 'icmp', 'icmp6', 'other']
const tcp = (app: AppProtocol): ProtocolRow => ({ ip: ['tcp'], app })

export const PROTOCOLS: Readonly<Record<string, ProtocolRow>> = {
  ip: { ip: EVERY },
  ip4: { ip: EVERY },
  ip6: { ip: EVERY },
  ipv4: { ip: EVERY },
  ipv6: { ip: EVERY },
  pkthdr: { ip: EVERY },
  tcp: { ip: ['tcp'] },
  'tcp-pkt': { ip: ['tcp'], on: 'packet' },
  'tcp-stream': { ip: ['tcp'], on: 'stream' },
  udp: { ip: ['udp'] },
  icmp: { ip: ['icmp', 'icmp6'] },
  icmpv4: { ip: ['icmp'] },
  icmpv6: { ip: ['icmp6'] },
  http: tcp('http'),
  http1: tcp('http'),
  dns: { ip: ['tcp', 'udp'], app: 'dns' },
  tls: tcp('tls'),
  ssl: tcp('tls'),
  smtp: tcp('smtp'),
  ftp: tcp('ftp'),
  'ftp-data': tcp('ftp-data'),
  smb: tcp('smb'),
  ssh: tcp('ssh'),
  dcerpc: { ip: ['tcp', 'udp'], app: 'dcerpc' },
  sip: { ip: ['tcp', 'udp'], app: 'sip' },
  syscall: { ip: [], isOfEvents: true },
  console: { ip: [], isOfEvents: true }
}

export function protocolRow(header: RuleHeader): ProtocolRow {
  return PROTOCOLS[header.protocol] ?? { ip: EVERY }
}

/** `alert syscall (…)`: where there is no packet, nobody has to write addresses. */
function isShort(words: readonly Piece[]): boolean {
  return words.length === 2 && PROTOCOLS[words[1]?.text ?? '']?.isOfEvents === true
}

function anyToAny(words: readonly Piece[]): Piece[] {
  const offset = words.at(-1)?.offset ?? 0
  return ['any', 'any', '->', 'any', 'any'].map((text) => ({ text, offset }))
}

/**
 * @throws RuleRefused when a word is missing, left over or not understood
 */
export function parseHeader(words: readonly Piece[]): RuleHeader {
  if (isShort(words)) return parseHeader([...words, ...anyToAny(words)])
  const [action, protocol, source, sourcePorts, arrow, destination, destinationPorts, extra] = words
  const last = words.at(-1) ?? { text: '', offset: 0 }
  if (action === undefined) return refuse('syntax', 'nothing before the parenthesis', last)
  const known = ACTIONS[action.text]
  if (known === undefined) return refuse('header', `'${action.text}' is no action`, action)
  if (protocol === undefined) return refuse('header', 'the protocol is missing', last)
  if (PROTOCOLS[protocol.text] === undefined) refuse('header', `'${protocol.text}' is no protocol`, protocol)
  if (source === undefined || sourcePorts === undefined || arrow === undefined)
    return refuse('header', 'source, source ports or direction are missing', last)
  if (arrow.text !== '->' && arrow.text !== '<>')
    refuse('header', `'${arrow.text}' is no direction: '->' or '<>'`, arrow)
  if (destination === undefined || destinationPorts === undefined)
    return refuse('header', 'destination or destination ports are missing', last)
  if (extra !== undefined) refuse('header', `'${extra.text}' is left over`, extra)
  return {
    action: known,
    protocol: protocol.text,
    source: parseAddresses(source),
    sourcePorts: parsePorts(sourcePorts),
    destination: parseAddresses(destination),
    destinationPorts: parsePorts(destinationPorts),
    isBidirectional: arrow.text === '<>'
  }
}
