import { expect } from 'chai'
import { exitStatusOf, exitStatusOfRun, failureLines } from '../../../src/cli/exit-status.ts'
import { harmless } from '../../../src/cli/output.ts'
import { ConfigError, RunError } from '../../../src/errors.ts'

describe('what the command line prints and returns', () => {
  it("passes the program's exit status on, and signals as a shell does", () => {
    expect(exitStatusOfRun({ outcome: { kind: 'status', status: 42 } })).to.equal(42)
    expect(exitStatusOfRun({ outcome: { kind: 'signal', signal: 9 } })).to.equal(137)
    expect(exitStatusOfRun({ outcome: { kind: 'failed', code: 'ERR_BOOT_FAILED' } })).to.equal(125)
  })

  it('tells usage, refusal and absence apart', () => {
    expect(exitStatusOf(new ConfigError('ERR_CONFIG_VALUE', ''))).to.equal(64)
    expect(exitStatusOf(new RunError('ERR_RUN_REFUSED', ''))).to.equal(77)
    expect(exitStatusOf(new RunError('ERR_PROVIDER_UNREACHABLE', ''))).to.equal(69)
    expect(exitStatusOf(new Error('anything'))).to.equal(1)
    expect(exitStatusOf('not even an error')).to.equal(1)
  })

  it('shows code, reasons and cause of a failure', () => {
    const error = new RunError('ERR_RUN_REFUSED', 'the rules say no', ['cpu: 4 asked, 1 allowed'], {
      cause: new Error('deeper')
    })
    expect(failureLines(error)).to.deep.equal([
      'ishare: the rules say no [ERR_RUN_REFUSED]',
      '  cpu: 4 asked, 1 allowed',
      '  deeper'
    ])
  })

  it('takes terminal commands out of the words of strangers', () => {
    expect(harmless('a\u001B[2Jb\u0007\u202Ec\nd')).to.equal('a\uFFFD[2Jb\uFFFD\uFFFDc\nd')
  })
})
