/**
 * Whether a server is started again, and when.
 *
 * Theory of operation. A server has one program and, one after the other, as many guests as it takes. What a guest
 * leaves to the next one is the writable layer; everything else of it goes. `running → restarting` is committed when
 * a program has ended (before its guest hears of it) or a guest was lost, with the time at which the next one is due;
 * `restarting → booting` when nothing of the old guest is left, with what it had put out and taken in: a guest counts
 * output and input from 0, and its client's streams go on. A daemon that is killed in between finds in the record
 * which of the two it is. Nothing is started again after a stop, after the lease, or while the owner has the machine.
 */
import type { ProgramExit } from '../virtual-server/types.ts'
import type { Reason } from './api.ts'
import { reasonOfExit } from './ending.ts'
import type { DaemonTiming } from './limits.ts'
import { limitBehind } from './limits-reached.ts'
import { leaseOf, type ServerRecord } from './server-record.ts'

export type Restarts = NonNullable<ServerRecord['restarts']>
type RestartTiming = Pick<DaemonTiming, 'restartMsMin' | 'restartMsMax' | 'restartResetMs'>

/** How one guest came to its end: its program has ended, or it was lost. */
export type LifeEnd = ProgramExit | { kind: 'lost'; reason: Reason }

/** The pause after so many failures in a row, in milliseconds. */
export function restartPauseMs(
  streak: number,
  { restartMsMin, restartMsMax }: Omit<RestartTiming, 'restartResetMs'>
): number {
  return Math.min(restartMsMax, restartMsMin * 2 ** Math.min(streak, 32))
}

/** The next restart; undefined if this end is the last. Pure. */
export function nextRestart(
  record: ServerRecord,
  end: LifeEnd,
  timing: RestartTiming,
  nowMs: number
): Restarts | undefined {
  const { spec, cut, again } = record
  if (cut !== undefined) return undefined
  const last = { atMs: nowMs, reason: reasonOfEnd(record, end) }
  const count = (record.restarts?.count ?? 0) + 1
  if (again !== undefined) return { count, failures: 0, streak: 0, dueAtMs: nowMs, last }
  const { failures = 0 } = record.restarts ?? {}
  if (!isWanted(spec.restart, end, failures)) return undefined
  const ranMs = nowMs - (record.lifeStartedAtMs ?? nowMs)
  const streak = ranMs >= timing.restartResetMs ? 0 : (record.restarts?.streak ?? 0)
  const dueAtMs = nowMs + restartPauseMs(streak, timing)
  // Waiting for what cannot come would hold a part of the slice.
  if (dueAtMs >= leaseOf(record).expiresAtMs) return undefined
  return { count, failures: failures + 1, streak: streak + 1, dueAtMs, last }
}

function reasonOfEnd(record: ServerRecord, end: LifeEnd): Reason {
  return end.kind === 'lost' ? end.reason : (limitBehind(record, end) ?? reasonOfExit(end))
}

function isWanted(restart: ServerRecord['spec']['restart'], end: LifeEnd, failures: number): boolean {
  if (restart === undefined || restart.policy === 'never') return false
  if (restart.policy === 'always') return true
  const isSuccess = end.kind === 'status' && end.status === 0
  return !isSuccess && failures < (restart.maximum ?? Infinity)
}
