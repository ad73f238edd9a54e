/** Acts of programs, judged by rules: by the engine in user space. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { ensureHarness } from '../../soda-host/kernort/harness/index.ts'
import { EVENT_BUFFER, EVENT_BUFFERS } from '../../soda-host/kernort/rules/events/buffers.ts'
import { EVENT_KINDS, EVENT_NUMBERS, type EventKind } from '../../soda-host/kernort/rules/events/kinds.ts'
import { compileRuleset } from '../../soda-host/kernort/rules/index.ts'
import { cacheDir } from './engine.ts'
import { temporaryDirectory } from './temporary.ts'

/** Keys of `fields` are keywords: `uid`, `exec.path` …; `to` is `ADDRESS:PORT` of the other side. */
export type Act =
  | {
      readonly kind: EventKind
      readonly pid?: number
      readonly seconds?: number
      readonly to?: string
      readonly fields?: Readonly<Record<string, number | string>>
    }
  | { readonly fork: readonly [parent: number, child: number] }
  | { readonly exit: number }
  | { readonly terminal: number; readonly kind: 'typed' | 'shown'; readonly bytes: string }

/** What came of it: `allowed` or `denied`, and the sids that were told. */
export type Outcome = string

const SECOND_US = 1_000_000

/**
 * @param rules - text of a rule file; none of its rules may be refused
 */
export async function judge(rules: string, acts: readonly Act[]): Promise<Outcome[]> {
  const { table, coverage } = compileRuleset([{ file: 'events.rules', text: rules }])
  if (coverage.refusals.length > 0) throw new Error(JSON.stringify(coverage.refusals))
  return await judgeBy(table.bytes, acts)
}

export async function judgeBy(table: Uint8Array, acts: readonly Act[]): Promise<Outcome[]> {
  const { path } = await ensureHarness('events', { cacheDir })
  await using directory = await temporaryDirectory()
  const file = join(directory.path, 'table')
  await writeFile(file, table)
  const program = spawn(path, [file], { stdio: ['pipe', 'pipe', 'pipe'] })
  program.stdin.end(acts.map((act) => `${lineOf(act)}\n`).join(''))
  const [output, errors] = await Promise.all([
    text(program.stdout),
    text(program.stderr),
    once(program, 'close')
  ])
  if (program.exitCode !== 0) throw new Error(errors)
  return output.trimEnd().split('\n')
}

function lineOf(act: Act): string {
  if ('fork' in act) return `f ${act.fork.join(' ')}`
  if ('exit' in act) return `x ${act.exit}`
  if ('terminal' in act) return `c ${EVENT_KINDS.indexOf(act.kind)} 1 0 ${act.terminal} ${hex(act.bytes)}`
  const { kind, pid = 100, seconds = 0, to, fields = {} } = act
  const words = Object.entries(fields).map(([name, value]) => fieldOf(name, value))
  if (to !== undefined) words.push(addressOf(to))
  return [EVENT_KINDS.indexOf(kind), pid, seconds * SECOND_US, ...words].join(' ')
}

function fieldOf(name: string, value: number | string): string {
  if (typeof value === 'number') {
    const number = EVENT_NUMBERS.findIndex((known) => known === name)
    if (number === -1) throw new Error(`no number ${name}`)
    return `n${number}=${value}`
  }
  const buffer = Object.values(EVENT_BUFFERS).find(({ sticky }) => sticky.includes(name))
  if (buffer === undefined) throw new Error(`no text ${name}`)
  return `t${buffer.code - EVENT_BUFFER}=${hex(value)}`
}

function addressOf(text: string): string {
  const [, address = '', port = ''] = /^(.*):(\d+)$/.exec(text) ?? []
  return `a${Buffer.from(address.split('.').map(Number)).toString('hex')}=${port}`
}

function hex(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex')
}
