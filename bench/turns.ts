/**
 * What Kernort's watch costs: the same program in three guests with the same kernel, measured in turns.
 *
 * Theory of operation. Other work on the machine changes what is measured by more than what is looked for, and within
 * seconds. So nothing is compared but what was measured within the same tenth of a second: all guests stand ready, and
 * in each round every one of them does the same act for some 20 ms, in an order that is turned around each time. A
 * ratio is the median of the ratios of such neighbours. The third guest is as little watched as the second: what these
 * two differ by is noise, and stands beside the ratio. Where things happen to lie in memory differs from boot to boot,
 * so the guests are booted anew some times.
 */
import type { BareGuest } from '../test/helpers/bare-guest.ts'
import { inputFile } from '../test/helpers/launched.ts'
import { median, type Row } from './report.ts'

const BATCH_NS = 20e6
const BOOTS = 5

/** How a guest is watched: not at all, or not at all again. */
export const ROLES = ['watched', 'alone', 'control'] as const
export type Role = (typeof ROLES)[number]

/** Boot a guest for one part; what is made for it goes with the stack. */
export type Boot = (role: Role, resources: AsyncDisposableStack) => Promise<BareGuest>

/** One act: nanoseconds that each round took, of each guest. */
export interface Measured {
  name: string
  ns: Record<Role, number[]>
}

/** The program of rows.h in a guest. */
class Acts {
  readonly names: readonly string[]
  readonly #acts: readonly number[]
  readonly #guest: BareGuest
  #asked = 0
  #answered = 0

  private constructor(guest: BareGuest, lines: readonly string[]) {
    this.#guest = guest
    const rows = lines.map((line) => /^row (\d+) (.*)$/.exec(line)).filter((match) => match !== null)
    this.names = rows.map(([, , name = '']) => name)
    this.#acts = rows.map(([, acts]) => Number(acts))
    this.#answered = lines.length
  }

  static async start(guest: BareGuest, program: Buffer, args: readonly string[]): Promise<Acts> {
    const { channel, listener } = guest
    await channel.putFile(inputFile('acts', program, 0o755))
    await channel.run({ argv: ['/work/acts', ...args], env: { PATH: '/usr/bin:/bin' } })
    const isReady = () => listener.text('stdout').includes('ready\n')
    const ended = listener.exited.then((exit) => {
      throw new Error(`the measured program ended: ${JSON.stringify(exit)} ${listener.text('stderr')}`)
    })
    ended.catch(() => undefined)
    await Promise.race([listener.until(isReady), ended])
    return new Acts(guest, listener.text('stdout').trim().split('\n'))
  }

  /** @returns nanoseconds that one act took */
  async time(number: number, rounds: number): Promise<number> {
    const { channel, listener } = this.#guest
    const question = Buffer.from(`${number} ${rounds}\n`)
    await channel.stdin(this.#asked, question)
    this.#asked += question.length
    this.#answered += 1
    const lines = () => listener.text('stdout').split('\n')
    // The last is what stands behind the last line end.
    await listener.until(() => listener.exits > 0 || lines().length > this.#answered)
    if (listener.exits > 0) throw new Error(`the measured program ended at ${this.names[number] ?? number}`)
    return Number(lines()[this.#answered - 1]) / rounds / (this.#acts[number] ?? 1)
  }
}

/** @param rounds in each of the boots */
export async function inTurns(
  boot: Boot,
  program: Buffer,
  args: readonly string[],
  rounds: number
): Promise<Measured[]> {
  const measured: Measured[] = []
  for (let part = 0; part < BOOTS; part++) {
    await using resources = new AsyncDisposableStack()
    const guests = {} as Record<Role, Acts>
    for (const role of turned(ROLES, part))
      guests[role] = await Acts.start(await boot(role, resources), program, args)
    for (const [number, name] of guests.alone.names.entries()) {
      const row = (measured[number] ??= { name, ns: { watched: [], alone: [], control: [] } })
      await measure(guests, number, row, rounds)
    }
  }
  return measured
}

async function measure(
  guests: Record<Role, Acts>,
  number: number,
  row: Measured,
  rounds: number
): Promise<void> {
  let times = 1
  while ((await guests.alone.time(number, times)) * times < BATCH_NS / 2) times *= 2
  // What is done for the first time is not measured.
  for (const role of ROLES) await guests[role].time(number, times)
  for (let round = 0; round < rounds; round++)
    for (const role of turned(ROLES, round)) row.ns[role].push(await guests[role].time(number, times))
}

function turned<T>(all: readonly T[], round: number): readonly T[] {
  return round % 2 === 0 ? all : all.toReversed()
}

const quotients = (above: readonly number[], below: readonly number[]) =>
  above.map((value, index) => value / (below[index] ?? Number.NaN))

/** @param paper what the paper measured, by name */
export function rowsOf(measured: readonly Measured[], paper: Readonly<Record<string, string>> = {}): Row[] {
  const rows = measured.map(({ name, ns: { watched, alone, control } }): Row => ({
    ...{ name, unit: 'ns', value: median(watched), baseline: median(alone) },
    ...{ ratio: median(quotients(watched, alone)), control: median(quotients(control, alone)) },
    ...(paper[name] === undefined ? {} : { paper: paper[name] }),
    samples: watched.length
  }))
  return [...rows, geometricMean(rows)]
}

function geometricMean(rows: readonly Row[]): Row {
  const mean = (values: readonly number[]) =>
    Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
  const ratio = mean(rows.map((row) => row.ratio ?? Number.NaN))
  const control = mean(rows.map((row) => row.control ?? Number.NaN))
  return { name: 'geometric mean of times', unit: '', value: ratio, ratio, control, samples: rows.length }
}
