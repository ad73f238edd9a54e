import { expect } from 'chai'
import { constants } from 'node:os'
import { restartWords, warningWords } from '../../../src/cli/life-options.ts'

describe('flags of how a run lives on', () => {
  it('read a restart policy', () => {
    expect(restartWords('always')).to.deep.equal({ policy: 'always' })
    expect(restartWords('on-failure')).to.deep.equal({ policy: 'on-failure' })
    expect(restartWords('on-failure:5')).to.deep.equal({ policy: 'on-failure', maximum: 5 })
  })

  for (const bad of [
    '',
    'sometimes',
    'always:3',
    'on-failure:',
    'on-failure:0',
    'on-failure:1001',
    'never:1'
  ])
    it(`refuse the policy ${JSON.stringify(bad)}`, () => {
      expect(() => restartWords(bad)).to.throw(/expected never/)
    })

  it('read a warning, with a signal by name or number', () => {
    expect(warningWords('5m')).to.deep.equal({ seconds: 300 })
    for (const name of ['USR1', 'sigusr1', String(constants.signals.SIGUSR1)])
      expect(warningWords(`90s:${name}`), name).to.deep.equal({
        seconds: 90,
        signal: constants.signals.SIGUSR1
      })
  })

  for (const bad of ['', '0s', '25h', '5m:', '5m:NOPE', '5m:0', '5m:65', '5m:USR1:2', 'constructor'])
    it(`refuse the warning ${JSON.stringify(bad)}`, () => {
      expect(() => warningWords(bad)).to.throw()
    })
})
