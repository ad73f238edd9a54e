import { HostError } from '../../src/errors.ts'
import type { StdinAnswer } from './api.ts'
import { abortable } from './bell.ts'
import type { Keeper } from './keeper.ts'
import { until } from './server-book.ts'

export interface StdinPiece {
  /** Bytes that came before, since the program started. */
  offset: number
  data: Uint8Array
  /** Nothing comes after this piece. */
  isLast: boolean
}

/**
 * Standard input of one server, a piece at a time: who sends a piece hears of it when the guest has taken it, so
 * that nothing which a client has forgotten is lost with the daemon, and a program that does not read holds its
 * consumer back.
 */
export class StdinFeed {
  readonly #keeper: Keeper
  readonly #holdMs: number
  #turn: Promise<unknown> = Promise.resolve()

  /** `holdMs`: a piece that is not taken by then is answered with how far it was. */
  constructor(keeper: Keeper, holdMs: number) {
    this.#keeper = keeper
    this.#holdMs = holdMs
  }

  /**
   * @returns how far the guest has taken input; less than asked when the program is slow
   * @throws ERR_SERVER_STATE when the piece does not begin there, or the program has ended
   */
  take(piece: StdinPiece, signal: AbortSignal): Promise<StdinAnswer> {
    const turn = this.#turn.then(() => this.#take(piece, signal))
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  async #take(piece: StdinPiece, signal: AbortSignal): Promise<StdinAnswer> {
    const patience = AbortSignal.timeout(this.#holdMs)
    try {
      await this.#feed(piece, AbortSignal.any([signal, patience]))
    } catch (error) {
      signal.throwIfAborted()
      if (!patience.aborted) throw error
    }
    const { takenBytes: offset, ended } = this.#keeper.book.record.stdin
    return { offset, ended }
  }

  async #feed({ offset, data, isLast }: StdinPiece, signal: AbortSignal): Promise<void> {
    const { book } = this.#keeper
    await this.#untilStarted(signal)
    if (data.length === 0 && isLast && this.#isEndKnown(offset)) return
    await this.#keeper.program(signal)
    if (offset !== this.#takenBytes)
      throw new HostError(
        'ERR_SERVER_STATE',
        `standard input of server ${book.id} stands at ${this.#takenBytes}, not at ${offset}`
      )
    if (book.record.stdin.ended)
      throw new HostError('ERR_SERVER_STATE', `standard input of server ${book.id} has ended`)
    if (data.length > 0) await this.#feedData(offset, data, signal)
    if (!isLast) return
    // First noted, then said: whoever finds the note says it again.
    book.note({ stdin: { ...book.record.stdin, ended: true } })
    await abortable(this.#keeper.guest.stdinEnd(offset + data.length), signal)
  }

  /** The end said again, or to a program that is no more: nothing can be lost by it. */
  #isEndKnown(offset: number): boolean {
    const { state, stdin } = this.#keeper.book.record
    if (offset !== stdin.takenBytes) return false
    if (state !== 'running' && !stdin.ended) this.#keeper.book.note({ stdin: { ...stdin, ended: true } })
    return state !== 'running' || stdin.ended
  }

  /** To the guest there is and, if that is lost, the rest to the next one. */
  async #feedData(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void> {
    const { book, guest } = this.#keeper
    const target = offset + data.length
    while (this.#takenBytes < target) {
      await this.#untilStarted(signal)
      const { state, boots } = book.record
      if (state !== 'running')
        throw new HostError(
          'ERR_SERVER_STATE',
          `the program of server ${book.id} ended before it took its input`
        )
      await this.#keeper.program(signal)
      // Its failure shows in the server's state.
      guest.stdin(this.#takenBytes, data.subarray(this.#takenBytes - offset)).catch(() => undefined)
      const isOver = (): boolean => book.record.state !== 'running' || book.record.boots !== boots
      await until(book.changed, () => this.#takenBytes >= target || isOver(), signal)
    }
  }

  async #untilStarted(signal: AbortSignal): Promise<void> {
    const { book } = this.#keeper
    await until(book.changed, () => !['created', 'booting', 'restarting'].includes(book.record.state), signal)
  }

  get #takenBytes(): number {
    return this.#keeper.book.record.stdin.takenBytes
  }
}
