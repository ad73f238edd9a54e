/** What long-running commands share: they say when they are ready, and end in order when told to. */

import type { DaemonLog } from '../../soda-host/daemon/index.ts'
import { failureLines } from './exit-status.ts'

/** Resolves at the first SIGINT or SIGTERM. A second one ends the process at once. */
export async function untilToldToEnd(): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = () => {
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, end)
      resolve()
    }
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, end)
  })
}

/** Told what goes wrong in the background: one line, code first; what is said again and again is said once. */
export function backgroundLog(): (error: unknown) => void {
  let last = ''
  return (error) => {
    const code = error instanceof Error && 'code' in error ? `${String(error.code)} ` : ''
    const line = code + (error instanceof Error ? error.message : String(error))
    if (line !== last) console.error(`${new Date().toISOString()} ${line}`)
    last = line
  }
}

/** The daemon's log as lines for people: time, message, the fields that are short. */
export function humanLog(): DaemonLog {
  const say = (fields: object, message: string): void => {
    const words = Object.entries(fields).flatMap(([name, value]) => wordsOf(name, value))
    console.error([new Date().toISOString(), message, ...words].join('  '))
  }
  return { info: say, warn: say, error: say }
}

function wordsOf(name: string, value: unknown): string[] {
  if (value instanceof Error) return [failureLines(value).join('; ')]
  if (typeof value === 'string' || typeof value === 'number') return [`${name}=${value}`]
  return value === undefined ? [] : [`${name}=${JSON.stringify(value)}`]
}
