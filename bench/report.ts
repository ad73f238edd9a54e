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

const shown = (value: number | undefined) => (value === undefined ? '' : value.toPrecision(4))

export function show(rows: readonly Row[]): void {
  printTable(
    ['NAME', 'UNIT', 'MEDIAN', 'BASELINE', 'RATIO', 'SAMPLES'],
    rows.map(({ name, unit, value, baseline, ratio, samples }) => [
      name,
      unit,
      shown(value),
      shown(baseline),
      shown(ratio),
      String(samples)
    ])
  )
}

export async function save(rows: readonly Row[], path: string): Promise<void> {
  await writeFile(path, `${JSON.stringify({ machine: machine(), date: new Date(), rows }, undefined, 2)}\n`)
}
