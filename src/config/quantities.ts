/** Sizes, durations and rates as people write them. Read and written here and nowhere else. */
import { ConfigError } from '../errors.ts'

const SIZE_UNITS = ['', 'K', 'M', 'G', 'T', 'P']
const RATE_UNITS = ['', 'K', 'M', 'G', 'T']
const DURATION_UNITS = { w: 604_800, d: 86_400, h: 3600, m: 60, s: 1 } as const

/** Longer text is not looked at. */
const TEXT_LENGTH_MAX = 32

/**
 * Bytes: `512M`, `2G`, `1.5 GiB`, `4096`. Units are powers of 1024, as in Docker and QEMU.
 *
 * @throws ERR_CONFIG_VALUE when it is not a size
 */
export function parseSize(text: string): number {
  return parseScaled(text, /^(\d+(?:\.\d+)?) ?([KMGTP]?)(?:i?B)?$/i, 1024, 'a size such as 512M or 2G')
}

/**
 * Bits per second: `10M`, `1.5 Gbit/s`, `64000`. Units are powers of 1000, as in tc(8).
 *
 * @throws ERR_CONFIG_VALUE when it is not a rate
 */
export function parseRate(text: string): number {
  return parseScaled(
    text,
    /^(\d+(?:\.\d+)?) ?([KMGT]?)(?:bit(?:\/s)?)?$/i,
    1000,
    'a rate in bits such as 10M or 1G'
  )
}

function parseScaled(text: string, form: RegExp, base: number, expected: string): number {
  const parts = text.length > TEXT_LENGTH_MAX ? null : form.exec(text.trim())
  const [, number, unit] = parts ?? []
  const value = Math.round(Number(number) * base ** SIZE_UNITS.indexOf((unit ?? '').toUpperCase()))
  if (!Number.isSafeInteger(value)) throw notA(expected, text)
  return value
}

/**
 * Seconds: `90s`, `10m`, `2h`, `1h 30m`, `3d`, `90`.
 *
 * @throws ERR_CONFIG_VALUE when it is not a duration
 */
export function parseDuration(text: string): number {
  const expected = 'a duration such as 90s, 10m or 1h30m'
  const trimmed = text.trim()
  if (/^\d{1,12}$/.test(trimmed)) return Number(trimmed)
  // Each unit at most once, the larger ones first.
  const form = /^(?:(\d{1,9})w)? ?(?:(\d{1,9})d)? ?(?:(\d{1,9})h)? ?(?:(\d{1,9})m)? ?(?:(\d{1,9})s)?$/i
  const parts = trimmed.length <= TEXT_LENGTH_MAX && trimmed !== '' ? form.exec(trimmed) : null
  if (parts === null) throw notA(expected, text)
  const units = Object.values(DURATION_UNITS)
  return units.reduce((sum, unit, index) => sum + Number(parts[index + 1] ?? 0) * unit, 0)
}

/** `512 MiB`, `1.5 GiB`, `100 B`; what {@link parseSize} reads. */
export function formatSize(bytes: number): string {
  const [value, unit] = scale(bytes, 1024, SIZE_UNITS)
  return `${value} ${unit === '' ? 'B' : `${unit}iB`}`
}

/** `10 Mbit/s`; what {@link parseRate} reads. */
export function formatRate(bitsPerSecond: number): string {
  const [value, unit] = scale(bitsPerSecond, 1000, RATE_UNITS)
  return `${value} ${unit}bit/s`
}

/** `1h 30m`, `3d`, `45s`: at most two units that follow each other, rounded to the smaller of them. */
export function formatDuration(seconds: number): string {
  const units = Object.entries(DURATION_UNITS).filter(([unit]) => unit !== 'w')
  const smallest = units[units.findIndex(([, length]) => seconds >= length) + 1]?.[1] ?? 1
  let rest = Math.round(seconds / smallest) * smallest
  const parts: string[] = []
  for (const [unit, length] of units) {
    const count = Math.floor(rest / length)
    rest -= count * length
    if (count > 0) parts.push(`${count}${unit}`)
  }
  return parts.join(' ') || '0s'
}

/** At most one digit after the point; the unit under which the number is below `base`. */
function scale(value: number, base: number, units: readonly string[]): [string, string] {
  let index = 0
  let scaled = value
  while (Math.round(scaled * 10) / 10 >= base && index < units.length - 1) {
    scaled /= base
    index++
  }
  return [String(Math.round(scaled * 10) / 10), units[index] ?? '']
}

function notA(expected: string, got: string): ConfigError {
  return new ConfigError(
    'ERR_CONFIG_VALUE',
    `expected ${expected}, got ${JSON.stringify(got.slice(0, TEXT_LENGTH_MAX))}`
  )
}
