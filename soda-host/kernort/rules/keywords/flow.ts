/** `flow`: direction and state of the connection. */
import type { Flow } from '../ast.ts'
import type { RuleDraft } from '../draft.ts'
import { refuse, splitPieces, type Piece } from '../refusal.ts'
import type { KeywordRow } from './row.ts'

type FlowKey = keyof Flow

const WORDS: Readonly<Record<string, { readonly key: FlowKey; readonly value: string }>> = {
  to_server: { key: 'direction', value: 'to_server' },
  from_client: { key: 'direction', value: 'to_server' },
  to_client: { key: 'direction', value: 'to_client' },
  from_server: { key: 'direction', value: 'to_client' },
  established: { key: 'state', value: 'established' },
  not_established: { key: 'state', value: 'not_established' },
  stateless: { key: 'state', value: 'stateless' },
  only_stream: { key: 'stream', value: 'only_stream' },
  no_stream: { key: 'stream', value: 'no_stream' },
  only_frag: { key: 'fragments', value: 'only_frag' },
  no_frag: { key: 'fragments', value: 'no_frag' }
}

function applyFlow(draft: RuleDraft, value: Piece, name: Piece): void {
  if (draft.flow !== undefined) refuse('combination', "'flow' twice", name)
  const flow: Record<FlowKey, string | undefined> = {
    direction: undefined,
    state: undefined,
    stream: undefined,
    fragments: undefined
  }
  for (const piece of splitPieces(value, ',')) {
    const word = WORDS[piece.text.toLowerCase()]
    if (word === undefined) return refuse('value', `'${piece.text}' is not understood here`, piece)
    const said = flow[word.key]
    if (said !== undefined)
      refuse(
        'combination',
        `'${piece.text}' ${said === word.value ? 'repeats' : 'contradicts'} a word before it`,
        piece
      )
    flow[word.key] = word.value
  }
  draft.flow = flow as Flow
}

export const FLOW_KEYWORDS: readonly KeywordRow[] = [{ names: ['flow'], value: 'required', apply: applyFlow }]
