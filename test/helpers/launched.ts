import { once, EventEmitter } from 'node:events'
import type {
  GuestFile,
  GuestLimit,
  LaunchSpec,
  OutputStream,
  ProgramExit,
  ServerListener
} from '../../soda-host/virtual-server/types.ts'

/** A listener that keeps what it is told, and lets tests await it. */
export class RecordingListener implements ServerListener {
  readonly exited: Promise<ProgramExit>
  readonly #chunks: { stream: OutputStream; data: Buffer }[] = []
  readonly #events = new EventEmitter()
  readonly #exit = Promise.withResolvers<ProgramExit>()
  /** Bytes of both streams so far. */
  outputBytes = 0
  stdinTakenBytes = 0
  exits = 0
  limits: readonly GuestLimit[] = []
  /** Keep count only, for programs that print without end. */
  isCountingOnly = false

  constructor() {
    this.exited = this.#exit.promise
    this.#events.setMaxListeners(0)
  }

  async output(stream: OutputStream, data: Uint8Array, offset: number): Promise<void> {
    // What a dead daemon had stored already is skipped, as the spool does.
    const fresh = data.subarray(Math.max(0, this.outputBytes - offset))
    this.outputBytes += fresh.length
    if (!this.isCountingOnly) this.#chunks.push({ stream, data: Buffer.from(fresh) })
    this.#events.emit('change')
  }

  stdinTaken(offset: number): void {
    this.stdinTakenBytes = Math.max(this.stdinTakenBytes, offset)
    this.#events.emit('change')
  }

  limitsReached(limits: readonly GuestLimit[]): void {
    this.limits = limits
    this.#events.emit('change')
  }

  async programExited(exit: ProgramExit): Promise<void> {
    this.exits += 1
    this.#exit.resolve(exit)
    this.#events.emit('change')
  }

  text(stream: OutputStream): string {
    return Buffer.concat(
      this.#chunks.filter((chunk) => chunk.stream === stream).map(({ data }) => data)
    ).toString()
  }

  /** Resolves when `isTrue` is, looked at after everything that we are told. */
  async until(isTrue: (listener: this) => boolean): Promise<void> {
    while (!isTrue(this)) await once(this.#events, 'change')
  }
}

/** A file to put into a guest. */
export function inputFile(path: string, content: string | Uint8Array, mode = 0o644): GuestFile {
  const bytes = Buffer.from(content)
  return { path, mode, sizeBytes: bytes.length, kind: 'file', content: chunksOf(bytes) }
}

export function inputDirectory(path: string): GuestFile {
  return { path, mode: 0o755, sizeBytes: 0, kind: 'directory', content: chunksOf(Buffer.alloc(0)) }
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  const CHUNK_BYTES = 60_000
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES)
}

/** All that comes back, read in order: path → content, undefined for a directory. */
export async function readFiles(files: AsyncIterable<GuestFile>): Promise<Map<string, Buffer | undefined>> {
  const found = new Map<string, Buffer | undefined>()
  for await (const file of files) {
    const content: Uint8Array[] = []
    for await (const chunk of file.content) content.push(chunk)
    found.set(file.path, file.kind === 'file' ? Buffer.concat(content) : undefined)
  }
  return found
}

let lastId = 0

/** A spec for a small server; `artifacts` are host paths. */
export function launchSpec(
  directory: string,
  artifacts: Pick<LaunchSpec, 'kernelPath' | 'initrdPath' | 'imagePath'>,
  changes: Partial<LaunchSpec> = {}
): LaunchSpec {
  lastId += 1
  const number = String(lastId).padStart(4, '0')
  return {
    id: `test-${process.pid}-${number}`.padEnd(16, 'x'),
    directory,
    slot: 1000 + (lastId % 1000),
    hostCpu: 0,
    limits: {
      cpu: 1,
      memoryBytes: 64 * 1024 * 1024,
      diskBytes: 64 * 1024 * 1024,
      processesMax: 64,
      outputBytesMax: 1024 * 1024
    },
    ...artifacts,
    ...changes
  }
}
