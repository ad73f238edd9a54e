/**
 * What the table can say and the engine cannot evaluate yet. A rule that needs it would never match: it is refused, so
 * that coverage means what it says. A test compares these lists with the engine's sources.
 */
import type { PacketOption, Rule } from '../ast.ts'
import type { BufferName } from '../buffers.ts'

export const BUFFERS_MISSING: readonly BufferName[] = [
  'tls_cert_fingerprint',
  'ja3_hash',
  'ja3_string',
  'ja3s_hash',
  'ja3s_string',
  'dce_stub_data',
  'sip_method',
  'sip_header',
  'sip_stat_code'
]

const PACKET_OPTIONS_MISSING: readonly PacketOption['kind'][] = [
  'tls_version',
  'ssl_state',
  'dce_iface',
  'dce_opnum'
]

/** What of a rule the engine cannot evaluate; undefined: all of it can be. */
export function missingInEngine(rule: Rule): string | undefined {
  return (
    rule.blocks.map(({ buffer }) => buffer).find((buffer) => BUFFERS_MISSING.includes(buffer)) ??
    rule.packet.map(({ kind }) => kind).find((kind) => PACKET_OPTIONS_MISSING.includes(kind))
  )
}
