import type { Command, CommandFlow } from './channel-commands.ts'
import { fileError } from './channel-file-errors.ts'
import type { ChannelFlow, ChannelLink } from './channel-link.ts'
import { decodeEntryHead, decodePath, type GuestHello } from './channel-messages.ts'
import { Bell, Turns } from './channel-turns.ts'
import { ENTRY_BYTES, formatError, type Frame, FrameType, WINDOW_BYTES } from './frames.ts'
import type { GuestFile } from './types.ts'

/** Guest init stops at as many by itself. */
const ENTRIES_MAX = 100_000
/** The guest hears of what was read in steps of this size. */
const ACK_BYTES = 128 * 1024
/** Pieces smaller than this are joined while they wait, so that crumbs do not cost more than their bytes. */
const CRUMB_BYTES = 4096

interface Walk {
  command: Command
  pieces: Uint8Array[]
  /** acked <= read <= received <= acked + window */
  received: number
  read: number
  acked: number
  /** 0 or an errno, once the guest has told that there is no more. */
  result?: number
}

/**
 * Files out of the guest: a get command, then one stream of entries, cut into frames anywhere. The stream is parsed as
 * the consumer reads, so a guest with endless files gets no further than one window ahead.
 */
export class DownloadFlow implements ChannelFlow<GuestHello> {
  readonly #commands: CommandFlow
  readonly #failed: (error: Error) => void
  readonly #turns = new Turns()
  readonly #bell = new Bell()
  #link: ChannelLink | undefined
  #active: Walk | undefined
  /** Ended or given up before the guest has heard of a newer one: frames may still come, up to a window. */
  #former: Walk[] = []
  #error: Error | undefined

  constructor(commands: CommandFlow, failed: (error: Error) => void) {
    this.#commands = commands
    this.#failed = failed
  }

  /** For our hello: what is being received. */
  get progress(): { downloadSequence: number; downloadReceived: number } {
    const walk = this.#active
    if (walk?.command.sequence === undefined || walk.result !== undefined)
      return { downloadSequence: 0, downloadReceived: 0 }
    return { downloadSequence: walk.command.sequence, downloadReceived: walk.received }
  }

  async *files(signal?: AbortSignal): AsyncGenerator<GuestFile, void> {
    using _turn = await this.#turns.take(signal)
    const command = this.#commands.issue(FrameType.get)
    const walk: Walk = { command, pieces: [], received: 0, read: 0, acked: 0 }
    this.#active = walk
    this.#forgetBefore(command)
    try {
      for (let count = 0; await this.#hasMore(walk, signal); count++) {
        if (count >= ENTRIES_MAX) throw formatError(`more than ${ENTRIES_MAX} files`)
        yield* this.#entry(walk, signal)
      }
    } catch (error) {
      // Whatever else is in its stream cannot be believed.
      if (isFormatError(error)) this.#failed(error)
      throw error
    } finally {
      this.#active = undefined
      walk.pieces = []
      this.#former.push(walk)
    }
    if (walk.result !== 0) throw fileError(walk.result ?? 0, 'cannot hand over its files')
  }

  async *#entry(walk: Walk, signal?: AbortSignal): AsyncGenerator<GuestFile, void> {
    const { pathBytes, ...head } = decodeEntryHead(await this.#readExactly(walk, ENTRY_BYTES, signal))
    const path = decodePath(await this.#readExactly(walk, pathBytes, signal))
    const content = this.#content(walk, head.sizeBytes, signal)
    yield { ...head, path, content }
    // What was not read is passed over.
    const end = walk.read + content.left
    while (walk.read < end) await this.#read(walk, end - walk.read, signal)
  }

  #content(
    walk: Walk,
    sizeBytes: number,
    signal?: AbortSignal
  ): AsyncIterable<Uint8Array> & { left: number } {
    const read = this.#read.bind(this)
    return {
      left: sizeBytes,
      async *[Symbol.asyncIterator]() {
        while (this.left > 0) {
          const data = await read(walk, this.left, signal)
          this.left -= data.length
          yield data
        }
      }
    }
  }

  /** False at the end of the stream, which must lie between two entries unless the guest tells an error. */
  async #hasMore(walk: Walk, signal?: AbortSignal): Promise<boolean> {
    while (walk.pieces.length === 0) {
      if (walk.result !== undefined) return false
      await this.#change(signal)
    }
    return true
  }

  async #change(signal: AbortSignal | undefined): Promise<void> {
    if (this.#error !== undefined) throw this.#error
    await this.#bell.wait(signal)
  }

  async #readExactly(walk: Walk, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const first = await this.#read(walk, length, signal)
    if (first.length === length) return first
    const parts = [first]
    for (let left = length - first.length; left > 0; left -= parts.at(-1)?.length ?? 0)
      parts.push(await this.#read(walk, left, signal))
    return Buffer.concat(parts)
  }

  /** 1..`most` bytes. */
  async #read(walk: Walk, most: number, signal?: AbortSignal): Promise<Uint8Array> {
    if (!(await this.#hasMore(walk, signal))) {
      if (walk.result === 0) throw formatError('its files end in the middle of one')
      throw fileError(walk.result ?? 0, 'cannot hand over its files')
    }
    const [piece = new Uint8Array()] = walk.pieces
    const data = piece.subarray(0, most)
    if (data.length === piece.length) walk.pieces.shift()
    else walk.pieces[0] = piece.subarray(data.length)
    walk.read += data.length
    if (walk.read - walk.acked >= ACK_BYTES || walk.pieces.length === 0) this.acknowledge()
    return data
  }

  /** Tell the guest what was read, unless it is slow to read itself: then when it has caught up. */
  acknowledge(): void {
    const walk = this.#active
    if (walk?.command.sequence === undefined || walk.read <= walk.acked) return
    if (this.#link === undefined || this.#link.isCongested) return
    walk.acked = walk.read
    this.#link.send(FrameType.downloadAck, { sequence: walk.command.sequence, position: walk.acked })
  }

  /** Once the guest has done a command, it has nothing more to say of those before. */
  #forgetBefore(command: Command): void {
    const forget = (): void => {
      this.#former = this.#former.filter((known) => (known.command.sequence ?? 0) >= (command.sequence ?? 0))
    }
    command.done.then(forget, () => undefined)
  }

  /** @throws ERR_CHANNEL_FORMAT */
  receive({ sequence, position, payload }: Frame): void {
    const walk = this.#walkOf(sequence, position)
    if (position + payload.length > walk.acked + WINDOW_BYTES)
      throw formatError('more of its files than its window')
    walk.received += payload.length
    if (walk !== this.#active) return
    const last = walk.pieces.at(-1)
    if (last !== undefined && last.length + payload.length <= CRUMB_BYTES)
      walk.pieces[walk.pieces.length - 1] = Buffer.concat([last, payload])
    else walk.pieces.push(payload)
    this.#bell.ring()
  }

  /** @throws ERR_CHANNEL_FORMAT */
  finish({ sequence, position }: Frame, result: number): void {
    this.#walkOf(sequence, position).result = result
    this.#bell.ring()
  }

  #walkOf(sequence: number, position: number): Walk {
    const walk = [this.#active, ...this.#former].find((known) => known?.command.sequence === sequence)
    if (walk === undefined || walk.result !== undefined) throw formatError(`files of get ${sequence}`)
    if (position !== walk.received) throw formatError(`files at ${position}, expected ${walk.received}`)
    return walk
  }

  greet(_hello: GuestHello, link: ChannelLink): void {
    this.#link = link
    // Our hello has told how much was read.
    if (this.#active !== undefined) this.#active.acked = this.#active.read
  }

  /** What was not read will be sent again: else every lost connection would add a window to what waits here. */
  lost(): void {
    this.#link = undefined
    const walk = this.#active
    if (walk === undefined || walk.result !== undefined) return
    walk.pieces = []
    walk.received = walk.read
  }

  fail(error: Error): void {
    this.#error = error
    this.#bell.ring()
  }
}

function isFormatError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === 'ERR_CHANNEL_FORMAT'
}
