/**
 * The life of a run, the same on both sides.
 *
 * `discovered → accepted → leased → staged → booting → running → exited → collected → receipt` is the way of a
 * run that succeeds *or* fails as a program. A run leaves it in three places: `refused` (no lease), `released`
 * (the lease was given back before the program started), `lost` (the provider has no result, or cannot be
 * believed). Those three and `receipt` are final.
 *
 * Invariants: a state is written to disk before anybody is told of it; a run never goes back; what a state
 * promises can be repeated after a crash (creating, starting and destroying a server are idempotent).
 * The attacker is the other side, which may ask for any transition at any time: what the table does not have
 * is refused.
 */
import { RunError } from '../src/errors.ts'

export const RUN_STATES = [
  'discovered',
  'accepted',
  'leased',
  'staged',
  'booting',
  'running',
  'exited',
  'collected',
  'receipt',
  'refused',
  'released',
  'lost'
] as const
export type RunState = (typeof RUN_STATES)[number]

export const RUN_STEPS = [
  'accept',
  'lease',
  'refuse',
  'stage',
  'boot',
  'run',
  'exit',
  'collect',
  'settle',
  'release',
  'lose'
] as const
export type RunStep = (typeof RUN_STEPS)[number]

const TABLE: Record<RunState, Partial<Record<RunStep, RunState>>> = {
  discovered: { accept: 'accepted' },
  accepted: { lease: 'leased', refuse: 'refused', lose: 'lost' },
  leased: { stage: 'staged', exit: 'exited', release: 'released', lose: 'lost' },
  staged: { boot: 'booting', exit: 'exited', release: 'released', lose: 'lost' },
  booting: { run: 'running', exit: 'exited', lose: 'lost' },
  // A program may end before anybody saw it run, hence `exit` above; a host may fail before it booted.
  running: { exit: 'exited', lose: 'lost' },
  exited: { collect: 'collected', lose: 'lost' },
  collected: { settle: 'receipt', lose: 'lost' },
  receipt: {},
  refused: {},
  released: {},
  lost: {}
}

/**
 * The state after `step`.
 *
 * @throws ERR_RUN_STATE when the run cannot take that step
 */
export function transition(state: RunState, step: RunStep): RunState {
  const next = TABLE[state][step]
  if (next === undefined) throw new RunError('ERR_RUN_STATE', `a run that is ${state} cannot ${step}`)
  return next
}

export function canTake(state: RunState, step: RunStep): boolean {
  return TABLE[state][step] !== undefined
}

export function isFinal(state: RunState): boolean {
  return Object.keys(TABLE[state]).length === 0
}

const WAY: readonly RunState[] = RUN_STATES.slice(0, RUN_STATES.indexOf('refused'))

/** True if a run on its way has come at least as far as `mark`. */
export function hasReached(state: RunState, mark: RunState): boolean {
  return WAY.includes(state) && WAY.indexOf(state) >= WAY.indexOf(mark)
}

/**
 * The states that a consumer who knew `known` passes through when the provider says `told`; none if nothing is
 * new. What only the consumer can decide (`collected`, `receipt`) is never learnt from the provider.
 *
 * @throws ERR_PROVIDER_DISHONEST when the run would have to go back or come from nowhere
 */
export function statesBetween(known: RunState, told: RunState): RunState[] {
  if (known === told) return []
  if (told === 'released' && canTake(known, 'release')) return ['released']
  const from = WAY.indexOf(known)
  const to = Math.min(WAY.indexOf(told), WAY.indexOf('exited'))
  if (from < 0 || to < 0 || (to < from && !hasReached(known, 'exited')))
    throw new RunError('ERR_PROVIDER_DISHONEST', `a run that was ${known} is said to be ${told}`)
  return WAY.slice(from + 1, to + 1)
}
