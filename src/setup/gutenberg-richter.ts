/** The example's result, worked out a second time and in another language, so that the main job can check it. */
import { readFile } from 'node:fs/promises'

const BIN = 0.1

export interface Fit {
  events: number
  eventsComplete: number
  magnitudeOfCompleteness: number
  bValue: number
}

/** @see examples/earthquakes/gutenberg_richter.py for the method and its papers */
export function fit(magnitudes: readonly number[]): Fit {
  const bins = magnitudes.map((magnitude) => Math.floor(magnitude / BIN + 0.5 + 1e-9))
  const counts = Map.groupBy(bins, (bin) => bin)
  // The lowest bin wins a tie, as numpy's argmax has it.
  const fullest = [...counts].sort(([a, x], [b, y]) => y.length - x.length || a - b)[0]
  if (fullest === undefined) throw new TypeError('no magnitudes')
  const lowest = fullest[0] + 2
  const complete = bins.filter((bin) => bin >= lowest)
  const mean = (complete.reduce((sum, bin) => sum + bin, 0) / complete.length) * BIN
  return {
    events: bins.length,
    eventsComplete: complete.length,
    magnitudeOfCompleteness: Math.round(lowest * BIN * 10) / 10,
    bValue: Math.LOG10E / (mean - (lowest * BIN - BIN / 2))
  }
}

/** Magnitudes of a catalogue's events whose id begins with one of `networks`. */
export async function readMagnitudes(path: string, networks: readonly string[]): Promise<number[]> {
  const [header, ...rows] = (await readFile(path, 'utf8')).trim().split('\n')
  const columns = header?.split(',') ?? []
  const [id, magnitude] = [columns.indexOf('id'), columns.indexOf('magnitude')]
  return rows
    .map((row) => row.split(','))
    .filter((row) => networks.includes(row[id]?.slice(0, 2) ?? ''))
    .map((row) => Number(row[magnitude]))
}
