/** Progress for people: one line that changes on a terminal, a line now and then in a log. */
import type { ProgressEvent, ProgressListener } from '../../soda-host/factory/index.ts'

/** A terminal's line changes at most this often. */
const REDRAW_INTERVAL_MS = 100
/** A log gets a line about the same step at most this often. */
const LOG_INTERVAL_MS = 15_000
const CLEAR_LINE = '\r\u001b[2K'

interface Output {
  isTTY?: boolean
  columns?: number
  write(text: string): unknown
}

/** The event in words: `compiling the guest kernel  42%  CC fs/pipe.o`. */
function describe({ task, fraction, detail }: ProgressEvent): string {
  const percent = fraction === undefined ? [] : [`${Math.floor(fraction * 100)}%`]
  // What other programs print must not move the cursor.
  const words = detail === undefined ? [] : [detail.replaceAll(/\p{Cc}+/gu, ' ')]
  return [task, ...percent, ...words].join('  ')
}

/** A listener that shows progress on `output`. @param now - in milliseconds */
export function progressLine(
  output: Output = process.stderr,
  now: () => number = Date.now
): ProgressListener {
  const started = new Map<string, number>()
  let shownAt = -Infinity
  let shownTask = ''
  const isTerminal = output.isTTY === true
  const clear = isTerminal ? CLEAR_LINE : ''

  const show = (event: ProgressEvent): void => {
    const interval = isTerminal ? REDRAW_INTERVAL_MS : LOG_INTERVAL_MS
    if (event.task === shownTask && now() - shownAt < interval) return
    shownAt = now()
    shownTask = event.task
    const text = `  ${describe(event)}`
    output.write(isTerminal ? clear + text.slice(0, (output.columns ?? 80) - 1) : `${text}\n`)
  }

  return (event) => {
    const since = started.get(event.task) ?? now()
    started.set(event.task, since)
    if (event.isWarning === true) output.write(`${clear}  warning: ${event.task}\n`)
    else if (event.isDone === true) {
      const seconds = ((now() - since) / 1000).toFixed(1)
      output.write(`${clear}  ${describe({ ...event, task: `${event.task}: done in ${seconds} s` })}\n`)
      started.delete(event.task)
      shownTask = ''
    } else show(event)
  }
}
