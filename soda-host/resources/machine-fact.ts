export type FactStatus = 'ok' | 'warn' | 'fail'

export interface MachineFact {
  /** Stable name: kebab-case. */
  name: string
  status: FactStatus
  /** What was found. */
  found: string
  /** What to do about it; empty for `ok`. */
  advice: string
}
