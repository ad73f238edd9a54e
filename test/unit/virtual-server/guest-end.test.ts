import { expect } from 'chai'
import { endOf } from '../../../soda-host/virtual-server/guest-end.ts'

const FACTS = { killReason: undefined, outOfMemoryKills: 0, exitCode: 0, console: '' }

describe('end of a guest', () => {
  it('is halted when the guest kernel ended well', () => {
    expect(endOf(FACTS).kind).to.equal('halted')
  })

  it('is a panic when the console says so, with its line', () => {
    const console = 'noise\nKernel panic - not syncing: Attempted to kill init!\nmore'
    const end = endOf({ ...FACTS, exitCode: 134, console })
    expect(end).to.deep.equal({
      kind: 'panic',
      detail: 'Kernel panic - not syncing: Attempted to kill init!'
    })
  })

  it('is killed by SIGKILL, by the host, or for want of memory', () => {
    expect(endOf({ ...FACTS, exitCode: 137 }).kind).to.equal('killed')
    expect(endOf({ ...FACTS, exitCode: undefined }).kind).to.equal('killed')
    expect(endOf({ ...FACTS, killReason: 'by us' }).kind).to.equal('killed')
    expect(endOf({ ...FACTS, exitCode: 137, outOfMemoryKills: 1 }).detail).to.include('memory')
  })

  it('is killed by the system-call filter, whatever the console says', () => {
    const end = endOf({ ...FACTS, exitCode: 159, console: 'Kernel panic - not syncing: nothing of the kind' })
    expect(end).to.deep.equal({
      kind: 'killed',
      detail: 'the guest kernel made a system call that its jail forbids'
    })
  })

  it('is unknown for any other end, with the last words', () => {
    const end = endOf({ ...FACTS, exitCode: 1, console: 'first\nout of luck\n' })
    expect(end).to.deep.equal({ kind: 'unknown', detail: 'exit code 1; last words: out of luck' })
  })

  it('passes no control characters and no endless line on from a hostile console', () => {
    const console = `\u001b[2J\u0007Kernel panic\u0000${'x'.repeat(10_000)}`
    const { detail } = endOf({ ...FACTS, exitCode: 1, console })
    expect(detail).to.match(/^[\x20-\x7e]*$/)
    expect(detail.length).to.be.at.most(500)
  })
})
