/** A capture file through the engine: which rules alerted, how often, and what the engine had to give up. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MIB } from '../../../src/constants.ts'
import { FactoryError } from '../../../src/errors.ts'
import { workDirectory } from '../../factory/cache.ts'
import { run } from '../../factory/command.ts'
import type { FactoryOptions } from '../../factory/index.ts'
import { ensureHarness } from './build.ts'

export interface ReplayOptions extends FactoryOptions {
  /** Captures are often taken before the network card fills checksums in. @default false: as Linux, drop such packets */
  ignoresChecksums?: boolean
  /** Follow TCP connections whose beginning is not in the capture. @default false */
  picksUpMidstream?: boolean
  /** With as much state as the engine has in a guest with so much memory. @default more */
  guestMemoryBytes?: number
}

export interface AlertCount {
  sid: number
  count: number
}

/** What one rule has cost. */
export interface RuleUse {
  sid: number
  tried: number
  matched: number
  /** Bytes that were searched and steps of regular expressions: the same on every machine. */
  steps: number
}

export interface Replay {
  /** By signature id, ascending. */
  alerts: AlertCount[]
  /** The rules that were tried, the most expensive first. */
  uses: RuleUse[]
  /** The engine's own counters by name: what it saw, and every limit that it reached. */
  counters: Record<string, number>
}

/** An alert (`gid sid rev time`), a rule (`! sid tried matched steps`) or a counter (`# name value`) of the program. */
const LINE =
  /^(?:\d+ (?<sid>\d+) \d+ \d+|! (?<rule>\d+) (?<tried>\d+) (?<matched>\d+) (?<steps>\d+)|# (?<name>\w+) (?<value>\d+))$/

/**
 * Run `pcap` (pcap or pcapng) through the engine with a compiled table.
 *
 * @throws ERR_REPLAY when the file is no capture or the table is refused; ERR_HARNESS_BUILD
 */
export async function replay(table: Uint8Array, pcap: string, options: ReplayOptions): Promise<Replay> {
  const program = await ensureHarness('replay', options)
  await using work = await workDirectory(options.cacheDir, 'kernort-replay')
  const tablePath = join(work.path, 'table')
  await writeFile(tablePath, table)
  const args = [
    tablePath,
    pcap,
    ...(options.ignoresChecksums === true ? ['--ignore-checksums'] : []),
    ...(options.picksUpMidstream === true ? ['--midstream'] : []),
    ...(options.guestMemoryBytes === undefined
      ? []
      : ['--guest', String(Math.floor(options.guestMemoryBytes / MIB))])
  ]
  const output = await run(program.path, args, { code: 'ERR_REPLAY', signal: options.signal })
  return parseReplay(output)
}

function parseReplay(output: string): Replay {
  const counts = new Map<number, number>()
  const counters: Record<string, number> = {}
  const uses: RuleUse[] = []
  for (const line of output.split('\n')) {
    if (line === '') continue
    const { sid, name, value, rule, tried, matched, steps } = LINE.exec(line)?.groups ?? {}
    if (sid !== undefined) counts.set(Number(sid), (counts.get(Number(sid)) ?? 0) + 1)
    else if (name !== undefined) counters[name] = Number(value)
    else if (rule !== undefined)
      uses.push({ sid: Number(rule), tried: Number(tried), matched: Number(matched), steps: Number(steps) })
    else throw new FactoryError('ERR_REPLAY', `the replay program said ${JSON.stringify(line)}`)
  }
  const alerts = [...counts].map(([sid, count]) => ({ sid, count })).toSorted((a, b) => a.sid - b.sid)
  uses.sort((a, b) => b.steps - a.steps || b.tried - a.tried || a.sid - b.sid)
  return { alerts, uses, counters }
}
