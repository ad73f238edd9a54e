/**
 * Which limit of its lease a program came up against, in words for its tenant.
 *
 * The guest's init says what its kernel counted (see guest-init/limits.c); output is counted here. It is the guest's
 * word about itself: whom a false one deceives is its own tenant.
 */
import { MIB } from '../../src/constants.ts'
import type { MemoryOutcome, ProgramExit } from '../virtual-server/types.ts'
import type { Limits, Notice, Reason } from './api.ts'
import { presentLimits, type ServerRecord } from './server-record.ts'

type Limit = ServerRecord['limitsReached'][number]

/** The code is `memory-limit`, and so on. */
const WORDS: Record<Limit, (limits: Limits) => string> = {
  memory: ({ memoryBytes }) =>
    `its ${mib(memoryBytes)} of memory were used up, and its kernel ended a process`,
  disk: ({ diskBytes }) => `its disk of ${mib(diskBytes)} is full`,
  files: ({ diskBytes }) => `its disk of ${mib(diskBytes)} takes no more files`,
  processes: ({ processesMax }) => `it may have ${processesMax} processes, and had them`,
  output: ({ outputBytesMax }) => `it printed more than ${outputBytesMax} bytes; the rest was thrown away`
}

export function limitReason(limit: Limit, record: ServerRecord): Reason {
  return { code: `${limit}-limit`, message: WORDS[limit](presentLimits(record)) }
}

/** What may be behind an end that was no success: the first that was reached of those that end programs. */
export function limitBehind(record: ServerRecord, exit: ProgramExit | undefined): Reason | undefined {
  if (exit === undefined || (exit.kind === 'status' && exit.status === 0)) return undefined
  const order: Limit[] = ['memory', 'processes', 'disk', 'files']
  const limit = order.find((each) => record.limitsReached.includes(each))
  return limit && limitReason(limit, record)
}

const HOW: Record<MemoryOutcome, string> = {
  given: '',
  forced: '; its kernel had to end processes for that',
  refused: '; its kernel did not give the rest back in time, and is ended if it uses more'
}

/** That a program has another amount of memory now, and how its guest came to it. */
export function memoryNotice(memoryBytes: number, outcome: MemoryOutcome): Reason & Pick<Notice, 'cause'> {
  const message = `from now on it may use ${mib(memoryBytes)} of memory${HOW[outcome]}`
  return { code: 'memory-resized', cause: outcome, message }
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`
}
