/** How a run lives on, as flags say it. */
import { InvalidArgumentError } from 'commander'
import { constants } from 'node:os'
import type { Restart, Warning } from '../documents/index.ts'
import { duration } from './options.ts'

/** @throws InvalidArgumentError */
export function restartWords(text: string): Restart {
  if (text === 'never' || text === 'always' || text === 'on-failure') return { policy: text }
  const maximum = Number(/^on-failure:(\d{1,4})$/.exec(text)?.[1])
  if (maximum >= 1 && maximum <= 1000) return { policy: 'on-failure', maximum }
  throw new InvalidArgumentError(
    'expected never, always, on-failure, or on-failure: and how often at most (1..1000)'
  )
}

/** @throws InvalidArgumentError */
export function warningWords(text: string): Warning {
  const [time = '', ...rest] = text.split(':')
  const seconds = duration(time)
  if (seconds < 1 || seconds > 86_400) throw new InvalidArgumentError('expected 1s to 24h before the end')
  return rest.length === 0 ? { seconds } : { seconds, signal: signalNumber(rest.join(':')) }
}

/** By name, with or without SIG, or by number. @throws InvalidArgumentError */
function signalNumber(text: string): number {
  const name = `SIG${text.toUpperCase().replace(/^SIG/, '')}`
  const number = /^\d{1,2}$/.test(text) ? Number(text) : (constants.signals as Record<string, number>)[name]
  if (number !== undefined && number >= 1 && number <= 64) return number
  throw new InvalidArgumentError(`expected a signal such as USR1, got ${JSON.stringify(text)}`)
}
