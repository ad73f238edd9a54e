/** A run as users name it. */
import type { RunClient, RunSummary } from '../../irun/index.ts'
import { RunError } from '../errors.ts'

export const RUN_ARGUMENT = 'run id, its first letters if no other run has them, or `last`'

/** @throws ERR_RUN_UNKNOWN when none or more than one fits */
export function resolveRun(runs: RunClient, wanted: string): RunSummary {
  const all = runs.list()
  const fitting = wanted === 'last' ? all.slice(0, 1) : all.filter(({ runId }) => runId.startsWith(wanted))
  const [run, second] = fitting
  if (run === undefined) throw new RunError('ERR_RUN_UNKNOWN', `no run ${wanted}; see: ishare ps -a`)
  if (second !== undefined)
    throw new RunError('ERR_RUN_UNKNOWN', `more than one run begins with ${wanted}: give more letters`)
  return run
}
