/** How many addresses names have opened for each server: a guest asks as often as it likes. Pure but for the clock. */

/** One port of one address, open for `seconds`. */
export interface ResolvedEntry {
  address: string
  protocol: 'tcp' | 'udp'
  port: number
  seconds: number
}

export class ResolvedBook {
  readonly #max: number
  /** By server, then by what is open: until when, in milliseconds of a clock that never jumps. */
  readonly #open = new Map<string, Map<string, number>>()

  constructor(entriesMax: number) {
    this.#max = entriesMax
  }

  /** @returns those that may be opened: the rest is too much at a time */
  enter(id: string, entries: readonly ResolvedEntry[], nowMs = performance.now()): ResolvedEntry[] {
    const open = this.#open.get(id) ?? new Map<string, number>()
    this.#open.set(id, open)
    for (const [key, untilMs] of open) if (untilMs <= nowMs) open.delete(key)
    return entries.filter(({ address, protocol, port, seconds }) => {
      const key = `${address} ${protocol} ${port}`
      if (!open.has(key) && open.size >= this.#max) return false
      open.set(key, nowMs + seconds * 1000)
      return true
    })
  }

  forget(id: string): void {
    this.#open.delete(id)
  }
}
