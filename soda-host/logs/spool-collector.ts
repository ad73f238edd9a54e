/**
 * Takes what a guest's kernel pushes down out of its spool, and into the log.
 *
 * Theory of operation. The spool is two files that the guest appends to (soda-host/kernort/linux/spool_user.c): one until
 * it is full, then the other, once that is empty. Goal: every whole frame that was ever in the spool is in the log, once,
 * in order, whenever this process is killed; and the spool stays small.
 * A file's bytes are copied as they are, so that the log's end tells how far it was taken: `fileStart` is where in
 * the log its first byte stands, and all that must be known of it. Only whole frames are copied: what is torn when a
 * guest has died is left out, and the next boot's frames stand behind a whole one. What is no frame at all (the guest
 * may be anything) is copied once a frame follows it; the reader calls it damage.
 * A file that was taken whole, while the other one has begun, is emptied, and then the state is saved. Whoever comes
 * in between finds that the file does not begin with what was taken of it.
 * A file that grows beyond any honest guest's is emptied at once.
 * What is taken while the guest lives is paid for out of its budget: one that writes without end fills its spool, and
 * sheds what it has no room for.
 *
 * Next to the bytes stands the last frame's head, by which the next boot goes on: only frames of this boot, or of the
 * next one, count.
 */
import { chmod, mkdir, open, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { KIB, MIB } from '../../src/constants.ts'
import { LogError } from '../../src/errors.ts'
import { FRAME_LOOK_WORK_BYTES, LOG_BUDGET, HostWork, SPOOL_LOOK_WORK_BYTES } from '../resources/host-work.ts'
import type { WorkTerms } from '../resources/host-work.ts'
import { headAfter } from './epoch.ts'
import { FRAME_BYTES_MAX, FRAME_HEADER_BYTES, type Frame } from './frame-layout.ts'
import { FrameScanner } from './frame-scanner.ts'
import type { LogStore } from './log-store.ts'

const SPOOL_FILE_BYTES = 4 * MIB
/** By how much a file may be larger; an honest guest is content with little more than a frame. */
const FILE_BYTES_BEYOND = 8 * FRAME_BYTES_MAX
const READ_BYTES = 256 * KIB

/** The last frame of a log, and the head of the chain behind it. */
export interface LogHead {
  boot: number
  frame: number
  /** Hex. */
  head: string
}

/** What must be known to go on. */
export interface CollectorState {
  /** The file that is being taken. */
  file: 0 | 1
  /** Offset in the log of its first byte. */
  fileStart: number
  /** Offset in the log behind the last frame that was looked at. */
  at: number
  /** Of that frame. */
  head?: LogHead
}

export const NEW_COLLECTOR: CollectorState = { file: 0, fileStart: 0, at: 0 }

/** What a guest's kernel is given to write its log to. */
export interface LogAttachment {
  /** Paths of the files of its spool. */
  spool: readonly [string, string]
  spoolFileBytes: number
  bootNumber: number
  /** Head of the log after the boot before, in hex. */
  previousHead?: string
}

export interface CollectorInit {
  store: Pick<LogStore, 'append' | 'read' | 'sync' | 'end'>
  /** Where the spool lies; made by {@link SpoolCollector.begin}. */
  directory: string
  state: CollectorState
  /** Writes the state down; when it returns, the next process will have it. */
  save: (state: CollectorState) => void
  /** When a guest goes on to the other file. @default 4 MiB */
  fileBytes?: number
  /** Of what the guest may make us do. */
  work?: WorkTerms
}

export class SpoolCollector {
  readonly #store: CollectorInit['store']
  readonly #directory: string
  readonly #save: CollectorInit['save']
  readonly #fileBytes: number
  readonly #work: HostWork
  #state: CollectorState
  /** As the next process would find it. */
  #saved: CollectorState
  #scanner: FrameScanner
  /** Bytes of the file that were read and are not told by the scanner yet, or not in the log. */
  #held: Buffer = Buffer.alloc(0)
  /** Offset in the file behind what was read. */
  #read: number
  /** What the state says of the file is so. */
  #isSure = false

  constructor(init: CollectorInit) {
    const { store, directory, state, save, fileBytes = SPOOL_FILE_BYTES } = init
    this.#store = store
    this.#fileBytes = fileBytes
    this.#directory = directory
    this.#save = save
    this.#work = new HostWork(LOG_BUDGET, init.work)
    this.#saved = state
    // A machine that crashed may have lost the end of the log.
    this.#state = { ...state, at: Math.min(state.at, store.end) }
    this.#read = Math.max(0, this.#state.at - state.fileStart)
    this.#scanner = new FrameScanner(this.#read)
  }

  get state(): CollectorState {
    return this.#state
  }

  /**
   * An empty spool for a guest that is going to boot; the one before must be gone.
   *
   * @throws ERR_LOG_ACCESS when it cannot be made; what `save` throws
   */
  async begin(): Promise<LogAttachment> {
    const { head } = this.#state
    const [first, second] = [this.#path(0), this.#path(1)]
    await this.#reaching(async () => {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 })
      for (const path of [first, second]) {
        await (await open(path, 'w', 0o600)).close()
        await chmod(path, 0o600)
      }
    })
    this.#turnTo(0)
    this.#saveIfChanged()
    return {
      spool: [first, second],
      spoolFileBytes: this.#fileBytes,
      bootNumber: head === undefined ? 0 : head.boot + 1,
      ...(head !== undefined && { previousHead: head.head })
    }
  }

  /**
   * Take what is there. `signal`: of a living guest; it waits for what is taken to be paid for.
   *
   * @throws ERR_LOG_ACCESS when not all could be kept (a full disk): call it again; what `save` throws, and the
   * signal's reason: likewise
   */
  async take(signal?: AbortSignal): Promise<void> {
    while (await this.#takeFile(signal));
  }

  /**
   * The guest is gone: take what is there, and remove the spool.
   *
   * @throws like {@link SpoolCollector.take}
   */
  async finish(): Promise<void> {
    await this.take()
    await this.#store.sync()
    await this.#reaching(() => rm(this.#directory, { recursive: true, force: true }))
    this.#turnTo(0)
    this.#saveIfChanged()
  }

  /** @returns true when there may be more */
  async #takeFile(signal: AbortSignal | undefined): Promise<boolean> {
    await this.#pay(SPOOL_LOOK_WORK_BYTES, signal)
    const { file } = this.#state
    // Asked first: once the other one has bytes, nothing is added to this one.
    const hasTurned = (await this.#sizeOf(other(file))) > 0
    const size = await this.#sizeOf(file)
    if (await this.#wasEmptied(size)) return this.#leaveFile(hasTurned)
    const sizeMax = this.#fileBytes + FILE_BYTES_BEYOND
    await this.#copy(Math.min(size, sizeMax), signal)
    if (!hasTurned && size <= sizeMax) return false
    await this.#empty(file)
    this.#isSure = false
    return this.#leaveFile(hasTurned)
  }

  /** Is it another file than the one that was taken from, as far as we know? */
  async #wasEmptied(size: number): Promise<boolean> {
    const { file, fileStart } = this.#state
    const taken = this.#store.end - fileStart
    if (size < taken) return true
    if (this.#isSure || taken === 0) return false
    const length = Math.min(taken, FRAME_HEADER_BYTES)
    const inLog = Buffer.concat(await Array.fromAsync(this.#store.read(fileStart, fileStart + length)))
    const inFile = Buffer.alloc(length)
    await using handle = await this.#reaching(() => open(this.#path(file)))
    await this.#reaching(() => handle.read(inFile, 0, length, 0))
    this.#isSure = inFile.equals(inLog)
    return !this.#isSure
  }

  /** It is empty, and all of it is in the log. */
  #leaveFile(hasTurned: boolean): boolean {
    this.#turnTo(hasTurned ? other(this.#state.file) : this.#state.file)
    this.#saveIfChanged()
    this.#isSure = true
    return hasTurned
  }

  #turnTo(file: 0 | 1): void {
    this.#state = { ...this.#state, file, fileStart: this.#store.end, at: this.#store.end }
    this.#scanner = new FrameScanner()
    this.#held = Buffer.alloc(0)
    this.#read = 0
  }

  /** All whole frames up to byte `size` of the file. */
  async #copy(size: number, signal: AbortSignal | undefined): Promise<void> {
    // What a full disk kept out the last time.
    await this.#keepTold()
    if (this.#read >= size) return
    await using file = await this.#reaching(() => open(this.#path(this.#state.file)))
    while (this.#read < size) {
      const chunk = Buffer.alloc(Math.min(READ_BYTES, size - this.#read))
      const { bytesRead } = await this.#reaching(() => file.read(chunk, 0, chunk.length, this.#read))
      if (bytesRead === 0) return
      const bytes = chunk.subarray(0, bytesRead)
      this.#read += bytesRead
      const looksBefore = this.#scanner.looks
      this.#held = Buffer.concat([this.#held, bytes])
      for (const scanned of this.#scanner.push(bytes)) if ('frame' in scanned) this.#note(scanned.frame)
      await this.#keepTold()
      await this.#pay(bytesRead + FRAME_LOOK_WORK_BYTES * (this.#scanner.looks - looksBefore), signal)
    }
  }

  async #pay(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    this.#work.count(bytes)
    if (signal !== undefined) await this.#work.paid(signal)
  }

  /** What the scanner is certain of goes into the log, but for what is there already. */
  async #keepTold(): Promise<void> {
    const { fileStart } = this.#state
    const heldFrom = this.#read - this.#held.length
    const told = this.#scanner.position
    const inLog = this.#store.end - fileStart
    if (told > inLog) await this.#store.append(this.#held.subarray(inLog - heldFrom, told - heldFrom))
    this.#held = Buffer.from(this.#held.subarray(told - heldFrom))
    this.#state = { ...this.#state, at: fileStart + told }
  }

  #note(frame: Frame): void {
    const { bootNumber: boot, number } = frame.header
    const { head } = this.#state
    const isNext = boot === (head === undefined ? 0 : head.boot + 1)
    const isLater = boot === head?.boot && number > head.frame
    if ((isNext || isLater) && number <= Number.MAX_SAFE_INTEGER)
      this.#state = { ...this.#state, head: { boot, frame: Number(number), head: headAfter(frame) } }
  }

  #saveIfChanged(): void {
    if (isDeepStrictEqual(this.#state, this.#saved)) return
    this.#save(this.#state)
    this.#saved = this.#state
  }

  async #empty(file: 0 | 1): Promise<void> {
    await this.#reaching(() => truncate(this.#path(file), 0))
  }

  async #sizeOf(file: 0 | 1): Promise<number> {
    return stat(this.#path(file)).then(
      ({ size }) => size,
      () => 0
    )
  }

  async #reaching<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (cause) {
      throw new LogError('ERR_LOG_ACCESS', `${this.#directory}: the spool cannot be used`, { cause })
    }
  }

  #path(file: 0 | 1): string {
    return join(this.#directory, String(file))
  }
}

function other(file: 0 | 1): 0 | 1 {
  return file === 0 ? 1 : 0
}
