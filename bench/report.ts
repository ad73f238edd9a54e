/** Rows of measurements, and how they are shown and written. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { availableParallelism, release, totalmem } from 'node:os'
import { printTable } from '../src/cli/output.ts'

export interface Row {
  name: string
  unit: string
  /** Median of `samples` measurements. */
  value: number
  /** What it is compared with, measured in the same run. */
  baseline?: number
  /** value / baseline. */
  ratio?: number
  /** The same ratio of two that do not differ, measured in the same run: what is noise. */
  control?: number
  /** What the SODA paper measured of its own, as a ratio. */
  paper?: string
  samples: number
}

/** What each bench is given. */
export interface BenchContext {
  /** Path of the file that lists kernel, initrd and images. */
  artifacts: string
  samples: number
}

/** The fewest measurements that a row may stand on. */
export const SAMPLES_MIN = 10

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

export function row(
  name: string,
  unit: string,
  values: readonly number[],
  baseline?: readonly number[]
): Row {
  const value = median(values)
  const base = baseline === undefined ? {} : { baseline: median(baseline), ratio: value / median(baseline) }
  return { name, unit, value, ...base, samples: values.length }
}

function machine() {
  const cpu = /^model name\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown'
  return {
    cpu,
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version
  }
}

const shown = (value: number | undefined) => (value === undefined ? '' : String(Number(value.toPrecision(4))))
const shownRatio = (value: number | undefined) => value?.toFixed(3) ?? ''

const HEADS = ['NAME', 'UNIT', 'MEDIAN', 'BASELINE', 'RATIO', 'NOISE', 'PAPER', 'SAMPLES']
const cellsOf = ({ name, unit, value, baseline, ratio, control, paper, samples }: Row): string[] => [
  name,
  unit,
  ...[value, baseline].map(shown),
  ...[ratio, control].map(shownRatio),
  paper ?? '',
  String(samples)
]

export function show(rows: readonly Row[]): void {
  printTable(HEADS, rows.map(cellsOf))
}

/** As lines of a table for SPECIFICATION.md. */
export function markdown(rows: readonly Row[]): string {
  const lines = [HEADS.map((head) => head.toLowerCase()), HEADS.map(() => '---'), ...rows.map(cellsOf)]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

export async function save(rows: readonly Row[], path: string): Promise<void> {
  await writeFile(path, `${JSON.stringify({ machine: machine(), date: new Date(), rows }, undefined, 2)}\n`)
}
