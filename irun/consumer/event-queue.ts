/**
 * The events of an attached run, in order, to one reader.
 *
 * Output is not queued: the reader reads it from the consumer's copy, and other events remember how far the
 * output was when they came. So a reader may come late, be slow or never come, in bounded memory; `takenBytes`
 * tells the provider how far it may go on.
 */
import type { RunEvent } from '../types.ts'
import type { Bell } from '../waiting.ts'
import type { OutputCopy } from './output-copy.ts'
import type { SpoolParser } from './spool-parser.ts'

/** States are a dozen; what may come more often is dropped, oldest first. */
const EVENTS_MAX = 256

export class EventQueue implements AsyncIterable<RunEvent> {
  readonly #copy: OutputCopy
  readonly #parser: SpoolParser
  readonly #queue: { event: RunEvent; at: number }[] = []
  readonly #changed: Bell
  #offset: number
  #isReading = false
  #wasRead = false
  #isEnded = false

  /** Output is delivered from `offset` on, where `parser` stands. */
  constructor(copy: OutputCopy, offset: number, parser: SpoolParser) {
    this.#copy = copy
    this.#offset = offset
    this.#parser = parser
    this.#changed = copy.grown
  }

  /** Output up to here is dealt with: read by the reader, or safe on disk if there is none. */
  get takenBytes(): number {
    return this.#isReading ? this.#offset : this.#copy.byteLength
  }

  push(event: RunEvent): void {
    const last = this.#queue.at(-1)
    if (event.type === 'progress' && last?.event.type === 'progress' && last.event.phase === event.phase)
      this.#queue.pop()
    this.#queue.push({ event, at: this.#copy.byteLength })
    if (this.#queue.length > EVENTS_MAX) {
      const index = this.#queue.findIndex(({ event: { type } }) => type !== 'state')
      this.#queue.splice(Math.max(0, index), 1)
    }
    this.#changed.ring()
  }

  /** Nothing follows. */
  end(): void {
    this.#isEnded = true
    this.#changed.ring()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RunEvent, void, undefined> {
    if (this.#wasRead) throw new TypeError('the events of a run handle can be iterated once')
    this.#isReading = this.#wasRead = true
    try {
      while (true) {
        const [head] = this.#queue
        if (this.#offset < (head?.at ?? this.#copy.byteLength)) yield* this.#readOutput(head?.at)
        else if (head !== undefined) {
          this.#queue.shift()
          yield head.event
        } else if (this.#isEnded) return
        else await this.#changed.wait(NEVER)
      }
    } finally {
      this.#isReading = false
      this.#changed.ring()
    }
  }

  async *#readOutput(end = this.#copy.byteLength): AsyncGenerator<RunEvent, void, undefined> {
    const bytes = await this.#copy.read(this.#offset, end)
    for (const { stream, data } of this.#parser.push(bytes)) yield { type: stream, data }
    this.#offset += bytes.byteLength
    this.#changed.ring()
  }
}

const NEVER = new AbortController().signal
