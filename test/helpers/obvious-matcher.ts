/** A slow, obvious reading of rules on bytes: every place is tried, nothing is skipped or remembered. */

export interface ObviousContent {
  kind: 'content'
  bytes: Buffer
  isNegated: boolean
  ignoresCase: boolean
  /** From the start of the subject, or, when relative, from the end of the match before. */
  from: number
  /** How many bytes from there on the match may take. @default all */
  room: number | undefined
  isRelative: boolean
}

export interface ObviousDataAt {
  kind: 'isdataat'
  count: number
  isNegated: boolean
  isRelative: boolean
}

export interface ObviousNumber {
  kind: 'byte_test'
  offset: number
  operator: '<' | '>' | '='
  value: number
  isRelative: boolean
}

export type ObviousOption = ObviousContent | ObviousDataAt | ObviousNumber

/** Is there a place for each content, in order, such that all options hold? */
export function holds(options: readonly ObviousOption[], subject: Buffer, cursor = 0): boolean {
  const [option, ...rest] = options
  if (option === undefined) return true
  if (option.kind === 'isdataat') {
    const last = option.isRelative ? cursor + option.count - 1 : option.count
    return last < subject.length !== option.isNegated && holds(rest, subject, cursor)
  }
  if (option.kind === 'byte_test') {
    const at = option.offset + (option.isRelative ? cursor : 0)
    const value = at >= 0 ? subject[at] : undefined
    return value !== undefined && compare(value, option) && holds(rest, subject, cursor)
  }
  const places = placesOf(option, subject, cursor)
  if (option.isNegated) return places.length === 0 && holds(rest, subject, cursor)
  return places.some((place) => holds(rest, subject, place + option.bytes.length))
}

function compare(value: number, { operator, value: wanted }: ObviousNumber): boolean {
  return operator === '<' ? value < wanted : operator === '>' ? value > wanted : value === wanted
}

function placesOf(option: ObviousContent, subject: Buffer, cursor: number): number[] {
  const start = option.from + (option.isRelative ? cursor : 0)
  const end = option.room === undefined ? subject.length : Math.min(subject.length, start + option.room)
  const places: number[] = []
  for (let place = Math.max(0, start); place + option.bytes.length <= end; place++)
    if (isAt(option, subject, place)) places.push(place)
  return places
}

function isAt({ bytes, ignoresCase }: ObviousContent, subject: Buffer, place: number): boolean {
  const there = subject.subarray(place, place + bytes.length)
  return ignoresCase ? lower(there) === lower(bytes) : there.equals(bytes)
}

const lower = (bytes: Buffer): string =>
  bytes.toString('latin1').replace(/[A-Z]/g, (letter) => letter.toLowerCase())

/** As a rule file says them. */
export function optionText(option: ObviousOption): string {
  const not = 'isNegated' in option && option.isNegated ? '!' : ''
  switch (option.kind) {
    case 'isdataat':
      return `isdataat:${not}${option.count}${option.isRelative ? ',relative' : ''};`
    case 'byte_test':
      return `byte_test:1,${option.operator},${option.value},${option.offset}${option.isRelative ? ',relative' : ''};`
    case 'content': {
      const [from, room] = option.isRelative ? ['distance', 'within'] : ['offset', 'depth']
      const where = `${from}:${option.from};${option.room === undefined ? '' : ` ${room}:${option.room};`}`
      const hex = option.bytes.toString('hex').replace(/../g, '$& ').trim()
      return `content:${not}"|${hex}|"; ${option.ignoresCase ? 'nocase; ' : ''}${where}`
    }
  }
}
