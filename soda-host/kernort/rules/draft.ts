/**
 * A rule while it is being read, option by option.
 *
 * The rules for where an option goes: into the sticky buffer if one is set; a relative one otherwise follows the
 * option that moved the cursor last, as in Suricata; all others look at the payload.
 */
import type {
  Block,
  BufferOption,
  Content,
  DetectionFilter,
  Effect,
  EventPart,
  Flow,
  Operand,
  PacketOption,
  RuleHeader,
  Threshold,
  Transform
} from './ast.ts'
import { bufferRow, type BufferName } from './buffers.ts'
import { protocolRow, type ProtocolRow } from './header.ts'
import { refuse, type Piece } from './refusal.ts'

/** What was said of a content besides itself; to refuse saying it twice. */
export interface ContentSaid {
  readonly words: Set<string>
  readonly place: Piece
  block: Block
  readonly content: Content
}

const POSITIONED = new Set<BufferOption['kind']>([
  'content',
  'regex',
  'byte_test',
  'byte_jump',
  'byte_extract',
  'byte_math'
])

export class RuleDraft {
  readonly header: RuleHeader
  readonly protocol: ProtocolRow
  readonly text = new Map<'msg' | 'sid' | 'gid' | 'rev' | 'classtype' | 'priority', string>()
  readonly references: string[] = []
  readonly metadata: string[] = []
  readonly packet: PacketOption[] = []
  readonly effects: Effect[] = []
  readonly blocks: Block[] = []
  readonly variables = new Set<string>()
  readonly keywords = new Set<string>()
  readonly contents: ContentSaid[] = []
  /** Undefined: a rule on packets. */
  readonly event: EventPart | undefined
  flow: Flow | undefined
  threshold: Threshold | undefined
  detectionFilter: DetectionFilter | undefined
  isNoAlert = false
  /** The TCP or ICMP of a keyword that asks for it. */
  private sticky:
    | {
        buffer: BufferName
        transforms: Transform[]
        block: Block | undefined
        isUsed: boolean
        place: Piece
      }
    | undefined
  private moved: Block | undefined
  private content: ContentSaid | undefined

  constructor(header: RuleHeader) {
    this.header = header
    this.protocol = protocolRow(header)
    if (this.protocol.isOfEvents === true) this.event = { kinds: [], tests: [], firstTime: undefined }
  }

  /** From here on options look at `buffer`. */
  setSticky(buffer: BufferName, place: Piece): void {
    this.endSticky()
    this.sticky = { buffer, transforms: [], block: undefined, isUsed: false, place }
    this.content = undefined
    this.moved = undefined
  }

  /** Back to the payload (`pkt_data`). */
  resetSticky(): void {
    this.endSticky()
    this.sticky = undefined
    this.content = undefined
    this.moved = undefined
  }

  /** A sticky buffer that nothing looks at is a mistake, as in Suricata. */
  endSticky(): void {
    const { sticky } = this
    if (
      sticky !== undefined &&
      sticky.block === undefined &&
      !sticky.isUsed &&
      sticky.buffer !== 'base64_data'
    )
      refuse('combination', `nothing looks at the buffer '${sticky.place.text}'`, sticky.place)
  }

  get stickyBuffer(): BufferName | undefined {
    return this.sticky?.buffer
  }

  /** Something looks at the sticky buffer that is no option on it. */
  useSticky(): void {
    if (this.sticky !== undefined) this.sticky.isUsed = true
  }

  addTransform(transform: Transform, place: Piece): void {
    if (this.sticky === undefined) return refuse('combination', `'${transform}' needs a sticky buffer`, place)
    if (this.sticky.block !== undefined)
      refuse('combination', `'${transform}' must stand right after its buffer`, place)
    if (this.sticky.transforms.length >= 4) refuse('limit', 'a buffer has at most 4 transforms', place)
    this.sticky.transforms.push(transform)
  }

  /** The block that a new option belongs to; `named` is a buffer that the option itself names. */
  blockFor(relative: boolean, named?: BufferName): Block {
    if (this.sticky !== undefined && (named === undefined || named === this.sticky.buffer)) {
      const { buffer, transforms } = this.sticky
      this.sticky.block ??= this.findBlock(buffer, transforms)
      return this.sticky.block
    }
    if (named !== undefined) return this.findBlock(named, [])
    if (relative && this.moved !== undefined) return this.moved
    return this.findBlock('payload', [])
  }

  private findBlock(buffer: BufferName, transforms: readonly Transform[]): Block {
    const same = this.blocks.findLast(
      (block) =>
        block.buffer === buffer &&
        block.transforms.length === transforms.length &&
        block.transforms.every((transform, index) => transform === transforms[index])
    )
    // Each mention of a sticky buffer that comes several times stands for one of them.
    const isAnother = bufferRow(buffer).hasInstances === true && this.sticky?.buffer === buffer
    if (same !== undefined && !isAnother && buffer !== 'base64_data') return same
    const block: Block = { buffer, transforms: [...transforms], options: [] }
    this.blocks.push(block)
    return block
  }

  add(option: BufferOption, relative: boolean, named?: BufferName): void {
    const block = this.blockFor(relative, named)
    block.options.push(option)
    if (POSITIONED.has(option.kind)) this.moved = block
  }

  addContent(content: Content, place: Piece, named?: BufferName): void {
    const block = this.blockFor(false, named)
    block.options.push(content)
    this.moved = block
    this.content = { words: new Set(), place, block, content }
    this.contents.push(this.content)
  }

  /** The content that a modifier speaks of. */
  lastContent(modifier: Piece): ContentSaid {
    return this.content ?? refuse('combination', `'${modifier.text}' needs a content before it`, modifier)
  }

  /** Snort 2: `content:"x"; http_uri;`. */
  moveContent(buffer: BufferName, modifier: Piece): void {
    const said = this.lastContent(modifier)
    if (said.words.has('buffer'))
      refuse('combination', 'the content before it has a buffer already', modifier)
    if (said.words.has('rawbytes'))
      refuse('combination', `'rawbytes' and '${modifier.text}' exclude each other`, modifier)
    said.words.add('buffer')
    const from = said.block
    from.options.splice(from.options.indexOf(said.content), 1)
    if (from.options.length === 0) {
      this.blocks.splice(this.blocks.indexOf(from), 1)
      if (this.sticky?.block === from) this.sticky.block = undefined
    }
    said.block = this.findBlock(buffer, [])
    said.block.options.push(said.content)
    this.moved = said.block
  }

  /** A number or a variable that was extracted before. */
  checkOperand(operand: Operand, place: Piece): void {
    if (typeof operand === 'string' && !this.variables.has(operand))
      refuse('variable', `'${operand}' is neither a number nor extracted before`, place)
  }
}
