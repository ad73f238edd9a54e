import { closeSync, existsSync, fsyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs'

const SQLITE_FULL = 13

/** The system's word for it, or SQLite's. */
export function isDiskFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if ('errcode' in error) return error.errcode === SQLITE_FULL
  return 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}

/** Room on the disk that is ours, as a file that can be given up. */
export class DiskReserve {
  readonly #path: string
  readonly #bytes: number

  constructor(path: string, bytes: number) {
    this.#path = path
    this.#bytes = bytes
  }

  /** Take the room, if there is any and we do not have it. */
  fill(): void {
    if (statSync(this.#path, { throwIfNoEntry: false })?.size === this.#bytes) return
    try {
      const file = openSync(this.#path, 'w', 0o600)
      try {
        // Not a hole: these blocks must be there to be given up.
        writeSync(file, Buffer.alloc(this.#bytes))
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
    } catch (error) {
      rmSync(this.#path, { force: true })
      if (!isDiskFull(error)) throw error
    }
  }

  /** @returns false if there is nothing to give up */
  release(): boolean {
    if (!existsSync(this.#path)) return false
    rmSync(this.#path)
    return true
  }
}
