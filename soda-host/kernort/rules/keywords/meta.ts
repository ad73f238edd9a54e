/** Keywords that say what a rule is, not what it matches. */
import type { RuleDraft } from '../draft.ts'
import { refuse, splitPieces, type Piece } from '../refusal.ts'
import { readInteger, readText } from '../values.ts'
import type { KeywordRow, ValueRow } from './row.ts'

const UINT32_MAX = 0xffff_ffff

function once(
  draft: RuleDraft,
  key: 'msg' | 'sid' | 'gid' | 'rev' | 'classtype' | 'priority',
  text: string,
  name: Piece
): void {
  if (draft.text.has(key)) refuse('combination', `'${key}' twice`, name)
  draft.text.set(key, text)
}

function numberRow(key: 'sid' | 'gid' | 'rev' | 'priority', low: number, high: number): ValueRow {
  return {
    names: [key],
    value: 'required',
    apply: (draft, value, name) => {
      once(draft, key, String(readInteger({ ...value, text: readText(value) }, low, high)), name)
    }
  }
}

export const META_KEYWORDS: readonly KeywordRow[] = [
  {
    names: ['msg'],
    value: 'required',
    apply: (draft, value, name) => {
      once(draft, 'msg', readText(value), name)
    }
  },
  numberRow('sid', 1, UINT32_MAX),
  numberRow('gid', 0, UINT32_MAX),
  numberRow('rev', 0, UINT32_MAX),
  numberRow('priority', 1, 255),
  {
    names: ['classtype'],
    value: 'required',
    apply: (draft, value, name) => {
      const text = readText(value)
      if (!/^[\w.-]+$/.test(text)) refuse('value', `'${text}' is no class`, value)
      once(draft, 'classtype', text, name)
    }
  },
  {
    names: ['reference'],
    value: 'required',
    apply: (draft, value) => {
      const [kind, ...rest] = splitPieces(value, ',')
      if (kind === undefined || kind.text === '' || rest.every((piece) => piece.text === ''))
        refuse('value', 'a reference is `kind,text`', value)
      draft.references.push(value.text)
    }
  },
  {
    names: ['metadata'],
    value: 'required',
    apply: (draft, value) => {
      draft.metadata.push(value.text)
    }
  },
  {
    names: ['target'],
    value: 'required',
    apply: (_draft, value) => {
      if (value.text !== 'src_ip' && value.text !== 'dest_ip')
        refuse('value', `'${value.text}' is neither src_ip nor dest_ip`, value)
    }
  },
  // How to order the prefilter is the compiler's business.
  { names: ['prefilter'], value: 'none', apply: () => undefined },
  {
    names: ['noalert'],
    value: 'none',
    apply: (draft) => {
      draft.isNoAlert = true
    }
  },
  {
    names: ['alert'],
    value: 'none',
    apply: (draft) => {
      draft.isNoAlert = false
    }
  }
]
