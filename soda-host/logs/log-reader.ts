/**
 * Reads a sealed log: records, and whatever is wrong with it.
 *
 * Theory of operation
 *
 * Goal: every record that can be proven genuine, in order, once; and a finding for every place where the log is not
 * what the guest wrote. Attacker: whoever stores the log and may have changed any byte of it.
 *
 * With a key, a frame moves the state only after its tag has proven it: what a damaged header claims leads nowhere.
 * Without one, frames are taken by their shape, and what is checked is their order and their chain; damage inside a
 * sealed part does not show.
 * State: server, boot, number of the next frame, head, keys of the current epoch. Invariants: a record is given out
 * only from a frame that is proven and newer than all before it; memory is bounded (one frame, one epoch's keys).
 */
import { hasCode } from '../../src/errors.ts'
import { isLinked, openEpoch, openFrame, headAfter, type EpochKeys, type LogOpener } from './epoch.ts'
import type { Anchor, Finding, FindingKind } from './findings.ts'
import type { Frame, FrameHeader } from './frame-layout.ts'
import { FrameScanner, type Gap, type Scanned } from './frame-scanner.ts'
import { parseRecords, type LogRecord } from './record-parser.ts'

export type LogEntry =
  { type: 'record'; record: LogRecord; offset: number } | { type: 'finding'; finding: Finding }

export interface LogReaderInit {
  /** The tenant's. Without it order and chain are checked, and nothing is opened. */
  opener?: LogOpener
  /** Hex; a log of another server is then foreign from its first frame. @default that of the first frame */
  serverId?: string
  /** Heads that the log must hold. */
  anchors?: readonly Anchor[]
}

/** What was read so far. */
export interface LogSummary {
  serverId: string | undefined
  frames: number
  records: number
  /** Behind the last genuine frame. */
  head: Anchor | undefined
  /** The last boot has said that it ends. */
  isEnded: boolean
}

const NO_HEAD = '0'.repeat(64)

interface Boot {
  id: string
  number: number
  nextFrame: bigint
  nextRecord: bigint
  /** Frames were lost, so that records must be missing too; their next number is believed. */
  isRecordGapKnown: boolean
  isEnded: boolean
}

export class LogReader {
  readonly #opener: LogOpener | undefined
  readonly #scanner = new FrameScanner()
  readonly #anchors: Map<string, Anchor>
  #serverId: string | undefined
  #boot: Boot | undefined
  #head = NO_HEAD
  #keys: EpochKeys | undefined
  /** So that a lost epoch is told once. */
  #lostEpoch: string | undefined
  #frames = 0
  #records = 0

  constructor(init: LogReaderInit = {}) {
    this.#opener = init.opener
    this.#serverId = init.serverId
    this.#anchors = new Map(init.anchors?.map((anchor) => [anchorKey(anchor), anchor]))
  }

  get summary(): LogSummary {
    const boot = this.#boot
    return {
      serverId: this.#serverId,
      frames: this.#frames,
      records: this.#records,
      head:
        boot === undefined
          ? undefined
          : { bootNumber: boot.number, frameNumber: boot.nextFrame - 1n, head: this.#head },
      isEnded: boot?.isEnded ?? false
    }
  }

  /** What these bytes say, which come after all that were pushed before. */
  async *push(chunk: Uint8Array): AsyncGenerator<LogEntry> {
    for (const scanned of this.#scanner.push(chunk)) yield* this.#take(scanned)
  }

  /** What is left to say when no more bytes come. */
  async *end(): AsyncGenerator<LogEntry> {
    for (const scanned of this.#scanner.end()) yield* this.#take(scanned)
    for (const { bootNumber, frameNumber } of this.#anchors.values())
      yield this.#finding(
        'anchor',
        undefined,
        `the log lacks frame ${frameNumber} of boot ${bootNumber}, whose head is known`
      )
    if (this.#boot?.isEnded === false)
      yield this.#finding('unended', undefined, `boot ${this.#boot.number} has not said that it ended`)
  }

  async *#take(scanned: Scanned): AsyncGenerator<LogEntry> {
    if ('gap' in scanned) yield gapFinding(scanned.gap)
    else yield* this.#takeFrame(scanned.frame)
  }

  async *#takeFrame(frame: Frame): AsyncGenerator<LogEntry> {
    const { header } = frame
    if (this.#serverId !== undefined && header.serverId !== this.#serverId) {
      yield this.#finding('foreign', frame, `a frame of server ${header.serverId}`)
      return
    }
    const proven = await this.#prove(frame)
    if ('finding' in proven) {
      if (proven.finding !== undefined) yield proven.finding
      return
    }
    this.#serverId ??= header.serverId
    const orders = this.#follow(frame, proven.keys)
    yield* orders.findings
    if (!orders.isNew) return
    if (proven.keys !== undefined) this.#keys = proven.keys
    yield* this.#anchor(frame)
    this.#frames++
    if (proven.plain !== undefined) yield* this.#readRecords(frame, proven.plain)
    if (header.kind === 'end' && this.#boot !== undefined) this.#boot.isEnded = true
  }

  /** Proof that the guest sealed this frame, with what it opens; or a finding; or a finding that was told already. */
  async #prove(
    frame: Frame
  ): Promise<{ finding: LogEntry | undefined } | { keys?: EpochKeys; plain?: Buffer }> {
    if (this.#opener === undefined) return {}
    const { header } = frame
    if (header.kind === 'epoch') return await this.#proveEpoch(frame, this.#opener)
    if (this.#keys?.bootId !== header.bootId || this.#keys.epoch !== header.epoch)
      return { finding: this.#withoutKeys(frame) }
    const plain = openFrame(frame, this.#keys)
    if (plain !== undefined) return { plain }
    return { finding: this.#finding('unopenable', frame, 'the frame is not what was sealed') }
  }

  async #proveEpoch(frame: Frame, opener: LogOpener): Promise<{ finding: LogEntry } | { keys: EpochKeys }> {
    const { header } = frame
    const keys = await openEpoch(frame, opener)
    if (keys === 'foreign')
      return {
        finding: this.#finding(
          'not-for-key',
          frame,
          `epoch ${header.epoch} is not sealed to key ${opener.id}`
        )
      }
    if (keys === 'damaged')
      return { finding: this.#finding('unopenable', frame, `epoch ${header.epoch} does not open`) }
    const before = this.#keys
    if (before?.bootId === header.bootId && !isLinked(keys, before))
      return {
        finding: this.#finding(
          'unlinked',
          frame,
          `epoch ${header.epoch} was not begun by the guest that wrote epoch ${before.epoch}`
        )
      }
    return { keys }
  }

  /** A frame of an epoch that is not open: old, or its epoch's beginning is lost. */
  #withoutKeys(frame: Frame): LogEntry | undefined {
    const { header } = frame
    if (this.#isOld(header)) return this.#repeated(frame)
    const epoch = `${header.bootId} ${header.epoch}`
    if (epoch === this.#lostEpoch) return undefined
    this.#lostEpoch = epoch
    return this.#finding(
      'missing',
      frame,
      `the beginning of epoch ${header.epoch} is lost: its frames cannot be opened`
    )
  }

  #isOld({ bootId, bootNumber, number }: FrameHeader): boolean {
    const boot = this.#boot
    if (boot === undefined) return false
    return bootId === boot.id ? number < boot.nextFrame : bootNumber <= boot.number
  }

  #repeated(frame: Frame): LogEntry {
    return this.#finding('repeated', frame, `older than what stands before it, or there already`)
  }

  /** Move on to `frame`, which is genuine, and say what lies between. */
  #follow(frame: Frame, keys: EpochKeys | undefined): { findings: LogEntry[]; isNew: boolean } {
    const { header } = frame
    if (this.#isOld(header)) return { findings: [this.#repeated(frame)], isNew: false }
    const findings =
      header.bootId === this.#boot?.id ? this.#followInBoot(frame, this.#boot) : this.#followBoot(frame)
    const before = this.#keys
    if (keys !== undefined && before?.bootId === keys.bootId && keys.epoch > before.epoch + 1)
      findings.push(
        this.#finding('missing', frame, range('epoch', BigInt(before.epoch + 1), BigInt(keys.epoch - 1)))
      )
    this.#head = headAfter(frame)
    return { findings, isNew: true }
  }

  #followInBoot(frame: Frame, boot: Boot): LogEntry[] {
    const { header } = frame
    const findings: LogEntry[] = []
    if (header.number > boot.nextFrame) {
      findings.push(this.#finding('missing', frame, range('frame', boot.nextFrame, header.number - 1n)))
      boot.isRecordGapKnown = true
    } else if (header.previous !== this.#head || header.bootNumber !== boot.number || boot.isEnded)
      findings.push(
        this.#finding('broken-chain', frame, 'it follows on another frame than the one before it')
      )
    boot.nextFrame = header.number + 1n
    return findings
  }

  #followBoot(frame: Frame): LogEntry[] {
    const { header } = frame
    const { bootNumber, number, previous } = header
    const before = this.#boot
    const findings: LogEntry[] = []
    if (before?.isEnded === false)
      findings.push(this.#finding('unended', frame, `boot ${before.number} ended without saying so`))
    const isKnownStart = before === undefined && this.#isAnchored(frame)
    const expected = before === undefined ? 0 : before.number + 1
    if (bootNumber > expected && !isKnownStart)
      findings.push(this.#finding('missing', frame, range('boot', BigInt(expected), BigInt(bootNumber - 1))))
    if (number > 0n && !isKnownStart)
      findings.push(this.#finding('missing', frame, range('frame', 0n, number - 1n)))
    if (bootNumber === expected && number === 0n && previous !== this.#head)
      findings.push(
        this.#finding('broken-chain', frame, 'the boot was begun on another end than that of the one before')
      )
    this.#boot = {
      id: header.bootId,
      number: bootNumber,
      nextFrame: number + 1n,
      nextRecord: 0n,
      isRecordGapKnown: number > 0n,
      isEnded: false
    }
    return findings
  }

  /** Does the log, whose older part was given up, begin behind a head that is known? */
  #isAnchored({ header }: Frame): boolean {
    const key = anchorKey({ bootNumber: header.bootNumber, frameNumber: header.number - 1n })
    const isKnown = this.#anchors.get(key)?.head === header.previous
    if (isKnown) this.#anchors.delete(key)
    return isKnown
  }

  *#anchor(frame: Frame): Generator<LogEntry> {
    const { bootNumber, number } = frame.header
    const key = anchorKey({ bootNumber, frameNumber: number })
    const anchor = this.#anchors.get(key)
    if (anchor === undefined) return
    this.#anchors.delete(key)
    if (anchor.head !== this.#head)
      yield this.#finding('anchor', frame, 'the head after this frame is not the one that is known')
  }

  *#readRecords(frame: Frame, plain: Buffer): Generator<LogEntry> {
    const { header, offset } = frame
    let count = 0
    try {
      for (const record of parseRecords(plain, header.bootNumber)) {
        count++
        yield* this.#checkNumber(frame, record)
        this.#records++
        yield { type: 'record', record, offset }
      }
    } catch (error) {
      if (!hasCode(error, 'ERR_LOG_FORMAT')) throw error
      yield this.#finding('records', frame, (error as Error).message)
    }
    if (count !== header.recordCount)
      yield this.#finding('records', frame, `it tells of ${header.recordCount} records and holds ${count}`)
  }

  *#checkNumber(frame: Frame, record: LogRecord): Generator<LogEntry> {
    const boot = this.#boot
    if (boot === undefined) return
    if (record.number !== boot.nextRecord && !boot.isRecordGapKnown)
      yield this.#finding('records', frame, `expected record ${boot.nextRecord}, got ${record.number}`)
    boot.isRecordGapKnown = false
    boot.nextRecord = record.number + 1n
  }

  #finding(kind: FindingKind, frame: Frame | undefined, text: string): LogEntry {
    const place =
      frame === undefined
        ? { offset: this.#scanner.position }
        : { offset: frame.offset, boot: frame.header.bootNumber, frame: frame.header.number }
    return { type: 'finding', finding: { kind, ...place, text } }
  }
}

function anchorKey({ bootNumber, frameNumber }: Pick<Anchor, 'bootNumber' | 'frameNumber'>): string {
  return `${bootNumber}:${frameNumber}`
}

function gapFinding({ offset, bytes, isTail }: Gap): LogEntry {
  const text = isTail ? `the log ends in ${bytes} bytes of a frame` : `${bytes} bytes are no frame`
  return { type: 'finding', finding: { kind: isTail ? 'unfinished' : 'damaged', offset, text } }
}

function range(what: string, first: bigint, last: bigint): string {
  return first === last ? `${what} ${first} is missing` : `${what}s ${first} to ${last} are missing`
}
