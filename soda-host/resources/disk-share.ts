/** The disk that servers have in common: whether they share it by their weights, and whether it can have a rate for each. */
import { existsSync, readFileSync, statSync } from 'node:fs'
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

/**
 * The disk under a directory, as cgroups name it: `254:0`, the whole of it if the directory is on a part. Undefined where
 * there is none: a file system of memory, or one of several disks.
 */
export function diskDevice(directory: string): string | undefined {
  const numbers = deviceNumbers(statSync(directory).dev).join(':')
  const device = `/sys/dev/block/${numbers}`
  if (!existsSync(device)) return undefined
  return existsSync(`${device}/partition`) ? readFileSync(`${device}/../dev`, 'utf8').trim() : numbers
}

/** Pure. On v1 what is written leaves the page cache in the kernel's own name, unless its writer waits for it. */
export function diskRateFact(controllers: readonly string[], device: string | undefined): MachineFact {
  const name = 'limit-disk-rate'
  const isV2 = controllers.includes('io')
  if (!isV2 && !controllers.includes('blkio'))
    return {
      ...{ name, status: 'warn', found: 'servers read and write as fast as the disk can' },
      advice: 'run as root, where cgroups have io (v2) or blkio (v1)'
    }
  if (device === undefined)
    return {
      name,
      status: 'warn',
      found: 'no single disk is under the state directory',
      advice: 'move it to one'
    }
  const what = isV2 ? 'reads and writes' : 'reads, and writes that somebody waits for'
  return {
    name,
    status: 'ok',
    found: `${what} of disk ${device}, where the slice has a diskrate`,
    advice: ''
  }
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
