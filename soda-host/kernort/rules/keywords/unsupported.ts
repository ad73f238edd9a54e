/** Keywords that Snort or Suricata know and that nothing here can evaluate: refused as what they are. */
import { refuse } from '../refusal.ts'
import type { KeywordRow } from './row.ts'

const NAMES = [
  ...['app-layer-event', 'app-layer-protocol', 'decode-event', 'stream-event', 'engine-event'],
  ...[
    'lua',
    'luajit',
    'dataset',
    'datarep',
    'iprep',
    'geoip',
    'filestore',
    'filemagic',
    'filename',
    'fileext'
  ],
  ...[
    'filemd5',
    'filesha1',
    'filesha256',
    'filesize',
    'hostbits',
    'entropy',
    'to_md5',
    'to_sha1',
    'to_sha256'
  ],
  ...[
    'activates',
    'activated_by',
    'count',
    'replace',
    'react',
    'resp',
    'session',
    'logto',
    'cvs',
    'gtp_type'
  ],
  ...['http.response_headers', 'http2.frametype', 'modbus', 'dnp3_func', 'enip_command', 'nfs_procedure']
]

export const UNSUPPORTED_KEYWORDS: readonly KeywordRow[] = NAMES.map((name) => ({
  names: [name],
  value: 'optional',
  apply: (_draft, _value, place) => {
    refuse('unsupported', `nothing here can evaluate '${name}'`, place)
  }
}))
