import { RunError, WireError } from '../../src/errors.ts'
import { ReceiveWindow } from '../byte-window.ts'
import type { RunHost } from '../host.ts'
import { TAR_ENTRY_OVERHEAD_BYTES, FILES_ENTRIES_MAX } from '../../src/constants.ts'
import { STAGING_WINDOW_BYTES } from '../limits.ts'
import type { HostedRunTask } from './hosted-run.ts'

/** Input files on their way from one session to the host. A broken session leaves the lease un-staged. */
export class Staging {
  readonly #run: HostedRunTask
  readonly #host: RunHost
  readonly #confirm: (offset: number) => void
  readonly #fail: (error: unknown) => void
  #window: ReceiveWindow | undefined
  #putting: Promise<void> = Promise.resolve()

  /** `fail` is told when the host refuses the files, maybe long before they have all been sent. */
  constructor(
    run: HostedRunTask,
    host: RunHost,
    confirm: (offset: number) => void,
    fail: (error: unknown) => void
  ) {
    this.#run = run
    this.#host = host
    this.#confirm = confirm
    this.#fail = fail
  }

  /** @throws ERR_RUN_STATE, ERR_RUN_FILES when it is more than the lease's disk holds */
  push(offset: number, data: Uint8Array, signal: AbortSignal): void {
    const { state, limits, serverId } = this.#run.record
    if (state !== 'leased') throw new RunError('ERR_RUN_STATE', `a run that is ${state} takes no files`)
    if (offset + data.byteLength > limits.diskBytes + FILES_ENTRIES_MAX * TAR_ENTRY_OVERHEAD_BYTES)
      throw new RunError('ERR_RUN_FILES', `run ${this.#run.record.runId}: the files exceed the disk`)
    this.#run.noteProgress()
    if (this.#window === undefined) {
      this.#window = new ReceiveWindow(STAGING_WINDOW_BYTES, this.#confirm)
      this.#putting = this.#host.putFiles(serverId, this.#window.chunks(signal), signal)
      this.#putting.catch(this.#fail)
    }
    this.#window.push(offset, data)
  }

  /** All has been sent: resolves when the host has it. @throws ERR_RUN_STATE, ERR_FILES_FORMAT, ERR_FILES_LIMIT */
  async end(bytes: number): Promise<void> {
    if (this.#run.record.state !== 'leased') return
    if (this.#window === undefined && bytes > 0) throw new WireError('ERR_WIRE_FORMAT', 'no files were sent')
    this.#window?.end(bytes)
    await this.#putting
    this.#run.advance('stage')
  }

  /** Resolves when the host has let go of what was sent. */
  async abort(): Promise<void> {
    this.#window?.abort(new WireError('ERR_WIRE_CLOSED', 'the consumer went away'))
    await this.#putting.catch(() => undefined)
  }
}
