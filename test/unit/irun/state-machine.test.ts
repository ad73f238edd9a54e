import { expect } from 'chai'
import {
  canTake,
  hasReached,
  isFinal,
  RUN_STATES,
  RUN_STEPS,
  statesBetween,
  transition,
  type RunState,
  type RunStep
} from '../../../irun/state-machine.ts'

/** Every step that there is; all others are refused. */
const LEGAL: [RunState, RunStep, RunState][] = [
  ['discovered', 'accept', 'accepted'],
  ['accepted', 'lease', 'leased'],
  ['accepted', 'refuse', 'refused'],
  ['accepted', 'lose', 'lost'],
  ['leased', 'stage', 'staged'],
  ['leased', 'exit', 'exited'],
  ['leased', 'release', 'released'],
  ['leased', 'lose', 'lost'],
  ['staged', 'boot', 'booting'],
  ['staged', 'exit', 'exited'],
  ['staged', 'release', 'released'],
  ['staged', 'lose', 'lost'],
  ['booting', 'run', 'running'],
  ['booting', 'exit', 'exited'],
  ['booting', 'lose', 'lost'],
  ['running', 'exit', 'exited'],
  ['running', 'lose', 'lost'],
  ['exited', 'collect', 'collected'],
  ['exited', 'lose', 'lost'],
  ['collected', 'settle', 'receipt'],
  ['collected', 'lose', 'lost']
]

describe('the states of a run', () => {
  for (const state of RUN_STATES)
    it(`from ${state} takes exactly the steps of the table`, () => {
      for (const step of RUN_STEPS) {
        const [, , next] = LEGAL.find(([from, by]) => from === state && by === step) ?? []
        expect(canTake(state, step), step).to.equal(next !== undefined)
        if (next !== undefined) expect(transition(state, step), step).to.equal(next)
        else
          expect(() => transition(state, step), step)
            .to.throw()
            .with.property('code', 'ERR_RUN_STATE')
      }
    })

  it('ends in a receipt, a refusal, a release or a loss', () => {
    expect(RUN_STATES.filter(isFinal)).to.deep.equal(['receipt', 'refused', 'released', 'lost'])
  })

  it('never goes back', () => {
    for (const [from, , to] of LEGAL)
      if (hasReached(to, 'discovered')) expect(hasReached(to, from)).to.equal(true)
  })

  it('tells a consumer each state once, in order, whatever was missed', () => {
    expect(statesBetween('leased', 'running')).to.deep.equal(['staged', 'booting', 'running'])
    expect(statesBetween('running', 'running')).to.deep.equal([])
    expect(statesBetween('staged', 'receipt')).to.deep.equal(['booting', 'running', 'exited'])
    expect(statesBetween('leased', 'released')).to.deep.equal(['released'])
  })

  it('believes no provider that goes back, or releases what runs', () => {
    const lies: [RunState, RunState][] = [
      ['running', 'leased'],
      ['booting', 'staged'],
      ['running', 'released'],
      ['running', 'refused'],
      ['released', 'running'],
      ['receipt', 'lost']
    ]
    for (const [known, told] of lies)
      expect(() => statesBetween(known, told), `${known} ${told}`)
        .to.throw()
        .with.property('code', 'ERR_PROVIDER_DISHONEST')
  })
})
