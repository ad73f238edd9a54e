/** What happens to a run, as it happens: one line that changes on a terminal, a line per state elsewhere. */
import type { RunEvent, RunState } from '../../irun/index.ts'
import { formatSize } from '../config/index.ts'
import { noticeText } from './notice-text.ts'
import { note } from './output.ts'

const SAID: Partial<Record<RunState, string>> = {
  accepted: 'rules accepted',
  leased: 'leased',
  staged: 'files are there',
  booting: 'virtual server boots',
  running: 'running',
  exited: 'program ended',
  collected: 'files are here',
  receipt: 'receipt signed'
}

/** Bytes are shown again after this many more. */
const STEP_BYTES = 1024 * 1024

export class Progress {
  readonly #quiet: boolean
  readonly #live = process.stderr.isTTY
  readonly #startedAtMs = performance.now()
  #lineOpen = false
  #shownBytes = 0

  constructor(quiet: boolean) {
    this.#quiet = quiet
  }

  event(event: Exclude<RunEvent, { data: Uint8Array }>): void {
    if (this.#quiet) return
    switch (event.type) {
      case 'state':
        this.#state(event.state)
        break
      case 'progress':
        this.#bytes(event)
        break
      case 'notice':
        this.#say(noticeText(event))
        break
      case 'connection':
        if (event.status === 'lost')
          this.#say(`connection lost, next try in ${(event.retryMs / 1000).toFixed(1)} s; the run goes on`)
    }
  }

  #state(state: RunState): void {
    const text = SAID[state]
    if (text === undefined) return
    this.#say(text)
  }

  #say(text: string): void {
    this.end()
    const seconds = ((performance.now() - this.#startedAtMs) / 1000).toFixed(2)
    note(`${seconds.padStart(8)} s  ${text}`)
  }

  #bytes({ phase, bytes, totalBytes }: Extract<RunEvent, { type: 'progress' }>): void {
    if (!this.#live || (bytes - this.#shownBytes < STEP_BYTES && bytes !== totalBytes)) return
    this.#shownBytes = bytes
    const total = totalBytes === undefined ? '' : ` of ${formatSize(totalBytes)}`
    process.stderr.write(`\r\u001B[K            ${phase} ${formatSize(bytes)}${total}`)
    this.#lineOpen = true
  }

  /** Leave the changing line, so that other text starts on its own. */
  end(): void {
    if (this.#lineOpen) process.stderr.write('\r\u001B[K')
    this.#lineOpen = false
    this.#shownBytes = 0
  }
}
