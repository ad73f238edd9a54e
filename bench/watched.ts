/** What Kernort's watch costs a guest: the same kernel, stamped and logging everything, against itself unstamped. */
import { execa } from 'execa'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bareGuest, type BareGuest } from '../test/helpers/bare-guest.ts'
import { inputFile } from '../test/helpers/launched.ts'
import { watchedGuest } from '../test/helpers/watched-guest.ts'
import { row, type BenchContext, type Row } from './report.ts'

const SOURCE = join(import.meta.dirname, 'watched.c')
const MEMORY_BYTES = 96 * 1024 * 1024
const BATCHES = 12

type Times = Map<string, number[]>

async function measure({ channel, listener }: BareGuest, program: Buffer, times: Times): Promise<void> {
  await channel.putFile(inputFile('watched', program, 0o755))
  await channel.run({ argv: ['/work/watched', String(BATCHES)], env: { PATH: '/usr/bin:/bin' } })
  const exit = await listener.exited
  if (exit.kind !== 'status' || exit.status !== 0)
    throw new Error(`watched.c ended with ${JSON.stringify(exit)}`)
  for (const [, name = '', ns] of listener.text('stdout').matchAll(/^(.*) (\d+)$/gm))
    times.set(name, [...(times.get(name) ?? []), Number(ns)])
}

/** In turns, so that what disturbs one disturbs the other. */
export async function bench({ samples }: BenchContext): Promise<Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'ishare-bench-'))
  try {
    const path = join(directory, 'watched')
    await execa('gcc', ['-static', '-O2', '-o', path, SOURCE])
    const program = await readFile(path)
    const watched: Times = new Map()
    const alone: Times = new Map()
    for (let sample = 0; sample < samples; sample++) {
      {
        await using guest = await watchedGuest({ memoryBytes: MEMORY_BYTES })
        await measure(guest.guest, program, watched)
      }
      await using guest = await bareGuest({ memoryBytes: MEMORY_BYTES })
      await measure(guest, program, alone)
    }
    return [...watched].map(([name, values]) =>
      row(`${name}, watched against not`, 'ns', values, alone.get(name))
    )
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
