/** `$HOME_NET`, `$HTTP_PORTS` …: what they mean in this rule set. */
import { RulesetError } from '../../../src/errors.ts'
import { parseAddresses } from './addresses.ts'
import type { AddressSpec, PortSpec } from './ast.ts'
import type { GroupContext } from './group-list.ts'
import { GROUP_DEPTH_MAX } from './limits.ts'
import { parsePorts } from './ports.ts'
import { refuse, RuleRefused } from './refusal.ts'

/** Text as it would stand in a rule. */
export interface VariableTexts {
  readonly addresses: Readonly<Record<string, string>>
  readonly ports: Readonly<Record<string, string>>
}

export interface Variables {
  readonly addresses: GroupContext<AddressSpec>
  readonly ports: GroupContext<PortSpec>
}

/** A guest is one machine: all networks are any until somebody says otherwise. Ports as Suricata ships them. */
export const DEFAULT_VARIABLES: VariableTexts = {
  addresses: Object.fromEntries(
    [
      'HOME_NET EXTERNAL_NET HTTP_SERVERS SMTP_SERVERS SQL_SERVERS DNS_SERVERS TELNET_SERVERS SSH_SERVERS',
      'FTP_SERVERS SIP_SERVERS SNMP_SERVERS AIM_SERVERS DC_SERVERS DNP3_SERVER DNP3_CLIENT MODBUS_CLIENT',
      'MODBUS_SERVER ENIP_CLIENT ENIP_SERVER'
    ]
      .join(' ')
      .split(' ')
      .map((name) => [name, 'any'])
  ),
  ports: {
    HTTP_PORTS: '80',
    SHELLCODE_PORTS: '!80',
    ORACLE_PORTS: '1521',
    SSH_PORTS: '22',
    FTP_PORTS: '21',
    SIP_PORTS: '[5060,5061,5600]',
    DNP3_PORTS: '20000',
    MODBUS_PORTS: '502',
    GENEVE_PORTS: '6081',
    VXLAN_PORTS: '4789',
    TEREDO_PORTS: '3544',
    FILE_DATA_PORTS: '[$HTTP_PORTS,110,143]'
  }
}

/**
 * Variables by name; those given replace the defaults one by one.
 *
 * @throws ERR_RULESET_VARIABLE when a text is no group
 */
export function readVariables(given: Partial<VariableTexts> = {}): Variables {
  return {
    addresses: context({ ...DEFAULT_VARIABLES.addresses, ...given.addresses }, parseAddresses),
    ports: context({ ...DEFAULT_VARIABLES.ports, ...given.ports }, parsePorts)
  }
}

function context<Spec>(
  texts: Readonly<Record<string, string>>,
  parse: (piece: { text: string; offset: number }) => Spec
): GroupContext<Spec> {
  const specs = new Map(Object.entries(texts).map(([name, text]) => [name, parseVariable(name, text, parse)]))
  return {
    lookUp(name, place, depth) {
      if (depth > GROUP_DEPTH_MAX)
        refuse('variable', `$${name} is defined through itself, or too deep`, place)
      return specs.get(name) ?? refuse('variable', `$${name} is not defined`, place)
    }
  }
}

function parseVariable<Spec>(
  name: string,
  text: string,
  parse: (piece: { text: string; offset: number }) => Spec
): Spec {
  try {
    return parse({ text: text.trim(), offset: 0 })
  } catch (error) {
    if (!(error instanceof RuleRefused)) throw error
    throw new RulesetError('ERR_RULESET_VARIABLE', `$${name} = ${text}: ${error.message}`, { cause: error })
  }
}
