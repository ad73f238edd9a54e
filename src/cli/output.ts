/** What the commands print: lines for people, one JSON value a line for programs. */
import { styleText } from 'node:util'
import Table from 'cli-table3'

/** Facts as `name  value` lines, or as one JSON object. */
export function printFacts(facts: Record<string, unknown>, json: boolean): void {
  if (json) {
    printJson(facts)
    return
  }
  const width = Math.max(...Object.keys(facts).map((name) => name.length)) + 2
  for (const [name, value] of Object.entries(facts))
    for (const item of Array.isArray(value) ? (value as unknown[]) : [value])
      console.log(`${name.padEnd(width)}${String(item)}`)
}

export function printJson(value: unknown): void {
  console.log(JSON.stringify(value))
}

/** Rows under headings, without frames, so that they can be cut and grepped. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const none = Object.fromEntries(
    ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right']
      .concat(['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'])
      .map((name) => [name, ''])
  )
  const table = new Table({
    head: [...head],
    chars: none,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 3 }
  })
  table.push(...rows.map((row) => [...row]))
  console.log(table.toString().replaceAll(/[ ]+$/gm, ''))
}

/** A line for people that is not part of the result; standard output stays clean. */
export function note(text: string): void {
  console.error(process.stderr.isTTY ? styleText('dim', text) : text)
}

const CONTROL = /[\p{Cc}\p{Cf}]/gu

/** Text from strangers must not move the cursor or change colours. Line breaks stay. */
export function harmless(text: string): string {
  return text.replaceAll(CONTROL, (character) => (character === '\n' ? character : '\uFFFD'))
}
