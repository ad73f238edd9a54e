/** The one table of keywords. */
import { EVENT_KEYWORDS } from '../events/keywords.ts'
import { APPLICATION_KEYWORDS } from './application.ts'
import { BIT_KEYWORDS } from './bits.ts'
import { BUFFER_KEYWORDS } from './buffers.ts'
import { BYTE_KEYWORDS } from './bytes.ts'
import { CONTENT_KEYWORDS } from './content.ts'
import { DATA_KEYWORDS } from './data.ts'
import { FLOW_KEYWORDS } from './flow.ts'
import { META_KEYWORDS } from './meta.ts'
import { PACKET_KEYWORDS } from './packet.ts'
import { REGEX_KEYWORDS } from './regex.ts'
import type { KeywordRow } from './row.ts'
import { THRESHOLD_KEYWORDS } from './threshold.ts'
import { UNSUPPORTED_KEYWORDS } from './unsupported.ts'

export const KEYWORDS: ReadonlyMap<string, KeywordRow> = new Map(
  [
    META_KEYWORDS,
    CONTENT_KEYWORDS,
    BUFFER_KEYWORDS,
    REGEX_KEYWORDS,
    BYTE_KEYWORDS,
    DATA_KEYWORDS,
    FLOW_KEYWORDS,
    BIT_KEYWORDS,
    PACKET_KEYWORDS,
    APPLICATION_KEYWORDS,
    THRESHOLD_KEYWORDS,
    UNSUPPORTED_KEYWORDS,
    EVENT_KEYWORDS
  ]
    .flat()
    .flatMap((row) => row.names.map((name) => [name, row] as const))
)
