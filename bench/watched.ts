/**
 * What Kernort's watch costs a guest: the same kernel, stamped and logging everything, against itself unstamped, in the
 * acts that LMbench times. The paper's figures are of its tables 1 to 3, with 10 rules.
 */
import { execa } from 'execa'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bareGuest } from '../test/helpers/bare-guest.ts'
import { temporaryDirectory } from '../test/helpers/temporary.ts'
import { watchedGuest } from '../test/helpers/watched-guest.ts'
import { row, type BenchContext, type Row } from './report.ts'
import { inTurns, rowsOf, type Boot, type Role } from './turns.ts'

const OPTIONS = { memoryBytes: 96 * 1024 * 1024, processesMax: 128 }
const SWITCHES = '0.99 to 1.31'
const PAPER = {
  'fork and exit': '1.043',
  'fork and exec': '1.026',
  'fork and sh': '1.067',
  ...Object.fromEntries(
    ['2p/0K', '2p/16K', '2p/64K', '8p/16K', '8p/64K', '16p/16K', '16p/64K'].map((name) => [
      `switch, ${name}`,
      SWITCHES
    ])
  )
}

/** A program of `bench/`, for a guest. */
export async function compiled(source: string): Promise<Buffer> {
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'program')
  await execa('gcc', ['-static', '-O2', '-o', path, join(import.meta.dirname, source)])
  return await readFile(path)
}

export async function bench({ samples }: BenchContext): Promise<Row[]> {
  const boots: Record<Role, number[]> = { watched: [], alone: [], control: [] }
  const boot: Boot = async (role, resources) => {
    const guest =
      role === 'watched'
        ? resources.use(await watchedGuest(OPTIONS)).guest
        : resources.use(await bareGuest(OPTIONS))
    boots[role].push(guest.bootMs)
    return guest
  }
  const measured = await inTurns(boot, await compiled('watched.c'), ['serve'], samples)
  // Guests that stand ready take no time of one that boots.
  for (let i = 0; i < samples; i++)
    for (const role of ['watched', 'alone'] as const) {
      await using resources = new AsyncDisposableStack()
      await boot(role, resources)
    }
  return [...rowsOf(measured, PAPER), row('boot to the first answer', 'ms', boots.watched, boots.alone)]
}
