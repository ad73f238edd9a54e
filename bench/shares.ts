/**
 * How well CPU shares are kept: 2, 4 and 8 servers with unequal weights, all on one host CPU, all wanting all of it.
 * Shares are of what all of them got together, so that other work on the machine takes time and not accuracy.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { MIB } from '../src/constants.ts'
import { realGuests, shell, type Guest } from '../test/helpers/guests.ts'
import { median, row, type BenchContext, type Row } from './report.ts'

/** CPU time of all servers together in one measurement. */
const WINDOW_SECONDS = 4
const LOOK_MS = 50
const HUNGRY = shell('echo up; while :; do :; done')

/** 1 to `count` parts of one CPU, in the order of the servers. */
function weights(count: number): number[] {
  const parts = (count * (count + 1)) / 2
  return Array.from({ length: count }, (_, server) => (server + 1) / parts)
}

const usedBy = async (guests: readonly Guest[]): Promise<number[]> =>
  await Promise.all(guests.map(async ({ server }) => (await server.usage()).cpuSeconds))

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

/** The part of each server in what all of them use from now on, until that is enough to compare. */
async function shares(guests: readonly Guest[]): Promise<number[]> {
  const before = await usedBy(guests)
  for (;;) {
    await delay(LOOK_MS)
    const now = await usedBy(guests)
    const used = now.map((seconds, server) => seconds - (before[server] ?? 0))
    if (sum(used) >= WINDOW_SECONDS) return used.map((seconds) => seconds / sum(used))
  }
}

async function compete(count: number, samples: number): Promise<Row> {
  await using made = await realGuests()
  const entitled = weights(count)
  const guests: Guest[] = []
  for (const cpu of entitled) {
    const limits = { cpu, memoryBytes: 64 * MIB, diskBytes: 16 * MIB, processesMax: 32, outputBytesMax: MIB }
    const guest = await made.start(HUNGRY, { limits, hostCpu: 0 })
    await guest.listener.until((listener) => listener.text('stdout') === 'up\n')
    guests.push(guest)
  }
  const windows: number[][] = []
  for (let sample = 0; sample < samples; sample++) windows.push(await shares(guests))
  for (const { server } of guests) await server.kill()
  const ofServers = entitled.map((share, server) => {
    const values = windows.map((window) => window[server] ?? 0)
    return { share, values, error: Math.abs(median(values) / share - 1) }
  })
  const farthest = ofServers.reduce((worst, each) => (each.error > worst.error ? each : worst))
  const name = `share of the CPU of ${count} unequal servers, of the one that is farthest off; its entitlement`
  return row(name, 'CPU', farthest.values, [farthest.share])
}

export async function bench({ samples }: BenchContext): Promise<Row[]> {
  const rows: Row[] = []
  for (const count of [2, 4, 8]) rows.push(await compete(count, samples))
  return rows
}
