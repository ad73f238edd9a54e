/** Keywords of one application protocol each: TLS, DCERPC, SIP, SSH. */
import type { RuleDraft } from '../draft.ts'
import type { NumberTest } from '../ast.ts'
import type { BufferName } from '../buffers.ts'
import { refuse, splitPieces, type Piece } from '../refusal.ts'
import { readInteger, readNegation, readNumberTest, readText } from '../values.ts'
import type { KeywordRow, ValueRow } from './row.ts'

const VERSIONS: Readonly<Record<string, number>> = {
  sslv2: 1,
  sslv3: 2,
  'tls1.0': 4,
  'tls1.1': 8,
  'tls1.2': 16,
  'tls1.3': 32,
  '1.0': 4,
  '1.1': 8,
  '1.2': 16,
  '1.3': 32
}
const STATES: Readonly<Record<string, number>> = {
  client_hello: 1,
  server_hello: 2,
  client_keyx: 4,
  server_keyx: 8,
  unknown: 16
}

/** Words of a set, all of them negated or none. */
function readBitWords(
  value: Piece,
  separator: string,
  words: Readonly<Record<string, number>>
): { bits: number; negated: boolean } {
  let bits = 0
  const signs = new Set<boolean>()
  for (const piece of splitPieces({ ...value, text: readText(value) }, separator)) {
    const { negated, rest } = readNegation(piece)
    const bit = words[rest.text.toLowerCase()]
    if (bit === undefined)
      return refuse('value', `'${rest.text}' is none of ${Object.keys(words).join(', ')}`, rest)
    bits |= bit
    signs.add(negated)
  }
  if (signs.size > 1) refuse('combination', 'some words negated, some not', value)
  return { bits, negated: signs.has(true) }
}

function versionRow(names: readonly string[]): ValueRow {
  return {
    names,
    value: 'required',
    apply: (draft, value) => {
      const { bits, negated } = readBitWords(value, ',', VERSIONS)
      draft.packet.push({ kind: 'tls_version', versions: bits, negated })
    }
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

function applyDceInterface(draft: RuleDraft, value: Piece): void {
  const [uuid = value, ...rest] = splitPieces(value, ',')
  if (!UUID.test(uuid.text)) refuse('value', `'${uuid.text}' is no UUID`, uuid)
  let version: NumberTest | undefined
  for (const piece of rest.filter((word) => word.text !== 'any_frag')) {
    if (version !== undefined) refuse('combination', 'two versions', piece)
    version = readNumberTest(piece, 0, 65_535)
  }
  const isAnyFragment = rest.some((word) => word.text === 'any_frag')
  draft.packet.push({ kind: 'dce_iface', uuid: uuid.text.toLowerCase(), version, isAnyFragment })
}

function applyDceOpnum(draft: RuleDraft, value: Piece): void {
  const ranges = splitPieces({ ...value, text: readText(value) }, ',').map((piece) => {
    const [low = piece, high = low, extra] = splitPieces(piece, '-')
    if (extra !== undefined) refuse('value', `'${piece.text}' is no range`, piece)
    const range = [readInteger(low, 0, 65_535), readInteger(high, 0, 65_535)] as const
    if (range[0] > range[1]) refuse('value', `the range ${piece.text} runs backwards`, piece)
    return range
  })
  draft.packet.push({ kind: 'dce_opnum', ranges })
}

/** Keywords with a value that name a buffer's whole content, or its start. */
function wholeBuffer(name: string, buffer: BufferName, isWhole: boolean, form: RegExp): ValueRow {
  return {
    names: [name],
    value: 'required',
    apply: (draft, value) => {
      const words = splitPieces({ ...value, text: readText(value) }, ',').map((piece) => {
        const { negated, rest } = readNegation(piece)
        if (!form.test(rest.text)) refuse('value', `'${rest.text}' is not understood here`, rest)
        if (negated) refuse('unsupported', `a negated ${name}`, piece)
        return rest.text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      })
      draft.blockFor(false, buffer).options.push({
        kind: 'regex',
        source: `^(?:${words.join('|')})${isWhole ? '$' : ''}`,
        flags: 'i',
        negated: false,
        relative: false
      })
    }
  }
}

export const APPLICATION_KEYWORDS: readonly KeywordRow[] = [
  versionRow(['tls.version', 'ssl_version']),
  {
    names: ['ssl_state'],
    value: 'required',
    apply: (draft, value) => {
      const { bits, negated } = readBitWords(value, value.text.includes('|') ? '|' : ',', STATES)
      draft.packet.push({ kind: 'ssl_state', states: bits, negated })
    }
  },
  { names: ['dce_iface', 'dcerpc.iface'], value: 'required', apply: applyDceInterface },
  { names: ['dce_opnum', 'dcerpc.opnum'], value: 'required', apply: applyDceOpnum },
  wholeBuffer('sip_method', 'sip_method', true, /^[A-Za-z]{1,32}$/),
  wholeBuffer('sip_stat_code', 'sip_stat_code', false, /^\d{1,3}$/)
]
