/** The keys that let go of a run, as Docker writes and handles them. */
import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'

export const DETACH_KEYS = 'ctrl-p,ctrl-q'

/**
 * The bytes of keys such as `ctrl-p,ctrl-q` or `ctrl-a,d`: each a character, or `ctrl-` and one of a-z @ [ \ ] ^ _.
 * @throws InvalidArgumentError
 */
export function detachKeys(text: string): Uint8Array {
  return Uint8Array.from(text.split(','), (key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1]
    // The key with Ctrl is its place in the row of capitals.
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f
    if (/^[\x21-\x7e]$/.test(key)) return key.charCodeAt(0)
    throw new InvalidArgumentError(
      `expected keys such as ctrl-p,ctrl-q or ctrl-a,d; got ${JSON.stringify(key)}`
    )
  })
}

export interface AttachingFlags {
  detachKeys?: Uint8Array
  sigProxy?: boolean
}

/** For a session. */
export function attachingOf({ detachKeys: keys, sigProxy = false }: AttachingFlags): {
  detachKeys?: Uint8Array
  sigProxy: boolean
} {
  return { ...(keys === undefined ? {} : { detachKeys: keys }), sigProxy }
}

/** How a terminal is let go of, and what signals mean: as in Docker. */
export function attachingOptions(command: Command): Command {
  return command
    .option(
      '--detach-keys <keys>',
      `with a terminal: what lets go of the run (default: ${DETACH_KEYS})`,
      detachKeys
    )
    .option('--sig-proxy', 'pass signals such as that of Ctrl+C on to the program, in place of letting go')
}

/** Finds the keys in what is typed. What may be their beginning is held back until the next key tells. */
export class DetachWatch {
  readonly #keys: Uint8Array
  #held: number[] = []

  constructor(keys: Uint8Array) {
    this.#keys = keys
  }

  /** `forward`: what is the program's, up to the keys if they are found. */
  take(typed: Uint8Array): { forward: Uint8Array; isDetached: boolean } {
    const forward: number[] = []
    for (const byte of typed) {
      this.#held.push(byte)
      while (!this.#held.every((held, at) => held === this.#keys[at])) forward.push(this.#held.shift() ?? 0)
      if (this.#held.length === this.#keys.length)
        return { forward: Uint8Array.from(forward), isDetached: true }
    }
    return { forward: Uint8Array.from(forward), isDetached: false }
  }
}
