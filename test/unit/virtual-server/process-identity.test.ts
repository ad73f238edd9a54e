import { expect } from 'chai'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  isAlive,
  killProcess,
  processGone,
  startTimeOf
} from '../../../soda-host/virtual-server/process-identity.ts'

describe('process identity', () => {
  it('knows a living process, and sees it go', async () => {
    const child = spawn('sleep', ['1000'])
    const identity = { pid: child.pid!, startTime: startTimeOf(child.pid!)! }
    expect(isAlive(identity)).to.equal(true)
    const exit = once(child, 'exit')
    expect(killProcess(identity)).to.equal(true)
    await processGone(identity)
    await exit
    expect(isAlive(identity)).to.equal(false)
    expect(killProcess(identity)).to.equal(false)
  })

  it('never takes, nor kills, another process with the same pid', () => {
    const other = { pid: process.pid, startTime: '1' }
    expect(isAlive(other)).to.equal(false)
    expect(killProcess(other)).to.equal(false)
  })

  it('reads the start time behind any command name', async () => {
    const child = spawn('sh', ['-c', 'printf ") R 1 2 3" > /proc/self/comm; exec sleep 1000'])
    const before = startTimeOf(child.pid!)
    expect(before).to.match(/^\d+$/)
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
    expect(startTimeOf(child.pid!)).to.equal(undefined)
  })

  it('stops waiting when aborted', async () => {
    const self = { pid: process.pid, startTime: startTimeOf(process.pid)! }
    const abort = new AbortController()
    const waiting = processGone(self, abort.signal)
    abort.abort()
    let name = ''
    await waiting.catch((error: unknown) => (name = (error as Error).name))
    expect(name).to.equal('AbortError')
  })
})
