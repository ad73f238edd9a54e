/** Sticky buffers, the content modifiers of Snort 2, and transforms. */
import type { Transform } from '../ast.ts'
import { BUFFER_NAMES, bufferRow } from '../buffers.ts'
import type { KeywordRow } from './row.ts'

const TRANSFORMS: readonly Transform[] = [
  'dotprefix',
  'to_lowercase',
  'to_uppercase',
  'strip_whitespace',
  'compress_whitespace',
  'url_decode'
]

const STICKY = BUFFER_NAMES.filter((name) => name !== 'payload').flatMap((buffer) =>
  bufferRow(buffer).sticky.map((name): KeywordRow => ({
    names: [name],
    value: 'none',
    apply: (draft, place) => {
      draft.setSticky(buffer, place)
    }
  }))
)

const MODIFIERS = BUFFER_NAMES.flatMap((buffer) =>
  bufferRow(buffer)
    .modifiers.filter((name) => name !== 'uricontent')
    .map((name): KeywordRow => ({
      names: [name],
      value: 'none',
      apply: (draft, place) => {
        draft.moveContent(buffer, place)
      }
    }))
)

export const BUFFER_KEYWORDS: readonly KeywordRow[] = [
  ...STICKY,
  ...MODIFIERS,
  {
    names: ['pkt_data'],
    value: 'none',
    apply: (draft) => {
      draft.resetSticky()
    }
  },
  ...TRANSFORMS.map((transform): KeywordRow => ({
    names: [transform],
    value: 'none',
    apply: (draft, place) => {
      draft.addTransform(transform, place)
    }
  }))
]
