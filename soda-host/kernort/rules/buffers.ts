/**
 * The buffers that options look at: one row each, and where a rule may name it.
 *
 * `sticky` names turn what follows to the buffer; `modifier` names (Snort 2) move the content before them;
 * `regexFlag` is the letter after a pcre that does the same.
 */

import type { AppProtocol, BufferRow, Side } from './buffer-row.ts'
import { EVENT_BUFFERS } from './events/buffers.ts'

const http = (
  code: number,
  side: Side,
  sticky: readonly string[],
  modifiers: readonly string[] = [],
  regexFlag?: string
): BufferRow => ({
  code,
  side,
  sticky,
  modifiers,
  apps: ['http'],
  ...(regexFlag === undefined ? {} : { regexFlag })
})

const tls = (code: number, side: Side, sticky: readonly string[]): BufferRow => ({
  code,
  side,
  sticky,
  modifiers: [],
  apps: ['tls']
})

const command = (code: number, app: AppProtocol, sticky: string): BufferRow => ({
  code,
  side: 'request',
  sticky: [sticky],
  modifiers: [],
  apps: [app]
})

/** Codes 0 and 1 are the packet's predicates and the effects: not buffers that a rule can name. */
export const BUFFERS = {
  payload: { code: 2, sticky: ['pkt_data'], modifiers: [], apps: [], side: 'both' },
  base64_data: { code: 3, sticky: ['base64_data'], modifiers: [], apps: [], side: 'both' },
  file_data: {
    code: 4,
    sticky: ['file_data', 'file.data'],
    modifiers: [],
    apps: ['http', 'smtp', 'ftp-data', 'smb'],
    side: 'both',
    hasInstances: true
  },
  http_method: http(5, 'request', ['http.method'], ['http_method'], 'M'),
  http_uri: http(6, 'request', ['http.uri'], ['http_uri', 'uricontent'], 'U'),
  http_uri_raw: http(7, 'request', ['http.uri.raw'], ['http_raw_uri'], 'I'),
  http_host: http(8, 'request', ['http.host'], ['http_host'], 'W'),
  http_host_raw: http(9, 'request', ['http.host.raw'], ['http_raw_host'], 'Z'),
  http_header: http(10, 'both', ['http.header'], ['http_header'], 'H'),
  http_header_raw: http(11, 'both', ['http.header.raw'], ['http_raw_header'], 'D'),
  http_cookie: http(12, 'both', ['http.cookie'], ['http_cookie'], 'C'),
  http_user_agent: http(13, 'request', ['http.user_agent'], ['http_user_agent'], 'V'),
  http_referer: http(14, 'request', ['http.referer', 'http_referer']),
  http_accept: http(15, 'request', ['http.accept', 'http_accept']),
  http_accept_enc: http(16, 'request', ['http.accept_enc', 'http_accept_enc']),
  http_accept_lang: http(17, 'request', ['http.accept_lang', 'http_accept_lang']),
  http_connection: http(18, 'both', ['http.connection', 'http_connection']),
  http_content_type: http(19, 'both', ['http.content_type', 'http_content_type']),
  http_content_len: http(20, 'both', ['http.content_len', 'http_content_len']),
  http_header_names: http(21, 'both', ['http.header_names', 'http_header_names']),
  http_request_body: http(22, 'request', ['http.request_body'], ['http_client_body'], 'P'),
  http_request_line: http(23, 'request', ['http.request_line', 'http_request_line']),
  http_request_header: {
    ...http(24, 'request', ['http.request_header', 'http_request_header']),
    hasInstances: true
  },
  http_start: http(25, 'both', ['http.start', 'http_start']),
  http_protocol: http(26, 'both', ['http.protocol', 'http_protocol']),
  http_stat_code: http(27, 'response', ['http.stat_code'], ['http_stat_code'], 'S'),
  http_stat_msg: http(28, 'response', ['http.stat_msg'], ['http_stat_msg'], 'Y'),
  http_response_line: http(29, 'response', ['http.response_line', 'http_response_line']),
  http_response_body: http(30, 'response', ['http.response_body'], ['http_server_body'], 'Q'),
  http_response_header: {
    ...http(31, 'response', ['http.response_header', 'http_response_header']),
    hasInstances: true
  },
  http_location: http(32, 'response', ['http.location', 'http_location']),
  http_server: http(33, 'response', ['http.server', 'http_server']),
  dns_query: {
    code: 34,
    sticky: ['dns.query', 'dns_query'],
    modifiers: [],
    apps: ['dns'],
    side: 'request',
    hasInstances: true
  },
  tls_sni: tls(35, 'request', ['tls.sni', 'tls_sni']),
  tls_cert_subject: tls(36, 'response', ['tls.cert_subject', 'tls_cert_subject']),
  tls_cert_issuer: tls(37, 'response', ['tls.cert_issuer', 'tls_cert_issuer']),
  tls_cert_serial: tls(38, 'response', ['tls.cert_serial', 'tls_cert_serial']),
  tls_cert_fingerprint: tls(39, 'response', ['tls.cert_fingerprint', 'tls_cert_fingerprint']),
  tls_certs: { ...tls(40, 'response', ['tls.certs', 'tls_certs']), hasInstances: true },
  ja3_hash: tls(41, 'request', ['ja3.hash', 'ja3_hash']),
  ja3_string: tls(42, 'request', ['ja3.string', 'ja3_string']),
  ja3s_hash: tls(43, 'response', ['ja3s.hash', 'ja3s_hash']),
  ja3s_string: tls(44, 'response', ['ja3s.string', 'ja3s_string']),
  ssh_proto: { code: 45, sticky: ['ssh.proto', 'ssh_proto'], modifiers: [], apps: ['ssh'], side: 'both' },
  ssh_software: {
    code: 46,
    sticky: ['ssh.software', 'ssh_software'],
    modifiers: [],
    apps: ['ssh'],
    side: 'both'
  },
  dce_stub_data: {
    code: 47,
    sticky: ['dce_stub_data', 'dcerpc.stub_data'],
    modifiers: [],
    apps: ['dcerpc', 'smb'],
    side: 'both'
  },
  sip_method: { code: 48, sticky: ['sip.method'], modifiers: [], apps: ['sip'], side: 'request' },
  sip_header: { code: 49, sticky: ['sip_header'], modifiers: [], apps: ['sip'], side: 'both' },
  sip_stat_code: { code: 50, sticky: ['sip.stat_code'], modifiers: [], apps: ['sip'], side: 'response' },
  smtp_helo: command(51, 'smtp', 'smtp.helo'),
  smtp_mail_from: command(52, 'smtp', 'smtp.mail_from'),
  smtp_rcpt_to: command(53, 'smtp', 'smtp.rcpt_to'),
  ftp_command: command(54, 'ftp', 'ftp.command'),
  ftp_command_data: command(55, 'ftp', 'ftp.command_data'),
  ...EVENT_BUFFERS
} as const satisfies Record<string, BufferRow>

export type BufferName = keyof typeof BUFFERS

export function bufferRow(name: BufferName): BufferRow {
  return BUFFERS[name]
}

export const BUFFER_NAMES = Object.keys(BUFFERS) as readonly BufferName[]

const REGEX_BUFFERS: ReadonlyMap<string, BufferName> = new Map(
  BUFFER_NAMES.flatMap((name) => {
    const letter = bufferRow(name).regexFlag
    return letter === undefined ? [] : [[letter, name] as const]
  })
)

/** The buffer that a letter after a pcre names. */
export function bufferOfRegexFlag(letter: string): BufferName | undefined {
  return REGEX_BUFFERS.get(letter)
}
