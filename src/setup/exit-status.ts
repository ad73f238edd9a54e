/** What the entry points of set-up have in common: signals abort, errors become an exit status. */
import { hasCode, isIShareError } from '../errors.ts'

/** sysexits.h: a service is unavailable; here, a system package that only root can install. */
const EX_UNAVAILABLE = 69
/** What shells report for a program that Ctrl+C ended: 128 + SIGINT. */
const INTERRUPTED = 130

/** Run an entry point and leave its exit status behind. Ctrl+C and SIGTERM abort `signal`; it then cleans up. */
export async function runEntry(body: (signal: AbortSignal) => Promise<number>): Promise<void> {
  const stop = new AbortController()
  const onSignal = (): void => stop.abort()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal)
  // `npm start | head`: whoever read is gone, and what runs must be ended in order all the same.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', onSignal)
  try {
    process.exitCode = await body(stop.signal)
  } catch (error) {
    process.exitCode = stop.signal.aborted ? INTERRUPTED : exitStatusOf(error)
    console.error(
      stop.signal.aborted ? '\nInterrupted. What was finished is kept: start again to go on.' : textOf(error)
    )
  }
}

function exitStatusOf(error: unknown): number {
  return hasCode(error, 'ERR_PACKAGES_MISSING') ? EX_UNAVAILABLE : 1
}

function textOf(error: unknown): string {
  if (isIShareError(error)) return `\n${error.code}: ${error.message}`
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
