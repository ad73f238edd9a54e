/** Whether servers that want the disk at the same time share it by their weights. */
import { readFileSync, statSync } from 'node:fs'
import type { MachineFact } from './machine-fact.ts'

/** What schedules the disk under a directory, such as `mq-deadline`; undefined where none can be found. */
export function diskScheduler(directory: string): string | undefined {
  const { dev } = statSync(directory)
  const [major, minor] = deviceNumbers(dev)
  const device = `/sys/dev/block/${major}:${minor}`
  // A partition has no queue of its own.
  for (const path of [`${device}/queue/scheduler`, `${device}/../queue/scheduler`])
    try {
      return /\[(.*)\]/.exec(readFileSync(path, 'utf8'))?.[1]
    } catch {
      // The other one, or none.
    }
  return undefined
}

/** @see makedev(3): 12 and 20 bits, interleaved */
function deviceNumbers(dev: number): [number, number] {
  return [Math.floor(dev / 256) & 0xfff, (dev & 0xff) | (Math.floor(dev / 2 ** 12) & 0xfff00)]
}

/** Weights are set wherever there is a file for them; of the schedulers only bfq looks at them. Pure. */
export function diskShareFact(controllers: readonly string[], scheduler: string | undefined): MachineFact {
  const name = 'limit-disk-share'
  const hasWeights = controllers.includes('io') || controllers.includes('blkio')
  if (hasWeights && scheduler === 'bfq')
    return { name, status: 'ok', found: 'by weight: bfq schedules the disk', advice: '' }
  const found = 'servers that want the disk at once get it as it comes, not by their shares'
  if (!hasWeights)
    return { name, status: 'warn', found, advice: 'run as root, where cgroups have io (v2) or blkio (v1)' }
  return {
    name,
    status: 'warn',
    found: `${found}: it is scheduled by ${scheduler ?? 'something else'}`,
    advice: 'where the disk has it: echo bfq > /sys/block/DISK/queue/scheduler'
  }
}
