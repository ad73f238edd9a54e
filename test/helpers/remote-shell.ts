/** A shell on another machine, through whatever program talks to it: lines are typed, and what comes back is read. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { EventEmitter, once } from 'node:events'

export class RemoteShell implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #events = new EventEmitter()
  readonly #closed: Promise<unknown>
  #isClosed = false
  #heard = ''
  #commands = 0
  /** All that was typed. */
  typed = ''

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child
    this.#closed = once(child, 'close').then(() => {
      this.#isClosed = true
      this.#events.emit('change')
    })
    child.stdout.on('data', (chunk: Buffer) => {
      this.#heard += chunk.toString('latin1')
      this.#events.emit('change')
    })
    // It may end before it has taken all.
    child.stdin.on('error', () => undefined)
  }

  /** Resolves with all that came back so far, when that holds `text`. */
  async until(text: string): Promise<string> {
    while (!this.#heard.includes(text)) {
      if (this.#isClosed) throw new Error(`the shell ended before it said ${text}: ${this.#heard}`)
      await once(this.#events, 'change')
    }
    return this.#heard
  }

  send(bytes: string): void {
    this.typed += bytes
    this.#child.stdin.write(bytes, 'latin1')
  }

  /** Type a command. @returns what came back, the echo of what was typed first */
  async does(command: string): Promise<string> {
    const from = this.#heard.length
    this.#commands += 1
    // Typed it is a sum, printed a number: the echo does not hold it.
    this.send(`${command}; echo end-$((${this.#commands}+1000))\n`)
    return (await this.until(`end-${this.#commands + 1000}`)).slice(from)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#closed
  }
}
