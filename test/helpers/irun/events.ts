import type { RunEvent, RunHandle, RunOutput } from '../../../irun/index.ts'

export interface Seen {
  stdout: Buffer
  stderr: Buffer
  states: string[]
  events: RunEvent[]
}

/** Read a run's events to their end. */
export async function seenOf(run: RunHandle): Promise<Seen> {
  const [stdout, stderr]: Uint8Array[][] = [[], []]
  const events: RunEvent[] = []
  for await (const event of run.events) {
    if (event.type === 'stdout') stdout?.push(event.data)
    else if (event.type === 'stderr') stderr?.push(event.data)
    else events.push(event)
  }
  const states = events.flatMap((event) => (event.type === 'state' ? [event.state] : []))
  return { stdout: Buffer.concat(stdout ?? []), stderr: Buffer.concat(stderr ?? []), states, events }
}

/** Standard output of logs, as text. */
export async function textOf(logs: AsyncIterable<RunOutput>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const { stream, data } of logs) if (stream === 'stdout') chunks.push(data)
  return Buffer.concat(chunks).toString()
}

/** Events of a run to look at one by one; the rest stay for the next look. */
export class EventReader {
  readonly #events: AsyncIterator<RunEvent>
  #text = ''

  constructor(run: RunHandle) {
    this.#events = run.events[Symbol.asyncIterator]()
  }

  /** Resolves when standard output, all of it together, contains `word`. */
  async output(word: string): Promise<void> {
    await this.until(() => this.#text.includes(word), `output ${word}`)
  }

  async state(state: string): Promise<void> {
    await this.until((event) => event?.type === 'state' && event.state === state, `state ${state}`)
  }

  async until(condition: (event: RunEvent | undefined) => boolean, what: string): Promise<void> {
    if (condition(undefined)) return
    for (let next = await this.#events.next(); next.done !== true; next = await this.#events.next()) {
      const { value } = next
      if (value.type === 'stdout') this.#text += Buffer.from(value.data).toString('latin1')
      if (condition(value)) return
    }
    throw new Error(`the events ended without ${what}`)
  }
}
